import { describe, expect, test } from 'vitest'
import { LogOutline } from '../src/contracts/log-outline.ts'
import type { AppendBatch } from '../src/contracts/storage.ts'
import { type Entry, ORIGIN, type Position } from '../src/types.ts'

function entry(index: number, term: number, type: Entry['type'] = 'command'): Entry {
  return { index, term, type, data: new Uint8Array() }
}

function batch(entries: readonly Entry[], reset: Position | null = null): AppendBatch {
  return { reset, entries, hardState: null }
}

function outlineOf(...batches: readonly AppendBatch[]): LogOutline {
  const outline = new LogOutline()
  for (const each of batches) {
    outline.checkBatch(each)
    outline.append(each)
  }
  return outline
}

const LOG = batch([entry(1, 1), entry(2, 1, 'membership'), entry(3, 4), entry(4, 4, 'membership')])

describe('the outline of a log', () => {
  test('of nothing is empty', () => {
    expect(new LogOutline().stored()).toEqual({
      compacted: ORIGIN,
      lastIndex: 0,
      termRuns: [],
      memberships: [],
    })
  })

  test('holds the runs of terms and the memberships', () => {
    const outline = outlineOf(LOG)
    expect(outline.stored()).toEqual({
      compacted: ORIGIN,
      lastIndex: 4,
      termRuns: [
        { from: 1, term: 1 },
        { from: 3, term: 4 },
      ],
      memberships: [entry(2, 1, 'membership'), entry(4, 4, 'membership')],
    })
    expect([1, 2, 3, 4].map((index) => outline.termAt(index))).toEqual([1, 1, 4, 4])
  })

  test('forgets what is replaced', () => {
    const { lastIndex, termRuns, memberships } = outlineOf(LOG, batch([entry(2, 5)])).stored()
    expect(lastIndex).toBe(2)
    expect(termRuns).toEqual([
      { from: 1, term: 1 },
      { from: 2, term: 5 },
    ])
    expect(memberships).toEqual([])
  })

  test('begins after a compaction, in the middle of a run or behind the last entry', () => {
    const outline = outlineOf(LOG)
    outline.compact({ index: 3, term: 4 })
    outline.compact({ index: 1, term: 1 })
    expect(outline.stored()).toEqual({
      compacted: { index: 3, term: 4 },
      lastIndex: 4,
      termRuns: [{ from: 4, term: 4 }],
      memberships: [entry(4, 4, 'membership')],
    })
    outline.compact({ index: 4, term: 4 })
    expect(outline.stored()).toMatchObject({ lastIndex: 4, termRuns: [], memberships: [] })
  })

  test('begins anew after a reset', () => {
    const outline = outlineOf(LOG, batch([entry(10, 6)], { index: 9, term: 5 }))
    expect(outline.stored()).toEqual({
      compacted: { index: 9, term: 5 },
      lastIndex: 10,
      termRuns: [{ from: 10, term: 6 }],
      memberships: [],
    })
  })

  test('is what it was made from', () => {
    const stored = outlineOf(LOG).stored()
    expect(new LogOutline(stored).stored()).toEqual(stored)
  })

  test('gives copies that later changes leave alone', () => {
    const outline = outlineOf(LOG)
    const before = outline.stored()
    outline.append(batch([entry(1, 9)]))
    expect(before).toEqual(outlineOf(LOG).stored())
  })

  test('refuses what does not follow from the log', () => {
    const outline = outlineOf(LOG)
    outline.compact({ index: 2, term: 1 })
    for (const bad of [
      batch([entry(6, 4)]),
      batch([entry(2, 4)]),
      batch([entry(5, 4), entry(7, 4)]),
      batch([entry(5, 4)], { index: 7, term: 4 }),
      batch([entry(9, 4)], { index: 7, term: 4 }),
    ])
      expect(() => outline.checkBatch(bad)).toThrow(RangeError)
    expect(() => outline.checkCompaction({ index: 5, term: 4 })).toThrow(RangeError)
    expect(() => outline.checkRange(3, 3)).toThrow(RangeError)
    expect(() => outline.checkRange(3, 6)).toThrow(RangeError)
    expect(() => outline.checkRange(NaN, 4)).toThrow(RangeError)
    expect(() => outline.checkRange(2, 4)).toThrow(expect.objectContaining({ code: 'COMPACTED' }))
    outline.checkRange(3, 5)
  })
})
