import { Client, credentials } from '@grpc/grpc-js'
import { RaftError } from '@coracle/raft-core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { codecOf } from '../src/schema.ts'
import { type Harness, plain, startHarness, text } from './harness.ts'

let harness: Harness

beforeEach(async () => {
  harness = await startHarness()
})
afterEach(() => harness[Symbol.asyncDispose]())

const call = (method: string, request: object = {}) => harness.client.call(method, request)

const grant = (ID: number, TTL = 60) => call('Lease/LeaseGrant', { ID, TTL })

const put = (key: string, lease: number) =>
  call('KV/Put', { key: text(key), value: text('v'), lease })

interface Outcome {
  readonly answers: unknown[]
  readonly code: number
  readonly details: string
}

interface Stream {
  send(...ids: (number | Uint8Array)[]): void
  end(): void
  cancel(): void
  readonly outcome: Promise<Outcome>
}

function keepAlives({ address } = harness): Stream & Disposable {
  const client = new Client(address, credentials.createInsecure())
  const requests = codecOf<object>('etcdserverpb.LeaseKeepAliveRequest')
  const responses = codecOf<object>('etcdserverpb.LeaseKeepAliveResponse')
  const path = '/etcdserverpb.Lease/LeaseKeepAlive'
  const identity = (bytes: Uint8Array): Buffer => Buffer.from(bytes)
  const stream = client.makeBidiStreamRequest(path, identity, identity)
  const answers: unknown[] = []
  stream.on('data', (bytes: Uint8Array) => answers.push(plain(responses.decode(bytes))))
  stream.on('error', () => {})
  return {
    send(...ids) {
      for (const ID of ids) stream.write(typeof ID === 'number' ? requests.encode({ ID }) : ID)
    },
    end: () => stream.end(),
    cancel: () => stream.cancel(),
    outcome: new Promise((resolve) => {
      stream.on('status', ({ code, details }) => resolve({ answers, code, details }))
    }),
    [Symbol.dispose]: () => client.close(),
  }
}

async function keepAlive(on: Harness, ...ids: (number | Uint8Array)[]): Promise<Outcome> {
  using stream = keepAlives(on)
  stream.send(...ids)
  stream.end()
  return await stream.outcome
}

describe('LeaseGrant', () => {
  test('grants the id that is asked for, and changes no revision', async () => {
    expect(await grant(7, 30)).toMatchObject({ ID: 7, TTL: 30, header: { revision: 1 } })
  })

  test('chooses a positive id if asked for none, another each time', async () => {
    const ids = await Promise.all(
      [1, 2, 3].map(async () => BigInt((await grant(0))['ID'] as number | bigint)),
    )
    expect(new Set(ids).size).toBe(3)
    for (const id of ids) expect(id > 0n && id < 2n ** 63n).toBe(true)
  })

  test('takes negative ids, and times that are too short, of which it makes 2 s', async () => {
    expect(await grant(-7, -1)).toMatchObject({ ID: -7, TTL: 2 })
    expect(await grant(8, 0)).toMatchObject({ TTL: 2 })
    expect(await grant(9, 1)).toMatchObject({ TTL: 2 })
  })

  test('refuses an id that is taken, and a time that is too long', async () => {
    await grant(7)
    await expect(grant(7)).rejects.toMatchObject({
      code: 9,
      details: 'etcdserver: lease already exists',
    })
    expect(await grant(8, 9_000_000_000)).toMatchObject({ TTL: 9_000_000_000 })
    await expect(grant(9, 9_000_000_001)).rejects.toMatchObject({
      code: 11,
      details: 'etcdserver: too large lease TTL',
    })
  })

  test('needs room, which revoking does not', async () => {
    await grant(7)
    await using full = await startHarness({ limits: { quotaBackendBytes: 1 } })
    await expect(full.client.call('Lease/LeaseGrant', { TTL: 5 })).rejects.toMatchObject({
      code: 8,
      details: 'etcdserver: mvcc: database space exceeded',
    })
  })

  test('the least time grows with the election timeout', async () => {
    await using slow = await startHarness({ electionTimeoutMs: 5_000 })
    expect(await slow.client.call('Lease/LeaseGrant', { TTL: 1 })).toMatchObject({ TTL: 8 })
    await expect(startHarness({ electionTimeoutMs: 0 })).rejects.toThrow(/electionTimeoutMs/)
  })
})

describe('LeaseRevoke', () => {
  test('deletes the attached keys in one revision', async () => {
    await grant(7)
    await put('b', 7)
    await put('a', 7)
    await put('c', 0)
    expect(await call('Lease/LeaseRevoke', { ID: 7 })).toMatchObject({ header: { revision: 5 } })
    const all = await call('KV/Range', { key: text('\0'), range_end: text('\0') })
    expect(all).toMatchObject({ count: 1, kvs: [{ key: 'c' }] })
  })

  test('of an unknown lease is not found', async () => {
    for (const ID of [7, 0])
      await expect(call('Lease/LeaseRevoke', { ID })).rejects.toMatchObject({
        code: 5,
        details: 'etcdserver: requested lease not found',
      })
  })
})

