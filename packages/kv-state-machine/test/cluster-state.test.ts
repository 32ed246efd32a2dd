import { CodecError } from '@coracle/raft-core/codec'
import { describe, expect, test } from 'vitest'
import {
  type Alarm,
  decodeCommand,
  encodeCommand,
  type KvCommand,
  kvStateMachine,
  type KvStateMachine,
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
} from './requests.ts'

const FULL: Alarm = { memberId: 'a', type: 'no-space' }
const CORRUPT: Alarm = { memberId: 'b', type: 'corrupt' }

function raise(machine: KvStateMachine, alarm: Alarm) {
  return apply(machine, { type: 'alarm', request: { action: 'raise', alarm } })
}

function clear(machine: KvStateMachine, alarm: Alarm) {
  return apply(machine, { type: 'alarm', request: { action: 'clear', alarm } })
}

function publish(machine: KvStateMachine, id: string) {
  const member = { id, name: `name of ${id}`, clientUrls: [`http://${id}:2379`] }
  return apply(machine, { type: 'publish-member', request: member })
}

function forget(machine: KvStateMachine, ...ids: string[]) {
  return apply(machine, { type: 'forget-members', request: { ids } })
}

async function restored(from: KvStateMachine): Promise<KvStateMachine> {
  const machine = kvStateMachine()
  await machine.restore(from.snapshot())
  return machine
}

describe('alarms', () => {
  test('are raised once and cleared once, per member and type, and change no revision', () => {
    const machine = kvStateMachine()
    expect(raise(machine, FULL)).toEqual({ type: 'alarm', changed: [FULL], revision: 1 })
    expect(raise(machine, FULL)).toMatchObject({ changed: [] })
    expect(raise(machine, { ...FULL, memberId: '9' })).toMatchObject({
      changed: [{ memberId: '9' }],
    })
    expect(raise(machine, CORRUPT)).toMatchObject({ changed: [CORRUPT] })
    expect(machine.alarms()).toEqual([{ ...FULL, memberId: '9' }, FULL, CORRUPT])
    expect(clear(machine, { ...FULL, type: 'corrupt' })).toMatchObject({ changed: [] })
    expect(clear(machine, FULL)).toMatchObject({ changed: [FULL] })
    expect(machine.alarms()).toEqual([{ ...FULL, memberId: '9' }, CORRUPT])
    expect(machine.revision).toBe(1)
  })

  test('without space, what could take some is refused, and what makes some goes on', () => {
    const machine = kvStateMachine()
    applyPut(machine, 'a', '1')
    apply(machine, { type: 'lease-grant', request: { id: 7n, ttl: 60 } })
    raise(machine, FULL)
    const refused = { type: 'failure', code: 'NO_SPACE' }
    expect(applyPut(machine, 'a', '2')).toEqual(refused)
    expect(applyTxn(machine, { failure: [op.put('a', '2')] })).toEqual(refused)
    const nested = op.txn({ success: [op.put('b', '2')] })
    expect(applyTxn(machine, { success: [nested] })).toEqual(refused)
    const grant = { id: 8n, ttl: 60 }
    expect(apply(machine, { type: 'lease-grant', request: grant })).toEqual(refused)
    expect(machine.revision).toBe(2)
    expect(apply(machine, { type: 'lease-renew', request: { ids: [7n] } })).toMatchObject({
      ttls: [60],
    })
    expect(applyTxn(machine, { success: [op.del('b')] })).toMatchObject({ type: 'txn' })
    expect(applyDelete(machine, 'a')).toMatchObject({ deleted: 1 })
    expect(applyCompact(machine, 3)).toMatchObject({ type: 'compact' })
    const revoke = { id: 7n, renewal: 0 }
    expect(apply(machine, { type: 'lease-revoke', request: revoke })).toMatchObject({
      revoked: true,
    })
    clear(machine, FULL)
    expect(applyPut(machine, 'a', '2')).toMatchObject({ type: 'put' })
  })

  test('while a member is corrupt, nothing about keys changes', () => {
    const machine = kvStateMachine()
    applyPut(machine, 'a', '1')
    raise(machine, CORRUPT)
    const refused = { type: 'failure', code: 'CORRUPT' }
    expect(applyPut(machine, 'a', '2')).toEqual(refused)
    expect(applyDelete(machine, 'a')).toEqual(refused)
    expect(applyTxn(machine, { success: [op.del('a')] })).toEqual(refused)
    expect(applyCompact(machine, 2)).toEqual(refused)
    expect(pairs(read(machine, 'a'))).toEqual(['a=1'])
    expect(publish(machine, 'a')).toMatchObject({ type: 'publish-member' })
  })
})

describe('members', () => {
  test('that are forgotten take their alarms with them', () => {
    const machine = kvStateMachine()
    publish(machine, 'a')
    publish(machine, 'b')
    raise(machine, FULL)
    raise(machine, CORRUPT)
    forget(machine, 'a')
    expect(machine.members().map(({ id }) => id)).toEqual(['b'])
    expect(machine.alarms()).toEqual([CORRUPT])
  })
})

