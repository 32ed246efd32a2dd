import { CodecError } from '@coracle/raft-core/codec'
import { describe, expect, test } from 'vitest'
import {
  decodeCommand,
  encodeCommand,
  kvStateMachine,
  type KvResult,
  type KvStateMachine,
  type Lease,
} from '../src/index.ts'
import {
  apply,
  applyCompact,
  applyDelete,
  applyPut,
  applyTxn,
  op,
  pairs,
  read,
  text,
} from './requests.ts'

const NOT_FOUND = { type: 'failure', code: 'LEASE_NOT_FOUND' }

function grant(machine: KvStateMachine, id: bigint, ttl: number = 60): KvResult {
  return apply(machine, { type: 'lease-grant', request: { id, ttl } })
}

function revoke(machine: KvStateMachine, id: bigint, renewal: number = 0): KvResult {
  return apply(machine, { type: 'lease-revoke', request: { id, renewal } })
}

function renew(machine: KvStateMachine, ...ids: bigint[]): KvResult {
  return apply(machine, { type: 'lease-renew', request: { ids } })
}

function checkpoint(machine: KvStateMachine, ...leases: [bigint, number, number][]): KvResult {
  const checkpoints = leases.map(([id, renewal, remainingTtl]) => ({ id, renewal, remainingTtl }))
  return apply(machine, { type: 'lease-checkpoint', request: { checkpoints } })
}

function keysOf(machine: KvStateMachine, id: bigint): string[] {
  return machine.keysOfLease(id).map(text)
}

function leased(): KvStateMachine {
  const machine = kvStateMachine()
  grant(machine, 1n)
  grant(machine, 2n, 100)
  applyPut(machine, 'b', '1', { lease: 1n })
  applyPut(machine, 'a', '1', { lease: 1n })
  applyPut(machine, 'c', '1', { lease: 2n })
  return machine
}

describe('granting', () => {
  test('is no change of the store, so the revision stays', () => {
    const machine = kvStateMachine()
    expect(grant(machine, 7n, 30)).toEqual({ type: 'lease-grant', revision: 1 })
    expect(machine.lease(7n)).toEqual({ id: 7n, ttl: 30, remainingTtl: 30, renewal: 1 })
  })

  test('an id that is taken is refused, and the lease stays as it was', () => {
    const machine = leased()
    expect(grant(machine, 1n, 5)).toEqual({ type: 'failure', code: 'LEASE_EXISTS' })
    expect(machine.lease(1n)).toMatchObject({ ttl: 60, renewal: 1 })
  })

  test('takes every id of 64 bits but 0, and no time of 0', () => {
    const machine = kvStateMachine()
    for (const id of [-1n, -(2n ** 63n), 2n ** 63n - 1n]) grant(machine, id)
    expect(machine.leases().map(({ id }) => id)).toEqual([-(2n ** 63n), -1n, 2n ** 63n - 1n])
    const unknown = { type: 'failure', code: 'UNKNOWN_COMMAND' }
    expect(grant(machine, 0n)).toEqual(unknown)
    expect(grant(machine, 3n, 0)).toEqual(unknown)
  })
})

