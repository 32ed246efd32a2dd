import { expect, test } from 'vitest'
import { kvStateMachine } from '../src/index.ts'
import { applyCompact, applyDelete, applyPut, pairs, read } from './requests.ts'

/** The same numbers every time: a linear congruential generator. */
function numbers(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return Math.floor((state / 2 ** 31) * limit)
  }
}

const KEYS = 4_000
const name = (at: number): string => `key/${String(at).padStart(6, '0')}`

// Enough keys for a tree of three levels, enough bytes for many segments, and compactions that
// rewrite them while snapshots share them.
test(
  'a large store reads right at every revision it was seen at, through compactions and snapshots',
  {
    timeout: 60_000,
  },
  async () => {
    const next = numbers(7)
    const machine = kvStateMachine({ sweepAtOnce: 500, sweepPerCommand: 3 })
    const expected = new Map<string, string>()
    const seen: { revision: number; pairs: string[] }[] = []
    const snapshots: { chunks: AsyncIterable<Uint8Array>; hash: number; pairs: string[] }[] = []
    const sorted = (): string[] => [...expected].map(([key, value]) => `${key}=${value}`).sort()
    for (let step = 0; step < 30_000; step++) {
      const key = name(next(KEYS))
      const dice = next(100)
      if (dice < 80) {
        const value = 'v'.repeat(next(90)) + step
        applyPut(machine, key, value)
        expected.set(key, value)
      } else if (dice < 97) {
        applyDelete(machine, key)
        expected.delete(key)
      } else if (dice === 97) {
        const end = key.slice(0, -1) + String.fromCharCode(key.charCodeAt(key.length - 1) + 2)
        applyDelete(machine, key, end)
        for (const other of expected.keys()) if (other >= key && other < end) expected.delete(other)
      }
      if (step % 3_000 === 2_999) seen.push({ revision: machine.revision, pairs: sorted() })
      if (step % 7_000 === 6_999) {
        snapshots.push({ chunks: machine.snapshot(), hash: machine.hash(), pairs: sorted() })
      }
      if (step % 8_000 === 7_999) {
        const oldest = seen[seen.length - 2]
        if (oldest !== undefined) applyCompact(machine, oldest.revision)
      }
    }
    expect(machine.keyCount).toBe(expected.size)
    expect(pairs(read(machine, '\0', '\0'))).toEqual(sorted())
    for (const { revision, pairs: then } of seen) {
      if (revision < machine.compactRevision) continue
      expect(pairs(read(machine, '\0', '\0', { revision }))).toEqual(then)
      const from = name(1_000)
      const to = name(3_000)
      const within = then.filter((pair) => pair >= from && pair < to)
      expect(read(machine, from, to, { revision, limit: 5 })).toMatchObject({
        more: true,
        count: within.length,
      })
    }
    for (const snapshot of snapshots) {
      const restored = kvStateMachine()
      await restored.restore(snapshot.chunks)
      expect(restored.hash()).toBe(snapshot.hash)
      expect(pairs(read(restored, '\0', '\0'))).toEqual(snapshot.pairs)
    }
  },
)

test('old versions of a key that changed often are found as fast as new ones', () => {
  const machine = kvStateMachine()
  for (let at = 0; at < 20_000; at++) applyPut(machine, 'hot', `${at}`)
  for (let revision = 2; revision <= 20_001; revision += 7) {
    expect(pairs(read(machine, 'hot', '', { revision }))).toEqual([`hot=${revision - 2}`])
  }
})

test('compaction gives the memory of what it took back', () => {
  const machine = kvStateMachine()
  for (let at = 0; at < 20_000; at++) applyPut(machine, name(at % 100), 'v'.repeat(100))
  const full = machine.sizeInUse
  applyCompact(machine, machine.revision)
  for (let at = 0; at < 2_000; at++) applyPut(machine, 'other')
  expect(machine.sizeInUse).toBeLessThan(full / 10)
  expect(machine.size).toBeLessThan(full / 4)
})

test('keys that were deleted and compacted are forgotten altogether', () => {
  const machine = kvStateMachine()
  const empty = machine.sizeInUse
  for (let at = 0; at < 5_000; at++) applyPut(machine, name(at))
  applyDelete(machine, '\0', '\0')
  applyPut(machine, 'last')
  applyCompact(machine, machine.revision)
  expect(machine.keyCount).toBe(1)
  expect(machine.sizeInUse).toBeLessThan(empty + 1_000)
})

test('small values do not keep the large buffers alive that they arrived in', () => {
  const machine = kvStateMachine()
  for (let at = 0; at < 64; at++) applyPut(machine, name(at), 'small')
  expect(read(machine, '\0', '\0').kvs[0]?.value.buffer.byteLength).toBeLessThan(300_000)
  expect(machine.size).toBeLessThan(50_000)
})
