import { describe, expect, test } from 'vitest'
import { encodeCommand, type KvCommand } from '@coracle/kv-state-machine'
import { RaftError } from '@coracle/raft-core'
import { fakeCluster, type FakeCluster } from './fake-cluster.ts'
import { text } from './harness.ts'

/** The leader looks five times a second. */
const LOOK_MS = 200
const ELECTION_MS = 1_000

async function led(ids: readonly string[] = ['a', 'b', 'c']): Promise<FakeCluster> {
  const cluster = fakeCluster(ids)
  await cluster.pass(LOOK_MS)
  return cluster
}

/** Grants a lease and attaches a key of its name. */
async function grant(cluster: FakeCluster, id: number, ttl: number, by = 'a'): Promise<void> {
  await cluster.member(by).lease('LeaseGrant', { ID: id, TTL: ttl })
}

function exists(cluster: FakeCluster, id: number, at = 'a'): boolean {
  return cluster.member(at).stateMachine.lease(BigInt(id)) !== null
}

async function renew(cluster: FakeCluster, id: number, by = 'a'): Promise<number> {
  const answer = cluster.member(by).renew(id)
  await cluster.pass(20)
  return await answer
}

function countOf(cluster: FakeCluster, type: KvCommand['type']): number {
  return cluster.log.filter((command) => command.type === type).length
}

describe('the time of a lease', () => {
  test('is over when it is over, and not before', async () => {
    await using cluster = await led()
    await grant(cluster, 1, 10)
    await cluster.pass(9_990)
    expect(exists(cluster, 1)).toBe(true)
    await cluster.pass(10 + LOOK_MS)
    expect(exists(cluster, 1)).toBe(false)
    expect(exists(cluster, 1, 'c')).toBe(false)
  })

  test('takes its keys with it', async () => {
    await using cluster = await led()
    await grant(cluster, 1, 2)
    const { stateMachine } = cluster.member('a')
    const request = { key: text('k'), value: text('v'), lease: 1n, prevKv: false }
    const command = { ...request, ignoreValue: false, ignoreLease: false }
    stateMachine.apply([
      { index: 2, term: 1, data: encodeCommand({ type: 'put', request: command }) },
    ])
    expect(stateMachine.keyCount).toBe(1)
    await cluster.pass(2_000 + LOOK_MS)
    expect(stateMachine.keyCount).toBe(0)
  })

  test('begins anew with each keep-alive, on whatever member', async () => {
    await using cluster = await led()
    await grant(cluster, 1, 10)
    for (const by of ['a', 'b', 'c']) {
      await cluster.pass(9_000)
      expect(await renew(cluster, 1, by)).toBe(10)
    }
    await cluster.pass(9_900)
    expect(exists(cluster, 1)).toBe(true)
    await cluster.pass(100 + LOOK_MS)
    expect(exists(cluster, 1)).toBe(false)
    expect(await renew(cluster, 1, 'b')).toBe(0)
  })

  test('ends for nobody while nobody leads', async () => {
    await using cluster = await led()
    await grant(cluster, 1, 2)
    cluster.elect(null)
    await cluster.pass(60_000)
    expect(exists(cluster, 1)).toBe(true)
    expect(countOf(cluster, 'lease-revoke')).toBe(0)
  })

  test('is raised to what outlives an election', async () => {
    await using cluster = await led()
    const granted = await cluster.member('b').lease('LeaseGrant', { ID: 0, TTL: -3 })
    expect(granted).toMatchObject({ TTL: 2 })
  })
})

