import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { EtcdServerOptions } from '../src/index.ts'
import { type Harness, type RawDuplex, startHarness, text } from './harness.ts'
import { type StagedTime, stagedTime } from './staged-time.ts'

type Message = Record<string, unknown>

let harness: Harness
let stream: RawDuplex
let time: StagedTime

/** A server whose turns and beats come when they are staged, and a stream to it. */
async function start(options: Partial<EtcdServerOptions> = {}): Promise<void> {
  time = stagedTime()
  harness = await startHarness({ environment: time, shutdownTimeoutMs: 1, ...options })
  stream = harness.client.duplex('Watch/Watch')
}

async function restart(options: Partial<EtcdServerOptions>): Promise<void> {
  await stop()
  await start(options)
}

async function stop(): Promise<void> {
  stream[Symbol.dispose]()
  await harness[Symbol.asyncDispose]()
}

beforeEach(() => start())
afterEach(stop)

/** As the server fills it: who, and the revision, if it is not 0. */
const header = (revision: number): object => ({
  cluster_id: expect.anything(),
  member_id: expect.anything(),
  raft_term: 2,
  ...(revision === 0 ? {} : { revision }),
})

const put = (key: string, value: string = ''): Promise<unknown> =>
  harness.client.call('KV/Put', { key: text(key), value: text(value) })
const del = (key: string): Promise<unknown> =>
  harness.client.call('KV/DeleteRange', { key: text(key) })
const compact = (revision: number): Promise<unknown> =>
  harness.client.call('KV/Compact', { revision })

const watchA = { key: text('a') }
const watchAll = { key: text('\0'), range_end: text('\0') }

/** Creates a watcher and takes the answer. */
async function create(request: object, on: RawDuplex = stream): Promise<Message> {
  on.send({ create_request: request })
  return await on.next()
}

/** What arrived until now: the answer to a create that comes last is not part of it. */
async function settled(on: RawDuplex = stream): Promise<Message[]> {
  on.send({ create_request: { key: text('b'), range_end: text('a') } })
  const messages: Message[] = []
  for (;;) {
    const message = await on.next()
    if (message['cancel_reason'] === 'mvcc: watcher range is empty') return messages
    messages.push(message)
  }
}

interface Shown {
  readonly kv: { readonly key: string; readonly value?: string; readonly mod_revision: number }
}

function eventsOf(message: Message): Shown[] {
  return (message['events'] ?? []) as Shown[]
}

describe('creating', () => {
  test('is answered in order, with the revision of the store and ids from 0', async () => {
    await put('a')
    stream.send({ create_request: watchA })
    stream.send({ create_request: watchAll })
    expect(await stream.next()).toEqual({ header: header(2), created: true })
    expect(await stream.next()).toEqual({ header: header(2), watch_id: 1, created: true })
  })

  test('below the compacted revision is answered first and canceled then, with revision 0', async () => {
    await put('a')
    await put('a')
    await put('a')
    await compact(3)
    expect(await create({ ...watchA, start_revision: 2 })).toEqual({
      header: header(4),
      created: true,
    })
    expect(await stream.next()).toEqual({ header: header(0), canceled: true, compact_revision: 3 })
    expect(await create({ ...watchA, start_revision: 3 })).toMatchObject({ watch_id: 1 })
    expect(eventsOf(await stream.next())).toMatchObject([
      { kv: { mod_revision: 3 } },
      { kv: { mod_revision: 4 } },
    ])
  })

  test.each([
    [
      'a negative revision',
      { ...watchA, start_revision: -1 },
      'etcdserver: mvcc: required revision has been compacted',
    ],
    ['an empty range', { key: text('b'), range_end: text('a') }, 'mvcc: watcher range is empty'],
    [
      'a range of one key',
      { key: text('b'), range_end: text('b') },
      'mvcc: watcher range is empty',
    ],
    [
      'an id in use',
      { ...watchA, watch_id: 5 },
      'mvcc: duplicate watch ID provided on the WatchStream',
    ],
  ])('with %s is refused under id -1', async (_, request, reason) => {
    await create({ ...watchA, watch_id: 5 })
    expect(await create(request)).toEqual({
      header: header(1),
      watch_id: -1,
      created: true,
      canceled: true,
      cancel_reason: reason,
    })
    expect(await create(watchA)).toEqual({ header: header(1), created: true })
  })

  test('with an id of the client takes it, exactly, and those that are counted leave it out', async () => {
    const large = { low: 3, high: 0x7000_0000 }
    expect(await create({ ...watchA, watch_id: large })).toMatchObject({
      watch_id: 0x7000_0000_0000_0003n,
    })
    expect(await create({ ...watchA, watch_id: 1 })).toMatchObject({ watch_id: 1 })
    expect(await create(watchA)).not.toHaveProperty('watch_id')
    expect(await create(watchA)).toMatchObject({ watch_id: 2 })
    await put('a')
    const ids = [await stream.next(), await stream.next(), await stream.next(), await stream.next()]
    expect(ids.map((message) => message['watch_id'] ?? 0)).toEqual([
      0x7000_0000_0000_0003n,
      1,
      0,
      2,
    ])
  })

  test('without a key means the key \\0, and an end of \\0 means every key from there', async () => {
    await create({ key: text('') })
    await create({ key: text(''), range_end: text('\0') })
    await create({ key: text('b'), range_end: text('\0') })
    await put('\0')
    await put('c')
    const messages = await settled()
    expect(messages.map((each) => [each['watch_id'] ?? 0, eventsOf(each)[0]?.kv.key])).toEqual([
      [0, '\0'],
      [1, '\0'],
      [1, 'c'],
      [2, 'c'],
    ])
  })

  test('is refused on a learner', async () => {
    const membership = harness.node.status().membership
    harness.node.changeStatus({ membership: { ...membership, learners: ['8e9e05c52164694d'] } })
    await harness.client.call('Maintenance/Status')
    await expect(create(watchA)).rejects.toMatchObject({
      code: 9,
      details: 'etcdserver: rpc not supported for learner',
    })
  })
})

