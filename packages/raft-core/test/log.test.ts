import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Log } from '../src/protocol/log.ts'
import { type Entry, INITIAL_HARD_STATE, ORIGIN, type Position } from '../src/types.ts'
import { share } from './support/share.ts'

/** What an entry counts for beside its data. */
const OVERHEAD = 160

const empty = (): Log =>
  new Log({
    hardState: INITIAL_HARD_STATE,
    snapshot: null,
    compacted: ORIGIN,
    lastIndex: 0,
    termRuns: [],
    memberships: [],
  })

/** The same log as nothing but an array and four numbers. */
class SlowLog {
  compacted: Position = ORIGIN
  entries: Entry[] = []
  stable = 0
  unsaved = 1
  window = 1

  get last(): number {
    return this.compacted.index + this.entries.length
  }

  termAt(index: number): number {
    if (index === this.compacted.index) return this.compacted.term
    return (this.entries[index - this.compacted.index - 1] as Entry).term
  }

  /** The entries in [from, to) that are in the window. */
  between(from: number, to: number): readonly Entry[] {
    const start = Math.max(from, this.window)
    return this.entries.filter(({ index }) => index >= start && index < to)
  }

  bytes(from: number, to: number): number {
    return this.between(from, to).reduce((sum, { data }) => sum + data.length + OVERHEAD, 0)
  }
}

/** `at` is a place between the least and the most that the operation allows. */
type Operation =
  | { readonly type: 'append'; readonly rise: number; readonly size: number }
  | { readonly type: 'take' }
  | { readonly type: 'stabilize' | 'truncate' | 'compact'; readonly at: number }
  | { readonly type: 'evict'; readonly at: number; readonly maxBytes: number }
  | { readonly type: 'reset'; readonly ahead: number; readonly rise: number }

const size = fc.constantFrom(0, 1, 40, 500)
const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({ type: fc.constant('append' as const), rise: fc.nat(1), size }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('take' as const) }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('stabilize' as const), at: share }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('truncate' as const), at: share }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('compact' as const), at: share }) },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('evict' as const),
      at: share,
      maxBytes: fc.constantFrom(0, 161, 400, 2000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('reset' as const),
      ahead: fc.nat(5),
      rise: fc.nat(2),
    }),
  },
)

/** A whole number in [least, most]. */
const place = (least: number, most: number, at: number): number =>
  least + Math.min(most - least, Math.floor(at * (most - least + 1)))

function run(real: Log, slow: SlowLog, op: Operation): void {
  switch (op.type) {
    case 'append': {
      const index = slow.last + 1
      const term = slow.termAt(slow.last) + op.rise
      const entry: Entry = { index, term, type: 'command', data: new Uint8Array(op.size) }
      real.append(entry)
      slow.entries.push(entry)
      return
    }
    case 'take':
      expect(real.takeUnsaved()).toEqual(slow.between(slow.unsaved, slow.last + 1))
      slow.unsaved = slow.last + 1
      return
    case 'stabilize': {
      const index = place(0, slow.unsaved - 1, op.at)
      real.stabilize(index)
      slow.stable = Math.max(slow.stable, index)
      return
    }
    case 'truncate': {
      const index = place(slow.compacted.index + 1, slow.last + 1, op.at)
      real.truncate(index)
      slow.entries.length = index - slow.compacted.index - 1
      slow.window = Math.min(slow.window, index)
      slow.unsaved = Math.min(slow.unsaved, index)
      slow.stable = Math.min(slow.stable, index - 1)
      return
    }
    case 'compact': {
      if (slow.stable === slow.compacted.index) return
      const index = place(slow.compacted.index + 1, slow.stable, op.at)
      const position = { term: slow.termAt(index), index }
      expect(real.compact(index)).toEqual(position)
      slow.entries = slow.entries.filter((entry) => entry.index > index)
      slow.compacted = position
      slow.window = Math.max(slow.window, index + 1)
      return
    }
    case 'evict': {
      const index = place(0, slow.last, op.at)
      real.evict(index, op.maxBytes)
      while (
        slow.window <= Math.min(index, slow.stable) &&
        slow.bytes(slow.window + 1, slow.last + 1) >= op.maxBytes
      )
        slow.window += 1
      return
    }
    case 'reset': {
      const position = { term: slow.termAt(slow.last) + op.rise, index: slow.last + op.ahead }
      real.reset(position)
      slow.compacted = position
      slow.entries = []
      slow.stable = position.index
      slow.unsaved = position.index + 1
      slow.window = position.index + 1
    }
  }
}

