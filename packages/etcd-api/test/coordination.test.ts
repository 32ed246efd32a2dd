/** v3lockpb and v3electionpb: who comes first, who waits, and what is left when somebody gives up. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ClientUnaryCall } from '@grpc/grpc-js'
import { type Harness, startHarness, text } from './harness.ts'

let harness: Harness
beforeEach(async () => {
  harness = await startHarness()
})
afterEach(() => harness[Symbol.asyncDispose]())

type Answer = Record<string, unknown>

async function grant(id: number): Promise<number> {
  await harness.client.call('Lease/LeaseGrant', { ID: id, TTL: 60 })
  return id
}

const lock = (lease: number, onCall?: (call: ClientUnaryCall) => void): Promise<Answer> =>
  harness.client.call('Lock/Lock', { name: text('l'), lease }, onCall ? { onCall } : {})
const unlock = (key: unknown): Promise<Answer> =>
  harness.client.call('Lock/Unlock', { key: text(String(key)) })
const campaign = (lease: number, value: string): Promise<Answer> =>
  harness.client.call('Election/Campaign', { name: text('e'), lease, value: text(value) })
const leaderOf = (answer: Answer): object => {
  const { name, key, ...rest } = answer['leader'] as Record<string, string>
  return { name: text(name ?? ''), key: text(key ?? ''), ...rest }
}

/** The keys that there are, once there are so many. */
async function keys(count: number): Promise<readonly string[]> {
  for (;;) {
    const { kvs = [] } = await harness.client.call('KV/Range', {
      key: text('\0'),
      range_end: text('\0'),
    })
    const found = (kvs as { key: string }[]).map(({ key }) => key)
    if (found.length === count) return found
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

function settled(promise: Promise<unknown>): Promise<boolean> {
  const later = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 30))
  return Promise.race([promise.then(() => true), later])
}

describe('a lock', () => {
  test('belongs to the key name/<lease in hexadecimal>, and to the same lease as often as it asks', async () => {
    const lease = await grant(0xabc)
    expect(await lock(lease)).toMatchObject({ key: 'l/abc', header: { revision: 2 } })
    expect(await lock(lease)).toMatchObject({ key: 'l/abc' })
    expect(await keys(1)).toEqual(['l/abc'])
  })

  test('without a lease gets one of 60 seconds', async () => {
    const { key } = await lock(0)
    const [, id] = String(key).split('/')
    const lease = harness.stateMachine.lease(BigInt(`0x${id}`))
    expect(lease).toMatchObject({ ttl: 60 })
  })

  test('goes from one to the next in the order in which they came', async () => {
    const [a, b, c] = [await grant(1), await grant(2), await grant(3)]
    await lock(a)
    const second = lock(b)
    await keys(2)
    const third = lock(c)
    await keys(3)
    expect(await settled(second)).toBe(false)
    await unlock('l/1')
    expect(await second).toMatchObject({ key: 'l/2' })
    expect(await settled(third)).toBe(false)
    // The end of a lease does the same.
    await harness.client.call('Lease/LeaseRevoke', { ID: b })
    expect(await third).toMatchObject({ key: 'l/3' })
  })

  test('whoever gives up in the middle of the line holds up nobody', async () => {
    const [a, b, c] = [await grant(1), await grant(2), await grant(3)]
    await lock(a)
    const calls: ClientUnaryCall[] = []
    const second = lock(b, (call) => calls.push(call)).catch(
      (error: { code: number }) => error.code,
    )
    await keys(2)
    const third = lock(c)
    await keys(3)
    calls[0]?.cancel()
    expect(await second).toBe(1)
    expect(await keys(2)).toEqual(['l/1', 'l/3'])
    await unlock('l/1')
    expect(await third).toMatchObject({ key: 'l/3' })
  })

  test('is not given to a lease that ended while it waited', async () => {
    const [a, b] = [await grant(1), await grant(2)]
    await lock(a)
    const expired = { code: 2, details: 'mutex: session is expired' }
    const refused = expect(lock(b)).rejects.toMatchObject(expired)
    await keys(2)
    await harness.client.call('Lease/LeaseRevoke', { ID: b })
    await unlock('l/1')
    await refused
    expect(await keys(0)).toEqual([])
  })

  test('for a lease that does not exist is refused in etcd’s words', async () => {
    await expect(lock(99)).rejects.toMatchObject({
      code: 5,
      details: 'etcdserver: requested lease not found',
    })
  })

  test('that is waited for when the member stops ends the call', async () => {
    await lock(await grant(1))
    const stopped = { code: 14, details: 'etcdserver: server stopped' }
    const refused = expect(lock(await grant(2))).rejects.toMatchObject(stopped)
    await keys(2)
    await harness.server[Symbol.asyncDispose]()
    await refused
  })
})