describe('events', () => {
  test('come one message for each revision, with the revision of the store', async () => {
    await create({ ...watchA, prev_kv: true })
    await put('a', '1')
    await put('a', '2')
    await del('a')
    const first = { key: 'a', value: '1', create_revision: 2, mod_revision: 2, version: 1 }
    const second = { ...first, value: '2', mod_revision: 3, version: 2 }
    expect(await stream.next()).toEqual({ header: header(2), events: [{ kv: first }] })
    expect(await stream.next()).toEqual({
      header: header(3),
      events: [{ kv: second, prev_kv: first }],
    })
    expect(await stream.next()).toEqual({
      header: header(4),
      events: [{ type: 1, kv: { key: 'a', mod_revision: 4 }, prev_kv: second }],
    })
  })

  test('of one transaction come in one message, in the order of its changes', async () => {
    await create(watchAll)
    const success = ['c', 'a', 'b'].map((key) => ({ request_put: { key: text(key) } }))
    await harness.client.call('KV/Txn', { success })
    const message = await stream.next()
    expect(eventsOf(message).map(({ kv }) => kv.key)).toEqual(['c', 'a', 'b'])
    expect(message).toMatchObject({ header: { revision: 2 } })
  })

  test('of the past come many revisions in a message, and those of the present follow', async () => {
    for (let at = 0; at < 10; at++) await put('a', `${at}`)
    await create({ ...watchA, start_revision: 3 })
    const past = await stream.next()
    expect(past).toMatchObject({ header: { revision: 11 } })
    expect(eventsOf(past).map(({ kv }) => kv.mod_revision)).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11])
    await put('a')
    expect(await stream.next()).toMatchObject({ header: { revision: 12 } })
  })

  test('before a start in the future do not come', async () => {
    await create({ ...watchA, start_revision: 4 })
    await put('a', '2')
    await put('a', '3')
    await put('a', '4')
    expect(eventsOf(await stream.next())).toMatchObject([{ kv: { value: '4' } }])
  })

  test('are left out by filters, which the wire packs', async () => {
    await create({ ...watchA, filters: [0] })
    await create({ ...watchA, filters: [1] })
    await create({ ...watchA, filters: [0, 1] })
    await put('a')
    await del('a')
    expect(await settled()).toMatchObject([
      { watch_id: 1, events: [{ kv: { mod_revision: 2 } }] },
      { events: [{ type: 1 }] },
    ])
  })
})