describe('a change of leader', () => {
  test('leaves a lease what it had, and an election timeout more', async () => {
    await using cluster = await led()
    await grant(cluster, 1, 60)
    await cluster.pass(40_000)
    cluster.elect('b')
    await cluster.pass(LOOK_MS)
    await cluster.pass(20_000 + ELECTION_MS - 2 * LOOK_MS)
    expect(exists(cluster, 1)).toBe(true)
    await cluster.pass(2 * LOOK_MS)
    expect(exists(cluster, 1)).toBe(false)
  })

  test('gives a lease whose time passed meanwhile an election timeout to be renewed in', async () => {
    await using cluster = await led()
    await grant(cluster, 1, 5)
    await grant(cluster, 2, 5)
    cluster.elect(null)
    await cluster.pass(30_000)
    cluster.elect('c')
    await cluster.pass(LOOK_MS)
    expect(await renew(cluster, 1, 'b')).toBe(5)
    await cluster.pass(ELECTION_MS + LOOK_MS)
    expect(exists(cluster, 1)).toBe(true)
    expect(exists(cluster, 2)).toBe(false)
  })

  test('to a member that was not there leaves what was last written down', async () => {
    await using cluster = await led()
    await grant(cluster, 1, 60)
    await cluster.pass(31_000)
    expect(countOf(cluster, 'lease-checkpoint')).toBe(1)
    await cluster.restart('b', 'a')
    cluster.elect('b')
    await cluster.pass(30_000)
    expect(exists(cluster, 1)).toBe(true)
    await cluster.pass(2 * ELECTION_MS)
    expect(exists(cluster, 1)).toBe(false)
  })

  test('to one that knew less makes it believe what its predecessor wrote down', async () => {
    await using cluster = await led(['a', 'b'])
    await grant(cluster, 1, 60)
    await cluster.pass(10_000)
    await cluster.restart('b', 'a')
    cluster.elect('b')
    await cluster.pass(LOOK_MS)
    const checkpoints = [{ id: 1n, renewal: 1, remainingTtl: 20 }]
    const data = encodeCommand({ type: 'lease-checkpoint', request: { checkpoints } })
    for (const id of ['a', 'b'])
      cluster.member(id).stateMachine.apply([{ index: 9, term: 2, data }])
    await cluster.pass(19_000)
    expect(exists(cluster, 1)).toBe(true)
    await cluster.pass(1_000 + LOOK_MS)
    expect(exists(cluster, 1)).toBe(false)
  })

  test('ends the old leader’s work at once', async () => {
    await using cluster = await led()
    for (let id = 1; id <= 500; id++) await grant(cluster, id, 2)
    cluster.hold()
    await cluster.pass(2_000 + LOOK_MS)
    await cluster.pass(2 * LOOK_MS)
    expect(cluster.mostInFlight).toBe(16)
    cluster.elect('b')
    await cluster.release()
    expect(countOf(cluster, 'lease-revoke')).toBe(16)
  })
})