describe('LeaseKeepAlive', () => {
  test('answers each request in order, with no time where there is no lease', async () => {
    await grant(7, 30)
    await grant(8, 40)
    const { answers, code } = await keepAlive(harness, 8, 99, 7, 0)
    expect(code).toBe(0)
    expect(answers).toMatchObject([{ ID: 8, TTL: 40 }, { ID: 99 }, { ID: 7, TTL: 30 }, {}])
    expect(answers[1]).not.toHaveProperty('TTL')
    expect(answers[0]).toHaveProperty('header.revision', 1)
  })

  test('ends without an answer if nothing was asked', async () => {
    expect(await keepAlive(harness)).toEqual({ answers: [], code: 0, details: '' })
  })

  test('answers thousands on one stream, more than it takes in at a time', async () => {
    await grant(7)
    const { answers } = await keepAlive(harness, ...Array.from({ length: 5_000 }, () => 7))
    expect(answers).toHaveLength(5_000)
    expect(harness.node.commands.length).toBeLessThan(500)
  })

  test('ends with the error that kept a lease from being renewed', async () => {
    await grant(7)
    harness.node.failWith(new RaftError('STOPPED', 'stopped'))
    expect(await keepAlive(harness, 7)).toEqual({
      answers: [],
      code: 14,
      details: 'etcdserver: server stopped',
    })
  })

  test('waits for no more renewals than requests may wait', async () => {
    await using small = await startHarness({ limits: { maxPendingRequests: 1 } })
    const { node, client } = small
    await client.call('Lease/LeaseGrant', { ID: 7, TTL: 60 })
    for (let at = 0; at < 3; at++) {
      const { answers } = await keepAlive(small, 7)
      expect(answers).toHaveLength(1)
    }
    node.hold()
    const first = keepAlive(small, 7)
    await node.holding(1)
    expect(await keepAlive(small, 7)).toMatchObject({
      code: 8,
      details: 'etcdserver: too many requests',
    })
    node.release()
    expect((await first).answers).toHaveLength(1)
  })

  test('refuses bytes that are no request', async () => {
    await grant(7)
    const { code, details } = await keepAlive(harness, Uint8Array.of(0x08))
    expect(code).toBe(13)
    expect(details).toMatch(/^grpc: error unmarshalling request/)
  })

  test('lets go of a client that goes away, whatever it waits for', async () => {
    await grant(7)
    using stream = keepAlives()
    harness.node.hold()
    stream.send(7, 7, 7)
    await harness.node.holding(1)
    stream.cancel()
    expect(await stream.outcome).toMatchObject({ code: 1 })
    harness.node.release()
    expect(await keepAlive(harness, 7)).toMatchObject({ code: 0, answers: [{ TTL: 60 }] })
  })

  test('is refused by a member that has no vote', async () => {
    const { membership } = harness.node.status()
    const [id = ''] = membership.voters
    harness.node.changeStatus({
      term: 3,
      membership: { ...membership, voters: [], learners: [id] },
    })
    await expect
      .poll(() => keepAlive(harness, 7))
      .toMatchObject({ code: 9, details: 'etcdserver: rpc not supported for learner' })
  })

  test('ends with the server', async () => {
    using stream = keepAlives()
    await grant(7)
    harness.node.hold()
    stream.send(7)
    await harness.node.holding(1)
    await harness.server[Symbol.asyncDispose]()
    expect((await stream.outcome).code).not.toBe(0)
  })
})

describe('LeaseTimeToLive', () => {
  test('tells what is left, what was granted, and the keys if asked', async () => {
    await grant(7, 60)
    await put('b', 7)
    await put('a', 7)
    const told = await call('Lease/LeaseTimeToLive', { ID: 7 })
    expect(told).toMatchObject({ ID: 7, grantedTTL: 60, header: { revision: 3 } })
    expect(told).not.toHaveProperty('keys')
    const withKeys = await call('Lease/LeaseTimeToLive', { ID: 7, keys: true })
    expect(withKeys).toMatchObject({ keys: ['a', 'b'] })
  })

  test('of an unknown lease is -1, and no error', async () => {
    const told = await call('Lease/LeaseTimeToLive', { ID: 7, keys: true })
    expect(told).toMatchObject({ ID: 7, TTL: -1 })
    expect(told).not.toHaveProperty('grantedTTL')
  })

  test('asks a majority', async () => {
    harness.node.failWith(new RaftError('UNAVAILABLE', 'no majority'))
    await expect(call('Lease/LeaseTimeToLive', { ID: 7 })).rejects.toMatchObject({ code: 14 })
  })
})

describe('LeaseLeases', () => {
  test('lists all leases, those that end first before the others, and asks nobody', async () => {
    for (const [id, ttl] of [
      [1, 500],
      [2, 100],
      [3, 300],
    ] as const)
      await grant(id, ttl)
    harness.node.failWith(new RaftError('UNAVAILABLE', 'no majority'))
    expect(await call('Lease/LeaseLeases')).toMatchObject({
      leases: [{ ID: 2 }, { ID: 3 }, { ID: 1 }],
    })
  })
})