describe('a batch larger than a request may be', () => {
  const large = 'x'.repeat(400)
  const putFour = (): Promise<unknown> => {
    const keys = ['a', 'b', 'c', 'd']
    const success = keys.map((key) => ({ request_put: { key: text(key), value: text(large) } }))
    return harness.client.call('KV/Txn', { success })
  }
  beforeEach(() => restart({ limits: { maxRequestBytes: 2_000 } }))

  test('is one message for a client that did not ask for fragments', async () => {
    await create({ ...watchAll, prev_kv: true })
    await putFour()
    await putFour()
    expect(eventsOf(await stream.next())).toHaveLength(4)
    expect(eventsOf(await stream.next())).toHaveLength(4)
  })

  test('is cut for one that did, and all pieces but the last are marked', async () => {
    await create({ ...watchAll, prev_kv: true, fragment: true })
    await putFour()
    expect(eventsOf(await stream.next())).toHaveLength(4)
    await putFour()
    const pieces = [await stream.next(), await stream.next()]
    expect(pieces).toMatchObject([{ header: { revision: 3 }, fragment: true }, { header: {} }])
    expect(pieces[1]).not.toHaveProperty('fragment')
    expect(pieces.flatMap(eventsOf).map(({ kv }) => kv.key)).toEqual(['a', 'b', 'c', 'd'])
    expect(await settled()).toEqual([])
  })

  test('has at least one event in each piece', async () => {
    await restart({ limits: { maxRequestBytes: 600 } })
    await create({ ...watchA, fragment: true })
    for (let at = 0; at < 3; at++) await put('a', large)
    await create({ ...watchA, fragment: true, start_revision: 2 })
    // The answer and the three events of the first watcher, and the same events in pieces for the
    // second one, of which one message was taken for the answer.
    for (let at = 0; at < 6; at++) await stream.next()
    await create({ ...watchAll, fragment: true, start_revision: 2 })
    const pieces = [await stream.next(), await stream.next(), await stream.next()]
    expect(pieces.map((piece) => eventsOf(piece).length)).toEqual([1, 1, 1])
    expect(pieces.map((piece) => piece['fragment'])).toEqual([true, true, undefined])
  })
})

describe('canceling', () => {
  test('is answered, and nothing bears that id from then on', async () => {
    await create(watchA)
    await create(watchA)
    stream.send({ cancel_request: {} })
    expect(await stream.next()).toEqual({ header: header(1), canceled: true })
    await put('a')
    expect(await settled()).toMatchObject([{ watch_id: 1 }])
    expect(await create(watchA)).toMatchObject({ watch_id: 2 })
  })

  test('a watcher that fell behind a compaction keeps its id until it is canceled', async () => {
    for (let i = 0; i < 3; i++) await put('a')
    await compact(3)
    await create({ ...watchA, start_revision: 2, watch_id: 5 })
    expect(await stream.next()).toMatchObject({ watch_id: 5, canceled: true, compact_revision: 3 })
    expect(await create({ ...watchA, watch_id: 5 })).toMatchObject({ watch_id: -1, canceled: true })
    stream.send({ cancel_request: { watch_id: 5 } })
    expect(await stream.next()).toEqual({ header: header(4), watch_id: 5, canceled: true })
    expect(await create({ ...watchA, watch_id: 5 })).toMatchObject({ watch_id: 5, created: true })
  })

  test('what is not there gets no answer', async () => {
    stream.send({ cancel_request: { watch_id: 7 } })
    stream.send({})
    expect(await settled()).toEqual([])
  })
})