describe('a leader that stood still', () => {
  test('revokes nothing before a majority has confirmed that it leads', async () => {
    await using cluster = await led()
    const leader = cluster.member('a')
    await grant(cluster, 1, 5)
    leader.onRead = () => Promise.reject(new RaftError('UNAVAILABLE', 'nobody answers'))
    await cluster.freeze(60_000)
    await cluster.pass(10_000)
    expect(countOf(cluster, 'lease-revoke')).toBe(0)
    leader.onRead = null
    await cluster.pass(LOOK_MS)
    expect(countOf(cluster, 'lease-revoke')).toBe(1)
  })

  test('revokes nothing if another leads by the time it hears from the majority', async () => {
    await using cluster = await led()
    await grant(cluster, 1, 5)
    cluster.member('a').onRead = async () => {
      cluster.elect('b')
      await renewed
    }
    const renewed = Promise.resolve()
    await cluster.freeze(4_900)
    await cluster.pass(ELECTION_MS + LOOK_MS)
    expect(countOf(cluster, 'lease-revoke')).toBe(0)
    expect(exists(cluster, 1)).toBe(true)
  })

  test('gives clients an election timeout to come back in', async () => {
    await using cluster = await led()
    await grant(cluster, 1, 5)
    await cluster.freeze(60_000)
    await cluster.pass(ELECTION_MS - LOOK_MS)
    expect(await renew(cluster, 1)).toBe(5)
    await cluster.pass(4_000)
    expect(exists(cluster, 1)).toBe(true)
  })

  test('in the middle of its work asks the majority again', async () => {
    await using cluster = await led(['a'])
    for (let id = 1; id <= 100; id++) await grant(cluster, id, 5)
    cluster.hold()
    await cluster.pass(5_000 + LOOK_MS)
    cluster.member('a').onRead = () => Promise.reject(new RaftError('UNAVAILABLE', 'nobody'))
    cluster.jump(10_000)
    await cluster.release()
    await cluster.pass(10_000)
    expect(countOf(cluster, 'lease-revoke')).toBe(16)
  })

  test('hears of renewals while it asks the majority, and lets those leases be', async () => {
    await using cluster = await led()
    await grant(cluster, 1, 5)
    await grant(cluster, 2, 5)
    const { stateMachine } = cluster.member('a')
    cluster.member('a').onRead = async () => {
      const data = encodeCommand({ type: 'lease-renew', request: { ids: [1n] } })
      stateMachine.apply([{ index: 9, term: 2, data }])
    }
    await cluster.pass(5_000 + LOOK_MS)
    expect(exists(cluster, 1)).toBe(true)
    expect(exists(cluster, 2)).toBe(false)
    expect(countOf(cluster, 'lease-revoke')).toBe(1)
  })

  test('and does not know that it was replaced, ends no lease that was renewed since', async () => {
    await using cluster = await led()
    await grant(cluster, 1, 5)
    const old = cluster.member('a')
    old.isStale = true
    cluster.hold()
    await cluster.pass(5_000 + LOOK_MS)
    // Its revocation is on the way, and a renewal is faster.
    expect(countOf(cluster, 'lease-revoke')).toBe(0)
    const { stateMachine } = old
    for (const id of ['a', 'b', 'c']) {
      const data = encodeCommand({ type: 'lease-renew', request: { ids: [1n] } })
      cluster.member(id).stateMachine.apply([{ index: 9, term: 2, data }])
    }
    await cluster.release()
    expect(countOf(cluster, 'lease-revoke')).toBe(1)
    expect(stateMachine.lease(1n)).toMatchObject({ renewal: 2 })
    await cluster.pass(4_000)
    expect(exists(cluster, 1)).toBe(true)
    await cluster.pass(1_000 + LOOK_MS)
    expect(exists(cluster, 1)).toBe(false)
  })
})

describe('many leases at once', () => {
  test('end at no more than 1000 a second, 16 at a time', async () => {
    await using cluster = await led(['a'])
    for (let id = 1; id <= 2_500; id++) await grant(cluster, id, 5)
    await cluster.pass(4_990)
    expect(countOf(cluster, 'lease-revoke')).toBe(0)
    await cluster.pass(1_000)
    expect(countOf(cluster, 'lease-revoke')).toBeLessThanOrEqual(1_000)
    expect(countOf(cluster, 'lease-revoke')).toBeGreaterThan(700)
    await cluster.pass(2_000)
    expect(cluster.member('a').stateMachine.leases()).toEqual([])
    expect(cluster.mostInFlight).toBeLessThanOrEqual(16)
  })

  test('that could not be revoked are tried again', async () => {
    await using cluster = await led()
    await grant(cluster, 1, 2)
    cluster.failWith(new RaftError('PROPOSAL_DROPPED', 'no room'))
    await cluster.pass(5_000)
    expect(exists(cluster, 1)).toBe(true)
    cluster.failWith(null)
    await cluster.pass(LOOK_MS)
    expect(exists(cluster, 1)).toBe(false)
  })

  test('are renewed by one entry', async () => {
    await using cluster = await led()
    for (let id = 1; id <= 500; id++) await grant(cluster, id, 60)
    const answers = Array.from({ length: 500 }, (_, at) => cluster.member('b').renew(at + 1))
    await cluster.pass(20)
    expect(new Set(await Promise.all(answers))).toEqual(new Set([60]))
    expect(countOf(cluster, 'lease-renew')).toBe(1)
  })
})

