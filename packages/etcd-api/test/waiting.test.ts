import { once } from 'node:events'
import { connect } from 'node:http2'
import { encodeCommand } from '@coracle/kv-state-machine'
import { type Command, RaftError } from '@coracle/raft-core'
import { describe, expect, test } from 'vitest'
import { type Harness, startHarness, text } from './harness.ts'
import { type StagedTime, stagedTime } from './staged-time.ts'

const put = { key: text('a'), value: text('1') }
const range = { key: text('a') }

/** A put that another member was asked for. */
function putAt(index: number, name: string): Command {
  const nothing = { lease: 0n, prevKv: false, ignoreValue: false, ignoreLease: false }
  const request = { key: text(name), value: text('1'), ...nothing }
  return { index, term: 1, data: encodeCommand({ type: 'put', request }) }
}

/** Everything that clients are told within a test's time rests on what is staged, not on the clock. */
async function staged(limits: object = {}): Promise<Harness & { time: StagedTime }> {
  const time = stagedTime()
  const harness = await startHarness({ environment: time, limits, shutdownTimeoutMs: 1 })
  return Object.assign(harness, {
    time,
    async [Symbol.asyncDispose]() {
      harness.client[Symbol.dispose]()
      await harness.server[Symbol.asyncDispose]()
    },
  })
}

const refused = (code: number, details: string): object => ({ code, details })
const timedOut = refused(14, 'etcdserver: request timed out')
const tooMany = refused(8, 'etcdserver: too many requests')

/** Heard from nobody yet, and holds whatever is asked of the others. */
async function newcomer(): Promise<Harness> {
  return startHarness({}, (node) => {
    node.changeStatus({ appliedIndex: 0 })
    node.hold()
  })
}

describe('a member that starts with nothing', () => {
  const everything = { key: text('\0'), range_end: text('\0') }
  const serializable = { ...everything, serializable: true }

  test.each([
    ['KV/Range', serializable],
    ['KV/Txn', { success: [{ request_range: serializable }] }],
    ['Lease/LeaseLeases', {}],
    ['Cluster/MemberList', {}],
    ['Maintenance/HashKV', {}],
  ])('does not answer %s before it has heard what there is', async (method, request) => {
    await using harness = await newcomer()
    const answer = harness.client.call(method, request)
    await harness.node.holding(1)
    harness.stateMachine.apply([putAt(1, 'a'), putAt(2, 'b')])
    harness.node.release()
    expect(await answer).toMatchObject(
      method.startsWith('Cluster') ? { members: [{}] } : { header: { revision: 3 } },
    )
  })

  test('tells watchers from now on nothing of what was before', async () => {
    await using harness = await newcomer()
    using watch = harness.client.duplex('Watch/Watch')
    watch.send({ create_request: everything })
    await harness.node.holding(1)
    harness.stateMachine.apply([putAt(1, 'before')])
    harness.node.release()
    expect(await watch.next()).toMatchObject({ created: true, header: { revision: 2 } })
    await harness.client.call('KV/Put', { key: text('after') })
    expect(await watch.next()).toMatchObject({ events: [{ kv: { key: 'after' } }] })
  })

  test('tells how it is doing, and once it knows something needs nobody any more', async () => {
    await using harness = await newcomer()
    expect(await harness.client.call('Maintenance/Status')).toHaveProperty('version')
    expect(await harness.client.call('Health/Check')).toMatchObject({ status: 1 })
    harness.node.release()
    await harness.client.call('KV/Range', serializable)
    harness.node.hold()
    expect(await harness.client.call('KV/Range', serializable)).toHaveProperty('header')
  })

  test('says that it waited in vain, as ever', async () => {
    await using harness = await newcomer()
    harness.node.release()
    harness.node.failWith(new RaftError('UNAVAILABLE', 'nobody answers'))
    await expect(harness.client.call('KV/Range', serializable)).rejects.toMatchObject(timedOut)
  })
})