function expectSame(real: Log, slow: SlowLog): void {
  expect(real.compacted).toEqual(slow.compacted)
  expect(real.firstIndex).toBe(slow.compacted.index + 1)
  expect(real.last).toEqual({ term: slow.termAt(slow.last), index: slow.last })
  expect([real.windowStart, real.unsavedFrom, real.stableIndex]).toEqual([
    slow.window,
    slow.unsaved,
    slow.stable,
  ])
  for (let index = slow.compacted.index; index <= slow.last; index++)
    expect(real.termAt(index)).toBe(slow.termAt(index))
}

function expectSameSlices(real: Log, slow: SlowLog): void {
  for (let from = slow.window; from <= slow.last + 1; from++)
    for (let to = from; to <= slow.last + 1; to++) {
      expect(real.bytesBetween(from, to)).toBe(slow.bytes(from, to))
      for (const maxBytes of [0, 161, 700, Number.POSITIVE_INFINITY])
        expect(real.slice(from, to, maxBytes)).toEqual(cut(slow.between(from, to), maxBytes))
    }
}

/** As many as fit, but at least one. */
function cut(entries: readonly Entry[], maxBytes: number): readonly Entry[] {
  let bytes = 0
  const end = entries.findIndex(({ data }, at) => {
    bytes += data.length + OVERHEAD
    return at > 0 && bytes > maxBytes
  })
  return end === -1 ? entries : entries.slice(0, end)
}

describe('Log', () => {
  test('is an array of entries, whatever is appended, saved, truncated, compacted, evicted and reset', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
        const real = empty()
        const slow = new SlowLog()
        for (const op of operations) {
          run(real, slow, op)
          expectSame(real, slow)
        }
        expectSameSlices(real, slow)
      }),
      { numRuns: 200 },
    )
  })

  test('a slice that was handed out never changes', () => {
    const log = empty()
    const append = (term: number): void =>
      log.append({ index: log.lastIndex + 1, term, type: 'command', data: new Uint8Array(1) })
    for (let i = 0; i < 4; i++) append(1)
    const slice = log.slice(1, 5, Number.POSITIVE_INFINITY)
    const copy = [...slice]
    log.takeUnsaved()
    log.stabilize(4)
    log.truncate(3)
    append(2)
    log.takeUnsaved()
    log.stabilize(3)
    log.evict(3, 0)
    expect(slice).toEqual(copy)
    expect(log.windowStart).toBe(4)
  })

  test('followers that want the same entries share one array', () => {
    const log = empty()
    for (let index = 1; index <= 3; index++)
      log.append({ index, term: 1, type: 'command', data: new Uint8Array(1) })
    expect(log.slice(2, 4, 1000)).toBe(log.slice(2, 4, 1000))
  })

  test('an entry that took the place of another is never mistaken for it', () => {
    const log = empty()
    log.append({ index: 1, term: 1, type: 'command', data: new Uint8Array(1) })
    expect(log.slice(1, 2, 1000)).toMatchObject([{ term: 1 }])
    log.truncate(1)
    log.append({ index: 1, term: 2, type: 'command', data: new Uint8Array(1) })
    expect(log.slice(1, 2, 1000)).toMatchObject([{ term: 2 }])
  })

  test('what leaves the window is counted no more, however often it goes round', () => {
    const log = empty()
    for (let index = 1; index <= 10_000; index++) {
      log.append({ index, term: 1, type: 'command', data: new Uint8Array(1) })
      log.takeUnsaved()
      log.stabilize(index)
      log.evict(index, 0)
    }
    expect(log.windowStart).toBe(10_001)
    expect(log.bytesBetween(0, 10_001)).toBe(0)
  })

  test('only what follows the last entry is appended', () => {
    const entry: Entry = { index: 2, term: 1, type: 'command', data: new Uint8Array(1) }
    expect(() => empty().append(entry)).toThrow('without a gap')
  })

  test.each([
    [{ term: 2, index: 2 }, true],
    [{ term: 2, index: 3 }, true],
    [{ term: 3, index: 1 }, true],
    [{ term: 2, index: 1 }, false],
    [{ term: 1, index: 9 }, false],
  ])('a log that ends with %o is at least as up-to-date: %s', (last, expected) => {
    const log = empty()
    log.append({ index: 1, term: 1, type: 'command', data: new Uint8Array(1) })
    log.append({ index: 2, term: 2, type: 'command', data: new Uint8Array(1) })
    expect(log.isUpToDate(last)).toBe(expected)
  })
})