describe('what is left of a lease is written down', () => {
  test('when half of it has passed, and half of the rest, but not for a few seconds', async () => {
    await using cluster = await led()
    await grant(cluster, 1, 60)
    const seen = (): number[] =>
      cluster.log.flatMap((command) =>
        command.type === 'lease-checkpoint'
          ? command.request.checkpoints.map(({ remainingTtl }) => remainingTtl)
          : [],
      )
    await cluster.pass(29_800)
    expect(seen()).toEqual([])
    await cluster.pass(30_000)
    expect(seen()).toEqual([30, 15, 8])
    expect(exists(cluster, 1)).toBe(true)
  })

  test('every five minutes where it lasts for long', async () => {
    await using cluster = await led(['a'])
    await grant(cluster, 1, 86_400)
    await cluster.freeze(0)
    for (let minute = 0; minute < 31; minute++) {
      // Looking five times a second for half an hour is a lot of looking.
      for (let at = 0; at < 60; at++) await cluster.freeze(1_000)
    }
    expect(countOf(cluster, 'lease-checkpoint')).toBe(6)
  })

  test('not if its client renews it in good time', async () => {
    await using cluster = await led(['a'])
    await grant(cluster, 1, 30)
    for (let at = 0; at < 10; at++) {
      await cluster.pass(10_000)
      await renew(cluster, 1)
    }
    expect(countOf(cluster, 'lease-checkpoint')).toBe(0)
  })

  test('for many leases in one entry', async () => {
    await using cluster = await led(['a'])
    for (let id = 1; id <= 900; id++) await grant(cluster, id, 60)
    await cluster.pass(30_000 + LOOK_MS)
    expect(countOf(cluster, 'lease-checkpoint')).toBe(1)
  })
})

describe('the time to live', () => {
  test('is told by every member, in whole seconds, cut', async () => {
    await using cluster = await led()
    await grant(cluster, 1, 60)
    await cluster.pass(10_500)
    for (const id of ['a', 'b', 'c'])
      expect(await cluster.member(id).lease('LeaseTimeToLive', { ID: 1 })).toMatchObject({
        TTL: 49,
        grantedTTL: 60,
      })
  })

  test('is never more than was granted, and 0 once it is over', async () => {
    await using cluster = await led()
    await grant(cluster, 1, 60)
    cluster.elect('b')
    await cluster.pass(LOOK_MS)
    const ask = () => cluster.member('b').lease('LeaseTimeToLive', { ID: 1 })
    expect(await ask()).toMatchObject({ TTL: 60 })
    cluster.failWith(new RaftError('PROPOSAL_DROPPED', 'no room'))
    await cluster.pass(62_000)
    expect(await ask()).toMatchObject({ TTL: 0 })
  })

  test('waits until this member knows what the others know', async () => {
    await using cluster = await led()
    cluster.member('b').onRead = () => grant(cluster, 1, 60)
    const answer = await cluster.member('b').lease('LeaseTimeToLive', { ID: 1 })
    expect(answer).toMatchObject({ grantedTTL: 60 })
  })
})

test('a member that gets a snapshot keeps the time it knows, and counts anew what was renewed', async () => {
  await using cluster = await led(['a', 'b'])
  const { stateMachine } = cluster.member('b')
  await grant(cluster, 1, 60)
  await grant(cluster, 2, 60)
  await cluster.pass(20_000)
  const other = cluster.member('a').stateMachine
  const data = encodeCommand({ type: 'lease-renew', request: { ids: [2n] } })
  other.apply([{ index: 9, term: 2, data }])
  await stateMachine.restore(other.snapshot())
  const ask = (ID: number) => cluster.member('b').lease('LeaseTimeToLive', { ID })
  expect(await ask(1)).toMatchObject({ TTL: 40 })
  expect(await ask(2)).toMatchObject({ TTL: 60 })
})

test('nothing is revoked once the service is disposed', async () => {
  const cluster = await led()
  await grant(cluster, 1, 2)
  await cluster[Symbol.asyncDispose]()
  await cluster.pass(60_000)
  expect(exists(cluster, 1)).toBe(true)
})
