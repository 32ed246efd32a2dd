import { CodecError } from '@coracle/raft-core/codec'
import * as fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { kvStateMachine, type KvStateMachine } from '../src/index.ts'
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

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const bytes: number[] = []
  for await (const chunk of chunks) for (const byte of chunk) bytes.push(byte)
  return Uint8Array.from(bytes)
}

async function* stream(...chunks: Uint8Array[]): AsyncGenerator<Uint8Array, void, undefined> {
  for (const chunk of chunks) yield await Promise.resolve(chunk)
}

function filled(options?: Parameters<typeof kvStateMachine>[0]): KvStateMachine {
  const machine = kvStateMachine(options)
  for (let at = 0; at < 40; at++) applyPut(machine, `k${at % 6}`, `v${at}`)
  applyDelete(machine, 'k3')
  applyTxn(machine, { success: [op.put('t1', 'x'), op.del('k1'), op.put('t2', 'y')] })
  const member = { id: 'n1', name: 'one', clientUrls: ['http://h:2379', 'http://i:2379'] }
  apply(machine, { type: 'publish-member', request: member })
  applyCompact(machine, 37)
  applyPut(machine, 'k5', 'last')
  return machine
}

describe('snapshots', () => {
  test('hold all history that is not compacted, the compacted revision and the members', async () => {
    const original = filled()
    const machine = kvStateMachine()
    await machine.restore(original.snapshot())
    expect(machine.revision).toBe(original.revision)
    expect(machine.compactRevision).toBe(37)
    expect(machine.members()).toEqual(original.members())
    expect(machine.keyCount).toBe(original.keyCount)
    for (let revision = 36; revision <= original.revision + 1; revision++) {
      expect(machine.hashKv(revision)).toEqual(original.hashKv(revision))
    }
    expect(read(machine, 'k', 'u', { revision: 37 })).toEqual(
      read(original, 'k', 'u', { revision: 37 }),
    )
  })

  test('equal states give equal bytes, however far their compactions were swept', async () => {
    const slow = await collect(filled({ sweepAtOnce: 0, sweepPerCommand: 1 }).snapshot())
    const fast = await collect(filled().snapshot())
    expect(slow).toEqual(fast)
    const again = kvStateMachine()
    await again.restore(stream(fast))
    expect(await collect(again.snapshot())).toEqual(fast)
  })

  test('stay as they were through writes, deletes and compactions after them', async () => {
    const machine = filled()
    const before = await collect(machine.snapshot())
    const snapshot = machine.snapshot()
    applyDelete(machine, 'k', 'l')
    for (let at = 0; at < 30; at++) applyPut(machine, `n${at}`)
    applyCompact(machine, machine.revision)
    expect(await collect(snapshot)).toEqual(before)
  })

  test('a tombstone kept at the compacted revision goes with the next compaction, restored or not', async () => {
    const original = kvStateMachine()
    applyPut(original, 'a')
    applyDelete(original, 'a')
    applyPut(original, 'b')
    applyCompact(original, 3)
    const machine = kvStateMachine()
    await machine.restore(original.snapshot())
    applyCompact(machine, 4)
    applyCompact(original, 4)
    expect(await collect(machine.snapshot())).toEqual(await collect(original.snapshot()))
    expect(machine.size).toBeLessThan(10_000)
  })

  test('a value larger than any block goes through', async () => {
    const original = kvStateMachine()
    applyPut(original, 'big', 'x'.repeat(600_000))
    applyPut(original, 'small', 'y')
    const machine = kvStateMachine()
    await machine.restore(original.snapshot())
    expect(read(machine, 'big').kvs[0]?.value).toHaveLength(600_000)
    expect(machine.hash()).toBe(original.hash())
  })
})

describe('a damaged snapshot is refused and leaves the old state in place', () => {
  let whole = new Uint8Array(0)
  beforeAll(async () => {
    whole = new Uint8Array(await collect(filled().snapshot()))
  })

  async function expectRefused(...chunks: Uint8Array[]): Promise<void> {
    const machine = kvStateMachine()
    applyPut(machine, 'old', 'state')
    await expect(machine.restore(stream(...chunks))).rejects.toThrow(CodecError)
    expect(pairs(read(machine, '\0', '\0'))).toEqual(['old=state'])
    expect(machine.revision).toBe(2)
  }

  test('cut short anywhere', async () => {
    for (let length = 0; length < whole.length; length++) {
      await expectRefused(whole.subarray(0, length))
    }
  })

  test('with any byte changed', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(whole.length - 1),
        fc.integer({ min: 1, max: 255 }),
        async (at, x) => {
          const damaged = whole.slice()
          damaged[at] = (damaged[at] ?? 0) ^ x
          await expectRefused(damaged)
        },
      ),
      { numRuns: 300 },
    )
  })

  test('with bytes after its end', async () => {
    await expectRefused(whole, Uint8Array.of(0))
  })

  test('when reading it fails', async () => {
    const machine = filled()
    const before = machine.hash()
    const failing = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
      yield await Promise.resolve(whole.subarray(0, 100))
      throw new Error('the disk is gone')
    }
    await expect(machine.restore(failing())).rejects.toThrow('the disk is gone')
    expect(machine.hash()).toBe(before)
  })
})