describe('an election', () => {
  test('has the first candidate for its leader, then the next', async () => {
    const first = await campaign(await grant(1), 'one')
    expect(first).toMatchObject({ leader: { name: 'e', key: 'e/1', rev: 2, lease: 1 } })
    const second = campaign(await grant(2), 'two')
    await keys(2)
    expect(await settled(second)).toBe(false)
    const leader = () => harness.client.call('Election/Leader', { name: text('e') })
    expect(await leader()).toMatchObject({ kv: { key: 'e/1', value: 'one' } })
    await harness.client.call('Election/Proclaim', { leader: leaderOf(first), value: text('uno') })
    expect(await leader()).toMatchObject({ kv: { key: 'e/1', value: 'uno', version: 2 } })
    await harness.client.call('Election/Resign', { leader: leaderOf(first) })
    expect(await second).toMatchObject({ leader: { key: 'e/2', rev: 3 } })
    expect(await leader()).toMatchObject({ kv: { value: 'two' } })
  })

  test('campaigning again under the same lease says the new value', async () => {
    await campaign(await grant(1), 'one')
    // As in etcd, the header is from when the place in the line was found.
    expect(await campaign(1, 'uno')).toMatchObject({
      header: { revision: 2 },
      leader: { key: 'e/1', rev: 2 },
    })
    const { kv } = await harness.client.call('Election/Leader', { name: text('e') })
    expect(kv).toMatchObject({ value: 'uno', create_revision: 2 })
  })

  test('proclaiming without a lease gets one of 60 seconds, and not a leader for ever', async () => {
    const first = await campaign(await grant(1), 'one')
    const leader = { ...leaderOf(first), lease: 0 }
    await harness.client.call('Election/Proclaim', { leader, value: text('uno') })
    const { kv } = await harness.client.call('Election/Leader', { name: text('e') })
    const { value, lease } = kv as { value: string; lease: bigint | number }
    expect(value).toBe('uno')
    expect(harness.stateMachine.lease(BigInt(lease))).toMatchObject({ ttl: 60 })
  })

  test('whoever has lost it can proclaim nothing, and resigning from it changes nothing', async () => {
    const first = await campaign(await grant(1), 'one')
    await harness.client.call('Lease/LeaseRevoke', { ID: 1 })
    const again = await campaign(await grant(1), 'again')
    await expect(
      harness.client.call('Election/Proclaim', { leader: leaderOf(first), value: text('x') }),
    ).rejects.toMatchObject({ code: 2, details: 'election: not leader' })
    await harness.client.call('Election/Resign', { leader: leaderOf(first) })
    const { kv } = await harness.client.call('Election/Leader', { name: text('e') })
    expect(kv).toMatchObject({ value: 'again' })
    expect(leaderOf(again)).toMatchObject({ lease: 1 })
  })

  test('without a candidate has no leader, and without a leader there is nothing to give up', async () => {
    await expect(harness.client.call('Election/Leader', { name: text('e') })).rejects.toMatchObject(
      { code: 2, details: 'election: no leader' },
    )
    const missing = { code: 2, details: '"leader" field must be provided' }
    await expect(harness.client.call('Election/Resign', {})).rejects.toMatchObject(missing)
    await expect(harness.client.call('Election/Proclaim', {})).rejects.toMatchObject(missing)
  })

  test('tells its observers of every leader and all that it says', async () => {
    const seen: string[] = []
    const observed = harness.client.follow('Election/Observe', { name: text('e') }, (message) => {
      seen.push((message['kv'] as { value: string }).value)
    })
    const sees = async (wanted: readonly string[]): Promise<void> => {
      while (seen.length < wanted.length) await new Promise((resolve) => setTimeout(resolve, 5))
      expect(seen).toEqual(wanted)
    }
    const first = await campaign(await grant(1), 'one')
    await sees(['one'])
    await harness.client.call('Election/Proclaim', { leader: leaderOf(first), value: text('uno') })
    await sees(['one', 'uno'])
    const second = campaign(await grant(2), 'two')
    await keys(2)
    await harness.client.call('Election/Resign', { leader: leaderOf(first) })
    await second
    await sees(['one', 'uno', 'two'])
    await harness.client.call('Lease/LeaseRevoke', { ID: 2 })
    await campaign(await grant(3), 'three')
    await sees(['one', 'uno', 'two', 'three'])
    observed.cancel()
  })
})