describe('requests that wait in vain', () => {
  test.each(['KV/Put', 'KV/Range'])('%s times out after the request timeout', async (method) => {
    await using harness = await staged()
    harness.node.hold()
    let settled = false
    const answer = harness.client.call(method, put).finally(() => {
      settled = true
    })
    await harness.node.holding(1)
    harness.time.advance(6_999)
    await harness.client.call('Health/Check')
    expect(settled).toBe(false)
    harness.time.advance(400)
    await expect(answer).rejects.toMatchObject(timedOut)
  })

  test('a leader that changed meanwhile is named as the likely reason', async () => {
    await using harness = await staged()
    harness.node.hold()
    const answer = harness.client.call('KV/Put', put)
    await harness.node.holding(1)
    harness.node.changeStatus({ term: 3, leader: 'abc', role: 'follower' })
    await harness.client.call('Maintenance/Status')
    harness.time.advance(7_400)
    await expect(answer).rejects.toMatchObject(
      refused(14, 'etcdserver: request timed out, possibly due to previous leader failure'),
    )
  })

  test('a serializable range, a status and a member list wait for nobody', async () => {
    await using harness = await staged()
    harness.node.hold()
    harness.node.changeStatus({ leader: null })
    expect(await harness.client.call('KV/Range', { ...range, serializable: true })).toHaveProperty(
      'header',
    )
    expect(await harness.client.call('Maintenance/Status')).toMatchObject({
      errors: ['etcdserver: no leader'],
    })
    expect(await harness.client.call('Cluster/MemberList')).toHaveProperty('members')
    const txn = { success: [{ request_range: { ...range, serializable: true } }] }
    expect(await harness.client.call('KV/Txn', txn)).toHaveProperty('succeeded')
    expect(harness.node.held).toBe(0)
  })

  test('one range that is not serializable makes a transaction wait', async () => {
    await using harness = await staged()
    harness.node.hold()
    const success = [{ request_range: { ...range, serializable: true } }]
    const answer = harness.client.call('KV/Txn', { success, failure: [{ request_range: range }] })
    await harness.node.holding(1)
    harness.time.advance(7_400)
    await expect(answer).rejects.toMatchObject(timedOut)
  })

  test('an alarm list and a linearizable member list take a majority', async () => {
    await using harness = await staged()
    harness.node.failWith(new RaftError('UNAVAILABLE', 'no majority'))
    await expect(harness.client.call('Maintenance/Alarm')).rejects.toMatchObject(timedOut)
    await expect(
      harness.client.call('Cluster/MemberList', { linearizable: true }),
    ).rejects.toMatchObject(timedOut)
  })
})

describe('a client that hangs up', () => {
  test.each(['KV/Put', 'KV/Range', 'KV/Compact'])(
    'keeps the place of its %s until the node has answered, and no longer',
    async (method) => {
      await using harness = await staged({ maxPendingRequests: 1 })
      const { node, client, time } = harness
      node.hold()
      let cancel = (): void => {}
      const gone = client.call(method, put, {
        onCall: (call) => {
          cancel = () => call.cancel()
        },
      })
      await node.holding(1)
      cancel()
      await expect(gone).rejects.toMatchObject({ code: 1 })
      time.advance(350)
      await expect(client.call('KV/Put', put)).rejects.toMatchObject(tooMany)
      node.release()
      expect(await client.call('KV/Put', put)).toHaveProperty('header')
    },
  )

  test('harms nobody when its connection breaks with calls under way', async () => {
    await using harness = await staged({ maxPendingRequests: 3 })
    harness.node.hold()
    const session = connect(`http://${harness.address}`)
    for (let i = 0; i < 3; i++) {
      const stream = session.request({
        ':method': 'POST',
        ':path': '/etcdserverpb.KV/Put',
        'content-type': 'application/grpc',
        te: 'trailers',
      })
      stream.on('error', () => {})
      stream.end(Buffer.from('00000000030a0161', 'hex'))
    }
    await harness.node.holding(3)
    session.destroy()
    await once(session, 'close')
    harness.time.advance(350)
    harness.node.release()
    expect(await harness.client.call('KV/Put', put)).toHaveProperty('header')
    expect(harness.node.commands.length).toBe(4)
  })

  test('gives up when its deadline passes', async () => {
    await using harness = await staged()
    harness.node.hold()
    const answer = harness.client.call('KV/Put', put, { deadline: Date.now() + 50 })
    await expect(answer).rejects.toMatchObject({ code: 4 })
    harness.node.release()
    expect(await harness.client.call('KV/Range', range)).toHaveProperty('count', 1)
  })
})

describe('what a client is told when Raft fails', () => {
  const cases: [string, RaftError | Error, number, string][] = [
    ['KV/Put', new RaftError('OUTCOME_UNKNOWN', ''), 14, 'request timed out'],
    ['KV/Put', new RaftError('STOPPED', ''), 14, 'server stopped'],
    ['KV/Put', new RaftError('PROPOSAL_TOO_LARGE', ''), 3, 'request is too large'],
    ['KV/Put', new RaftError('PROPOSAL_DROPPED', ''), 8, 'too many requests'],
    ['KV/Put', new TypeError('a defect'), 2, 'a defect'],
    ['KV/Range', new RaftError('UNAVAILABLE', ''), 14, 'request timed out'],
    ['KV/Range', new RaftError('STOPPED', ''), 14, 'server stopped'],
    ['KV/Range', new TypeError('a defect'), 2, 'a defect'],
  ]
  test.each(cases)('%s, %s', async (method, error, code, reason) => {
    await using harness = await staged()
    harness.node.failWith(error)
    await expect(harness.client.call(method, put)).rejects.toMatchObject(
      refused(code, `etcdserver: ${reason}`),
    )
  })

  test.each([
    ['KV/Range', new RaftError('UNAVAILABLE', ''), 'leader changed'],
    ['KV/Put', new RaftError('PROPOSAL_DROPPED', ''), 'leader changed'],
    [
      'KV/Put',
      new RaftError('OUTCOME_UNKNOWN', ''),
      'request timed out, possibly due to previous leader failure',
    ],
  ])('%s after the leader changed, %s', async (method, error, reason) => {
    await using harness = await staged()
    harness.node.hold()
    const answer = harness.client.call(method, put)
    await harness.node.holding(1)
    harness.node.changeStatus({ term: 3, leader: 'abc', role: 'follower' })
    await harness.client.call('Maintenance/Status')
    harness.node.release(error)
    await expect(answer).rejects.toMatchObject(refused(14, `etcdserver: ${reason}`))
  })

  test('a proposal that was dropped for want of a leader timed out', async () => {
    await using harness = await staged()
    harness.node.changeStatus({ leader: null })
    harness.node.failWith(new RaftError('PROPOSAL_DROPPED', 'no leader'))
    await expect(harness.client.call('KV/Put', put)).rejects.toMatchObject(timedOut)
  })
})

