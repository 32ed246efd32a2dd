import { expect, test } from 'vitest'
import { kvStateMachine } from '../src/index.ts'
import { crc32c } from '../src/crc32c.ts'
import { apply, applyCompact, applyDelete, applyPut, applyTxn, bytes, op } from './requests.ts'

test('CRC-32C of "123456789" is the published check value, in one piece or in two', () => {
  expect(crc32c(bytes('123456789'))).toBe(0xe3_06_92_83)
  expect(crc32c(bytes('456789'), crc32c(bytes('123')))).toBe(0xe3_06_92_83)
})

test('hashes what etcd 3.4 hashes, before and after compaction', () => {
  const machine = kvStateMachine()
  applyPut(machine, 'a', '1')
  applyPut(machine, 'b', '2')
  applyPut(machine, 'a', '3')
  applyDelete(machine, 'b')
  applyTxn(machine, { success: [op.put('c', '4'), op.put('d', '5')] })
  applyDelete(machine, 'c')
  applyPut(machine, 'b', '')
  const answer = { type: 'hash', revision: 8, compactRevision: -1 }
  expect(machine.hashKv(0)).toEqual({ ...answer, hash: 2_110_927_760, hashRevision: 8 })
  expect(machine.hashKv(5)).toEqual({ ...answer, hash: 1_125_682_900, hashRevision: 5 })
  applyCompact(machine, 5)
  expect(machine.hashKv(0)).toMatchObject({ hash: 4_276_563_891, compactRevision: 5 })
  applyCompact(machine, 7)
  expect(machine.hashKv(0)).toMatchObject({ hash: 1_037_888_127, compactRevision: 7 })
})

test('leaves out, as etcd does, what a compaction left and later changes replaced', () => {
  const machine = kvStateMachine()
  applyPut(machine, 'a', '1')
  applyPut(machine, 'b', '2')
  applyCompact(machine, 3)
  applyPut(machine, 'a', '3')
  expect(machine.hashKv(0)).toMatchObject({ hash: 1_107_643_163, revision: 4 })
  applyDelete(machine, 'b')
  expect(machine.hashKv(0)).toMatchObject({ hash: 1_468_967_122 })
  // When nothing is left to be read, nothing is left out.
  applyDelete(machine, 'a')
  expect(machine.hashKv(0)).toMatchObject({ hash: 2_073_092_960 })
  expect(machine.hashKv(-1)).toMatchObject({ hash: 1_084_519_789, hashRevision: -1 })
})

test('a hash below the compacted revision or above the newest is refused', () => {
  const machine = kvStateMachine()
  for (const key of ['a', 'b', 'c']) applyPut(machine, key)
  applyCompact(machine, 3)
  expect(machine.hashKv(2)).toEqual({ type: 'failure', code: 'COMPACTED' })
  expect(machine.hashKv(5)).toEqual({ type: 'failure', code: 'FUTURE_REVISION' })
  expect(machine.hashKv(3)).toMatchObject({ type: 'hash', hashRevision: 3 })
})

test('how far a compaction was swept does not show in the hash', () => {
  const slow = kvStateMachine({ sweepAtOnce: 0, sweepPerCommand: 1 })
  const fast = kvStateMachine()
  for (const machine of [slow, fast]) {
    for (let at = 0; at < 50; at++) applyPut(machine, `k${at % 7}`, `${at}`)
    applyCompact(machine, 40)
  }
  expect(slow.hashKv(0)).toEqual(fast.hashKv(0))
  expect(slow.hash()).toBe(fast.hash())
})

test('the hash of everything takes in the members and what is stored, and no more than that', () => {
  const publish = (name: string): number => {
    const machine = kvStateMachine()
    applyPut(machine, 'a')
    apply(machine, { type: 'publish-member', request: { id: 'n', name, clientUrls: [] } })
    return machine.hash()
  }
  expect(publish('one')).toBe(publish('one'))
  expect(publish('one')).not.toBe(publish('two'))
})
