/** What a state machine counts. The numbers are those of etcd 3.4 for the same requests. */
import { beforeEach, describe, expect, test } from 'vitest'
import { kvStateMachine, type KvCounts, type KvStateMachine } from '../src/index.ts'
import {
  apply,
  applyCompact,
  applyDelete,
  applyPut,
  applyTxn,
  compare,
  op,
  range,
  txn,
} from './requests.ts'

let machine: KvStateMachine
beforeEach(() => {
  machine = kvStateMachine()
  applyPut(machine, 'a', '12345')
})

/** By how much the numbers grow; those that stay are left out. */
function growth(act: () => unknown): Partial<KvCounts> {
  const before: KvCounts = { ...machine.counts }
  act()
  const names = ['puts', 'deletes', 'ranges', 'txns', 'putBytes', 'compactedChanges'] as const
  const grown = names.map((name) => [name, machine.counts[name] - before[name]] as const)
  return Object.fromEntries(grown.filter(([, by]) => by !== 0))
}

const exists = compare('a', 'greater', { type: 'version', value: 0 })
const isNew = compare('a', 'equal', { type: 'version', value: 0 })

describe('alone', () => {
  test('a put', () => {
    expect(growth(() => applyPut(machine, 'abc', '12'))).toEqual({ puts: 1, putBytes: 5 })
  })

  test('a put that has to look first', () => {
    const looked = { puts: 1, ranges: 1, txns: 1 }
    expect(growth(() => applyPut(machine, 'a', '1', { prevKv: true }))).toEqual({
      ...looked,
      putBytes: 2,
    })
    expect(growth(() => applyPut(machine, 'a', '', { ignoreValue: true }))).toEqual({
      ...looked,
      putBytes: 2,
    })
    expect(growth(() => applyPut(machine, 'none', '', { ignoreValue: true }))).toEqual({
      ranges: 1,
    })
  })

  test('nothing of a put that is refused without a look', () => {
    expect(growth(() => applyPut(machine, 'a', '', { lease: 7n }))).toEqual({})
  })

  test('a delete, whatever it finds', () => {
    expect(growth(() => applyDelete(machine, 'none'))).toEqual({ deletes: 1 })
    applyPut(machine, 'a1')
    expect(growth(() => applyDelete(machine, 'a', 'b'))).toEqual({ deletes: 1 })
    const looked = { deletes: 1, ranges: 1, txns: 1 }
    expect(growth(() => applyDelete(machine, 'a', 'b', { prevKv: true }))).toEqual(looked)
  })

  test('a range, and one that fails', () => {
    expect(growth(() => machine.range(range('a')))).toEqual({ ranges: 1 })
    expect(growth(() => machine.range(range('a', '', { revision: 99 })))).toEqual({ ranges: 1 })
    expect(growth(() => applyPut(machine, 'a'))).toMatchObject({ puts: 1 })
  })

  test('the end of a lease, by its keys', () => {
    apply(machine, { type: 'lease-grant', request: { id: 7n, ttl: 60 } })
    applyPut(machine, 'l1', '', { lease: 7n })
    applyPut(machine, 'l2', '', { lease: 7n })
    const revoke = { id: 7n, renewal: 0 }
    expect(growth(() => apply(machine, { type: 'lease-revoke', request: revoke }))).toEqual({
      deletes: 2,
      txns: 1,
    })
  })

  test('a compaction, by what it takes away', () => {
    applyPut(machine, 'a', '2')
    applyDelete(machine, 'a')
    applyPut(machine, 'b')
    expect(growth(() => applyCompact(machine, machine.revision))).toEqual({
      ranges: 1,
      compactedChanges: 3,
    })
    expect(growth(() => applyCompact(machine, machine.revision))).toEqual({})
  })

  test('what a compaction takes away later, once', () => {
    machine = kvStateMachine({ sweepAtOnce: 0, sweepPerCommand: 1 })
    for (let at = 0; at < 5; at++) applyPut(machine, 'a')
    applyCompact(machine, machine.revision)
    expect(machine.counts.compactedChanges).toBe(0)
    while (machine.tidySome());
    expect(machine.counts.compactedChanges).toBe(4)
    applyCompact(machine, machine.revision)
    expect(machine.counts.compactedChanges).toBe(4)
  })
})

describe('in transactions', () => {
  test('one operation is no transaction, two are', () => {
    expect(growth(() => applyTxn(machine, { success: [op.put('a')] }))).toEqual({
      puts: 1,
      putBytes: 1,
    })
    const both = [op.put('a'), op.range('a')]
    expect(growth(() => applyTxn(machine, { success: both }))).toEqual({
      puts: 1,
      putBytes: 1,
      ranges: 1,
      txns: 1,
    })
  })

  test('comparisons are ranges up to the first that fails', () => {
    const success = [op.put('a')]
    const put = { puts: 1, putBytes: 1 }
    expect(growth(() => applyTxn(machine, { compare: [exists], success }))).toEqual({
      ...put,
      ranges: 1,
    })
    expect(growth(() => applyTxn(machine, { compare: [exists, exists], success }))).toEqual({
      ...put,
      ranges: 2,
      txns: 1,
    })
    expect(growth(() => applyTxn(machine, { compare: [isNew, exists], success }))).toEqual({
      ranges: 1,
    })
  })

  test('checks and changes are a transaction each', () => {
    const ignoring = op.put('a', '', { ignoreValue: true })
    expect(growth(() => applyTxn(machine, { success: [ignoring] }))).toEqual({
      puts: 1,
      putBytes: 6,
      ranges: 2,
      txns: 1,
    })
    const missing = op.put('none', '', { ignoreValue: true })
    expect(growth(() => applyTxn(machine, { success: [ignoring, missing] }))).toEqual({
      ranges: 2,
      txns: 1,
    })
    const nested = op.txn({ compare: [exists], success: [op.put('b')] })
    const request = { compare: [exists], success: [op.put('a'), nested] }
    expect(growth(() => applyTxn(machine, request))).toEqual({
      puts: 2,
      putBytes: 2,
      ranges: 2,
      txns: 2,
    })
  })

  test('those that only read are one', () => {
    const request = txn({ compare: [exists], success: [op.range('a')] })
    expect(growth(() => machine.readTxn(request))).toEqual({ ranges: 2, txns: 1 })
    expect(growth(() => machine.readTxn(txn({ compare: [exists] })))).toEqual({ ranges: 1 })
  })
})

describe('snapshots', () => {
  test('are open while they are read, also if nobody reads to the end', async () => {
    const chunks = machine.snapshot()
    expect(machine.counts.openSnapshots).toBe(0)
    for await (const _ of chunks) {
      expect(machine.counts.openSnapshots).toBe(1)
      break
    }
    expect(machine.counts.openSnapshots).toBe(0)
  })

  test('that take the place of all there was change no other number', async () => {
    const other = kvStateMachine()
    applyPut(other, 'b')
    const before = { ...machine.counts }
    const restored = machine.restore(other.snapshot())
    expect(machine.counts).toMatchObject({ isRestoring: true })
    await restored
    expect({ ...machine.counts }).toEqual(before)
    expect(growth(() => applyPut(machine, 'c'))).toEqual({ puts: 1, putBytes: 1 })
    const broken = machine.restore((async function* () {})())
    await expect(broken).rejects.toThrow()
    expect(machine.counts.isRestoring).toBe(false)
  })
})