describe('attaching', () => {
  test('a key belongs to the lease of its last put, and to that alone', () => {
    const machine = leased()
    expect(keysOf(machine, 1n)).toEqual(['a', 'b'])
    applyPut(machine, 'a', '2', { lease: 2n })
    expect(keysOf(machine, 1n)).toEqual(['b'])
    expect(keysOf(machine, 2n)).toEqual(['a', 'c'])
  })

  test('a put without a lease detaches, one that ignores the lease does not', () => {
    const machine = leased()
    applyPut(machine, 'a', '2', { ignoreLease: true })
    applyPut(machine, 'b', '2')
    expect(keysOf(machine, 1n)).toEqual(['a'])
    expect(read(machine, 'a', 'c').kvs).toMatchObject([{ lease: 1n }, { lease: 0n }])
  })

  test('a deleted key is attached to nothing, nor is one that is created again', () => {
    const machine = leased()
    applyDelete(machine, 'a')
    expect(keysOf(machine, 1n)).toEqual(['b'])
    applyPut(machine, 'a', 'new')
    revoke(machine, 1n)
    expect(pairs(read(machine, 'a', 'z'))).toEqual(['a=new', 'c=1'])
  })

  test('transactions attach and detach like the puts and deletes in them', () => {
    const machine = leased()
    applyTxn(machine, {
      success: [op.del('a'), op.put('b', '', { lease: 2n }), op.put('d', '', { lease: 1n })],
    })
    expect(keysOf(machine, 1n)).toEqual(['d'])
    expect(keysOf(machine, 2n)).toEqual(['b', 'c'])
  })

  test('an unknown lease is refused before anything has changed, in transactions too', () => {
    const machine = leased()
    const { revision } = machine
    expect(applyPut(machine, 'a', '2', { lease: 9n })).toEqual(NOT_FOUND)
    const success = [op.put('a', '2'), op.txn({ success: [op.put('n', '', { lease: 9n })] })]
    expect(applyTxn(machine, { success })).toEqual(NOT_FOUND)
    expect(machine.revision).toBe(revision)
    expect(keysOf(machine, 1n)).toEqual(['a', 'b'])
  })

  test('history and its compaction do not count', () => {
    const machine = leased()
    applyPut(machine, 'a', '2')
    applyDelete(machine, 'b')
    applyCompact(machine, machine.revision)
    expect(keysOf(machine, 1n)).toEqual([])
    expect(keysOf(machine, 2n)).toEqual(['c'])
  })
})

describe('revoking', () => {
  test('deletes all attached keys in one revision, in the order of the keys', async () => {
    const machine = leased()
    expect(revoke(machine, 1n)).toEqual({ type: 'lease-revoke', revoked: true, revision: 5 })
    expect(machine.revision).toBe(5)
    expect(pairs(read(machine, 'a', 'z'))).toEqual(['c=1'])
    expect(machine.lease(1n)).toBeNull()
    // The hash covers the order of the changes within a revision.
    const byHand = leased()
    applyTxn(byHand, { success: [op.del('a'), op.del('b')] })
    expect(machine.hashKv(0)).toEqual(byHand.hashKv(0))
  })

  test('a lease without keys goes without a revision', () => {
    const machine = kvStateMachine()
    grant(machine, 1n)
    expect(revoke(machine, 1n)).toEqual({ type: 'lease-revoke', revoked: true, revision: 1 })
    expect(machine.revision).toBe(1)
  })

  test('an unknown lease is not found, and neither is one for the second time', () => {
    const machine = leased()
    revoke(machine, 1n)
    expect(revoke(machine, 1n)).toEqual(NOT_FOUND)
    expect(revoke(machine, 0n)).toEqual(NOT_FOUND)
    expect(applyPut(machine, 'a', '', { lease: 1n })).toEqual(NOT_FOUND)
  })

  test('for want of time, it does nothing to a lease that was renewed since', () => {
    const machine = leased()
    renew(machine, 1n)
    const { revision } = machine
    expect(revoke(machine, 1n, 1)).toEqual({ type: 'lease-revoke', revoked: false, revision })
    expect(keysOf(machine, 1n)).toEqual(['a', 'b'])
    expect(revoke(machine, 1n, 3)).toMatchObject({ revoked: true })
  })

  test('for want of time, it does nothing to a new lease of the same id', () => {
    const machine = leased()
    revoke(machine, 1n)
    grant(machine, 1n)
    expect(revoke(machine, 1n, 1)).toMatchObject({ revoked: false })
    expect(machine.lease(1n)).not.toBeNull()
  })
})

describe('renewing and writing down', () => {
  test('a renewal answers the time granted, 0 where there is no lease, and is no revision', () => {
    const machine = leased()
    const { revision } = machine
    expect(renew(machine, 2n, 9n, 1n)).toEqual({
      type: 'lease-renew',
      ttls: [100, 0, 60],
      revision,
    })
    expect(machine.lease(2n)?.renewal).toBe(3)
    expect(machine.lease(1n)?.renewal).toBe(4)
  })

  test('a checkpoint says what is left until the next renewal, and never more than was known', () => {
    const machine = leased()
    checkpoint(machine, [1n, 1, 40], [9n, 1, 5])
    expect(machine.lease(1n)).toEqual({ id: 1n, ttl: 60, remainingTtl: 40, renewal: 1 })
    checkpoint(machine, [1n, 1, 50])
    expect(machine.lease(1n)?.remainingTtl).toBe(40)
    renew(machine, 1n)
    expect(machine.lease(1n)?.remainingTtl).toBe(60)
  })

  test('a checkpoint from before a renewal does not shorten it', () => {
    const machine = leased()
    renew(machine, 1n)
    checkpoint(machine, [1n, 1, 10])
    expect(machine.lease(1n)?.remainingTtl).toBe(60)
  })
})