test('a snapshot holds alarms and a downgrade, and the hash covers each', async () => {
  const machine = kvStateMachine()
  const hashes = new Set([machine.hash()])
  for (const change of [
    () => publish(machine, 'a'),
    () => raise(machine, CORRUPT),
    () => apply(machine, { type: 'downgrade', request: { target: '3.5.0' } }),
  ]) {
    change()
    const copy = await restored(machine)
    expect(copy.alarms()).toEqual(machine.alarms())
    expect(copy.downgradeTarget).toBe(machine.downgradeTarget)
    expect(copy.hash()).toBe(machine.hash())
    expect(hashes.has(machine.hash())).toBe(false)
    hashes.add(machine.hash())
  }
})

describe('a new cluster that takes over the keys', () => {
  function filled(): KvStateMachine {
    const machine = kvStateMachine()
    publish(machine, 'a')
    raise(machine, FULL)
    clear(machine, FULL)
    applyPut(machine, 'a', '1')
    applyPut(machine, 'a', '2')
    applyPut(machine, 'gone', '1')
    applyDelete(machine, 'gone')
    raise(machine, CORRUPT)
    return machine
  }

  test('knows nothing of the members there were', () => {
    const machine = filled()
    const { revision } = machine
    expect(apply(machine, { type: 'new-cluster', request: { bumpRevision: 0 } })).toEqual({
      type: 'new-cluster',
      revision,
    })
    expect(machine.members()).toEqual([])
    expect(machine.alarms()).toEqual([])
    expect(pairs(read(machine, 'a', '', { revision: 2 }))).toEqual(['a=1'])
  })

  test('goes on at a higher revision, with nothing to be read or watched before it', async () => {
    const machine = filled()
    const { revision } = machine
    const compacted: number[] = []
    const turns: (() => void)[] = []
    using stream = machine.watchStream({ schedule: (turn) => void turns.push(turn) })
    apply(machine, { type: 'new-cluster', request: { bumpRevision: 1_000 } })
    expect(machine.revision).toBe(revision + 1_000)
    expect(machine.compactRevision).toBe(revision + 1_000)
    expect(pairs(read(machine, 'a'))).toEqual(['a=2'])
    expect(() => read(machine, 'a', '', { revision })).toThrow('COMPACTED')
    const interval = { key: Uint8Array.of(97), rangeEnd: new Uint8Array(0) }
    stream.watch(
      { ...interval, startRevision: revision + 1, prevKv: false, noPut: false, noDelete: false },
      { events: () => {}, compacted: (at) => compacted.push(at) },
    )
    for (const turn of turns) turn()
    expect(compacted).toEqual([revision + 1_000])
    expect(applyPut(machine, 'a', '3')).toMatchObject({ revision: revision + 1_001 })
    const copy = await restored(machine)
    expect(copy.hash()).toBe(machine.hash())
  })

  test('is refused a revision that is no number any more', () => {
    const machine = filled()
    const request = { bumpRevision: Number.MAX_SAFE_INTEGER }
    expect(apply(machine, { type: 'new-cluster', request })).toMatchObject({ type: 'failure' })
    expect(machine.members()).toHaveLength(1)
  })
})

test('tidying gives memory back and changes nothing that can be read', async () => {
  const machine = kvStateMachine({ sweepAtOnce: 0, sweepPerCommand: 1 })
  const value = 'x'.repeat(1_000)
  for (let round = 0; round < 3; round++)
    for (let key = 0; key < 2_000; key++) applyPut(machine, `k${key}`, `${round}${value}`)
  applyCompact(machine, machine.revision - 1_000)
  const copy = await restored(machine)
  const { size } = machine
  let steps = 0
  while (machine.tidySome()) steps += 1
  expect(steps).toBeGreaterThan(2)
  expect(machine.size).toBeLessThan(size * 0.7)
  expect(machine.size).toBeLessThan(copy.size * 1.1)
  expect(machine.hash()).toBe(copy.hash())
  expect(machine.tidySome()).toBe(false)
})

test.each<KvCommand>([
  { type: 'forget-members', request: { ids: ['a', 'b'] } },
  { type: 'alarm', request: { action: 'raise', alarm: FULL } },
  { type: 'alarm', request: { action: 'clear', alarm: CORRUPT } },
  { type: 'downgrade', request: { target: '3.5.0' } },
  { type: 'new-cluster', request: { bumpRevision: 1_000_000_000 } },
])(
  'the command $type is read as it was written, and none of its parts is read as a whole',
  (command) => {
    const bytes = encodeCommand(command)
    expect(decodeCommand(bytes)).toEqual(command)
    for (let length = 0; length < bytes.length; length++)
      expect(() => decodeCommand(bytes.subarray(0, length))).toThrow(CodecError)
  },
)