describe('bounds', () => {
  test('more waiting requests than allowed are refused', async () => {
    await using harness = await staged({ maxPendingRequests: 2 })
    harness.node.hold()
    const waiting = [1, 2].map(() => harness.client.call('KV/Put', put).catch(() => {}))
    await harness.node.holding(2)
    await expect(harness.client.call('KV/Put', put)).rejects.toMatchObject(tooMany)
    await expect(harness.client.call('KV/Range', range)).rejects.toMatchObject(tooMany)
    harness.time.advance(7_400)
    await Promise.all(waiting)
  })

  test('more waiting bytes than allowed are refused, and are free again afterwards', async () => {
    await using harness = await staged({ maxPendingBytes: 3_000 })
    const large = { key: text('a'), value: new Uint8Array(2_000) }
    await harness.client.call('KV/Put', large)
    await harness.client.call('KV/Put', large)
    harness.node.hold()
    const waiting = harness.client.call('KV/Put', large).catch(() => {})
    await harness.node.holding(1)
    await expect(harness.client.call('KV/Put', large)).rejects.toMatchObject(tooMany)
    harness.node.release()
    await waiting
    expect(await harness.client.call('KV/Put', large)).toHaveProperty('header')
  })
})

describe('without a leader', () => {
  test('who asks for one is refused at once, and nobody else', async () => {
    await using harness = await staged()
    harness.node.changeStatus({ leader: null })
    const options = { metadata: { hasleader: 'true' } }
    const serializable = { ...range, serializable: true }
    await expect(harness.client.call('KV/Range', serializable, options)).rejects.toMatchObject(
      refused(14, 'etcdserver: no leader'),
    )
    expect(await harness.client.call('KV/Range', serializable)).toHaveProperty('header')
    harness.node.changeStatus({ leader: 'abc', term: 3 })
    expect(await harness.client.call('KV/Range', serializable, options)).toMatchObject({
      header: { raft_term: 3 },
    })
  })
})

describe('a node that stopped', () => {
  test('has no leader, and its requests say that it stopped', async () => {
    await using harness = await staged()
    const { node, client } = harness
    const stopped = new RaftError('STOPPED', 'the disk failed')
    node.failWith(stopped)
    node.failWatches(stopped)
    node.changeStatus({})
    await expect(client.call('KV/Put', put)).rejects.toMatchObject(
      refused(14, 'etcdserver: server stopped'),
    )
    await expect(
      client.call('KV/Put', put, { metadata: { hasleader: 'true' } }),
    ).rejects.toMatchObject(refused(14, 'etcdserver: no leader'))
  })
})

describe('on a learner', () => {
  test('only serializable ranges, status and health are served', async () => {
    await using harness = await staged()
    const { node, client } = harness
    const { membership } = node.status()
    const learners = membership.voters
    node.changeStatus({ membership: { ...membership, voters: ['abc'], learners } })
    const refusal = refused(9, 'etcdserver: rpc not supported for learner')
    for (const [method, request] of [
      ['KV/Put', put],
      ['KV/Range', range],
      ['KV/Txn', {}],
      ['Cluster/MemberList', {}],
      ['Maintenance/HashKV', {}],
    ] as const)
      await expect(client.call(method, request)).rejects.toMatchObject(refusal)
    expect(await client.call('KV/Range', { ...range, serializable: true })).toHaveProperty('header')
    expect(await client.call('Maintenance/Status')).toMatchObject({ isLearner: true })
    expect(await client.call('Health/Check')).toEqual({ status: 1 })
  })
})

describe('disposal', () => {
  test('lets the calls that run finish, and takes no more', async () => {
    const harness = await staged()
    harness.node.hold()
    const answer = harness.client.call('KV/Put', put)
    await harness.node.holding(1)
    const disposed = harness.server[Symbol.asyncDispose]()
    harness.node.release()
    expect(await answer).toHaveProperty('header')
    await disposed
    await harness.server[Symbol.asyncDispose]()
    await expect(
      harness.client.call('KV/Range', range, { deadline: Date.now() + 5_000 }),
    ).rejects.toMatchObject({ code: 14 })
    harness.client[Symbol.dispose]()
  })

  test('cuts off the calls that run for too long', async () => {
    const harness = await staged()
    harness.node.hold()
    const answer = expect(harness.client.call('KV/Put', put)).rejects.toMatchObject({ code: 14 })
    await harness.node.holding(1)
    const disposed = harness.server[Symbol.asyncDispose]()
    harness.time.advance(1)
    await disposed
    await answer
    harness.client[Symbol.dispose]()
  })
})