describe('those who follow', () => {
  test('are told of what happened, as it happens, until they stop', () => {
    const machine = kvStateMachine()
    const seen: string[] = []
    const of = ({ id, remainingTtl }: Lease): string => `${id} ${remainingTtl}`
    const stop = machine.followLeases({
      renewed: (lease) => seen.push(`renewed ${of(lease)}`),
      checkpointed: (lease) => seen.push(`checkpointed ${of(lease)}`),
      ended: (id) => seen.push(`ended ${id}`),
      restored: () => seen.push('restored'),
    })
    grant(machine, 1n)
    grant(machine, 1n)
    checkpoint(machine, [1n, 1, 9], [1n, 1, 10])
    renew(machine, 1n, 5n)
    revoke(machine, 1n, 1)
    revoke(machine, 1n)
    const expected = ['renewed 1 60', 'checkpointed 1 9', 'renewed 1 60', 'ended 1']
    expect(seen).toEqual(expected)
    stop()
    grant(machine, 2n)
    expect(seen).toEqual(expected)
  })
})

describe('snapshots', () => {
  test('hold leases, what is left of them, and who holds which key', async () => {
    const original = leased()
    checkpoint(original, [2n, 2, 33])
    applyPut(original, 'a', '2')
    const machine = kvStateMachine()
    grant(machine, 77n)
    const restored: string[] = []
    machine.followLeases({
      renewed: () => {},
      checkpointed: () => {},
      ended: () => {},
      restored: () => restored.push(...machine.leases().map(({ id }) => String(id))),
    })
    await machine.restore(original.snapshot())
    expect(restored).toEqual(['1', '2'])
    expect(machine.leases()).toEqual(original.leases())
    expect(keysOf(machine, 1n)).toEqual(['b'])
    expect(machine.hash()).toBe(original.hash())
    // No renewal after the snapshot may have a number from before it.
    renew(machine, 1n)
    renew(original, 1n)
    expect(machine.lease(1n)).toEqual(original.lease(1n))
  })

  test('are not touched by what happens to leases after them', async () => {
    const machine = leased()
    const snapshot = machine.snapshot()
    renew(machine, 1n)
    revoke(machine, 2n)
    grant(machine, 3n)
    const copy = kvStateMachine()
    await copy.restore(snapshot)
    expect(copy.leases()).toEqual(leased().leases())
    expect(keysOf(copy, 2n)).toEqual(['c'])
  })

  test('hold more leases than fit in a block', async () => {
    const machine = kvStateMachine()
    for (let id = 1n; id <= 5_000n; id++) grant(machine, id)
    const copy = kvStateMachine()
    await copy.restore(machine.snapshot())
    expect(copy.leases()).toEqual(machine.leases())
  })

  test('of another version are refused', async () => {
    const chunks: Uint8Array[] = []
    for await (const chunk of leased().snapshot()) chunks.push(chunk)
    chunks[0] = Uint8Array.of(0x43, 0x4b, 0x56, 0x53, 1)
    await expect(kvStateMachine().restore(stream(chunks))).rejects.toThrow(CodecError)
  })

  test('the hash of everything covers leases', () => {
    const machine = leased()
    const before = machine.hash()
    renew(machine, 1n)
    expect(machine.hash()).not.toBe(before)
    expect(machine.hashKv(0)).toEqual(leased().hashKv(0))
  })
})

test('a lease and its keys take memory that is counted, and given back', () => {
  const machine = kvStateMachine()
  applyPut(machine, 'a')
  const { size } = machine
  grant(machine, 1n)
  expect(machine.size).toBeGreaterThan(size)
  revoke(machine, 1n)
  expect(machine.size).toBe(size)
})

test('a count of leases that cannot be there is refused before memory is taken for it', () => {
  const data = encodeCommand({ type: 'lease-renew', request: { ids: [1n] } }).slice()
  data.set([0xff, 0xff, 0xff, 0xff], 2)
  expect(() => decodeCommand(data)).toThrow(CodecError)
})

async function* stream(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void, undefined> {
  for (const chunk of chunks) yield await Promise.resolve(chunk)
}