describe('progress', () => {
  const progress = { progress_request: {} }

  test('is told on request with id -1, after all events up to it', async () => {
    await create(watchA)
    await put('a')
    await put('b')
    stream.send(progress)
    expect(await settled()).toMatchObject([
      { header: { revision: 2 }, events: [{}] },
      { header: { revision: 3 }, watch_id: -1 },
    ])
    stream.send(progress)
    expect(await stream.next()).toEqual({ header: header(3), watch_id: -1 })
  })

  test('is not told without watchers', async () => {
    stream.send(progress)
    expect(await settled()).toEqual([])
  })

  // etcd #15220: a bookmark ahead of the events.
  test('is not told as long as one watcher reads the past', async () => {
    await put('a')
    const turns: (() => void)[] = []
    await restart({ environment: { ...time, schedule: (turn) => void turns.push(turn) } })
    await put('a')
    await create(watchA)
    await create({ ...watchA, start_revision: 1 })
    stream.send(progress)
    expect(await settled()).toEqual([])
    for (let turn = turns.shift(); turn !== undefined; turn = turns.shift()) turn()
    stream.send(progress)
    expect(await settled()).toMatchObject([{ watch_id: 1, events: [{}] }, { watch_id: -1 }])
  })

  // etcd #20221: a bookmark below what was asked for.
  test('is not told as long as one watcher waits for the future', async () => {
    await create({ ...watchA, start_revision: 3, progress_notify: true })
    stream.send(progress)
    await put('a')
    stream.send(progress)
    time.advance(660_000)
    expect(await settled()).toEqual([])
    await put('b')
    stream.send(progress)
    expect(await settled()).toMatchObject([{ watch_id: -1, header: { revision: 3 } }])
  })

  test('is told now and then to watchers that are idle and asked for it', async () => {
    await create(watchA)
    await create({ ...watchA, progress_notify: true })
    await put('b')
    time.advance(630_000)
    expect(await settled()).toEqual([{ header: header(2), watch_id: 1 }])
    await put('a')
    time.advance(630_000)
    expect(await settled()).toMatchObject([{ events: [{}] }, { watch_id: 1, events: [{}] }])
    time.advance(630_000)
    expect(await settled()).toEqual([{ header: header(3), watch_id: 1 }])
  })

  test('is told as often as the option says, and a little less often', async () => {
    await restart({ limits: { watchProgressIntervalMs: 1_000 } })
    await create({ ...watchA, progress_notify: true })
    time.advance(1_049)
    expect(await settled()).toEqual([])
    time.advance(1)
    expect(await settled()).toHaveLength(1)
    await expect(startHarness({ limits: { watchProgressIntervalMs: 99 } })).rejects.toThrow(
      RangeError,
    )
  })
})

describe('the end of a stream', () => {
  const ended = (code: number, details: string): object => ({ code, details })

  test('is not that the client has no more requests', async () => {
    await create(watchA)
    stream.halfClose()
    await put('a')
    await put('a')
    expect(await stream.next()).toMatchObject({ header: { revision: 2 } })
    expect(await stream.next()).toMatchObject({ header: { revision: 3 } })
  })

  test('comes when the server stops', async () => {
    await create(watchA)
    const stopped = harness.server[Symbol.asyncDispose]()
    await expect(stream.next()).rejects.toMatchObject(ended(14, 'etcdserver: server stopped'))
    await stopped
  })

  test('comes with bytes that are no request, and for that stream only', async () => {
    const other = harness.client.duplex('Watch/Watch')
    await create(watchA, other)
    stream.sendBytes(Uint8Array.of(0x0a, 0x7f))
    await expect(stream.next()).rejects.toMatchObject({ code: 13 })
    await put('a')
    expect(await other.next()).toMatchObject({ events: [{}] })
    other[Symbol.dispose]()
  })

  test('comes after three election timeouts without a leader, to those that need one', async () => {
    using led = harness.client.duplex('Watch/Watch', { hasleader: 'true' })
    await create(watchA, led)
    await create(watchA)
    harness.node.changeStatus({ leader: null })
    await harness.client.call('Maintenance/Status')
    time.advance(1_000)
    time.advance(1_000)
    harness.node.changeStatus({ leader: '8e9e05c52164694d' })
    await harness.client.call('Maintenance/Status')
    time.advance(1_000)
    harness.node.changeStatus({ leader: null })
    await harness.client.call('Maintenance/Status')
    time.advance(1_000)
    time.advance(1_000)
    expect(await settled(led)).toEqual([])
    time.advance(1_000)
    await expect(led.next()).rejects.toMatchObject(ended(14, 'etcdserver: no leader'))
    expect(await settled()).toEqual([])
  })

  test('comes at once to those that need a leader if there is none', async () => {
    harness.node.changeStatus({ leader: null })
    await harness.client.call('Maintenance/Status')
    using led = harness.client.duplex('Watch/Watch', { hasleader: 'true' })
    await expect(led.next()).rejects.toMatchObject(ended(14, 'etcdserver: no leader'))
    await create(watchA)
  })
})
