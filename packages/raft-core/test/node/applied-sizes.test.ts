import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { AppliedSizes } from '../../src/node/applied-sizes.ts'

/** The sizes of entries that are applied together. */
const helpings = fc.array(fc.array(fc.nat({ max: 1000 }), { minLength: 1, maxLength: 5 }), {
  maxLength: 200,
})
const START = 7

test('what is left after the cut is as large as it may be, but for a part of that and one helping', () => {
  fc.assert(
    fc.property(helpings, fc.constantFrom(0, 1, 500, 5_000, 1 << 20), (applied, keepBytes) => {
      const sizes = new AppliedSizes(START)
      const entries: number[] = []
      let bytes = 0
      for (const helping of applied) {
        entries.push(...helping)
        bytes += helping.reduce((sum, size) => sum + size, 0)
        const now = { index: START + entries.length, bytes }
        sizes.note(now, keepBytes)
        const cut = sizes.cut(now, keepBytes)
        if (bytes <= keepBytes) {
          expect(cut).toBe(0)
          continue
        }
        expect(cut).toBeGreaterThanOrEqual(START)
        expect(cut).toBeLessThanOrEqual(now.index)
        const left = entries.slice(cut - START).reduce((sum, size) => sum + size, 0)
        expect(left).toBeLessThanOrEqual(keepBytes)
        expect(left).toBeGreaterThanOrEqual(Math.min(keepBytes, bytes) * (63 / 64) - 5 * 1000)
      }
    }),
  )
})

test('is forgotten as it goes, whatever is applied', () => {
  for (const [size, keepBytes] of [
    [0, 0],
    [1, 0],
    [0, 1000],
    [1, 1000],
    [5000, 1000],
  ] as const) {
    const sizes = new AppliedSizes(0)
    for (let count = 1; count <= 10_000; count++)
      sizes.note({ index: count, bytes: count * size }, keepBytes)
    expect(sizes.count).toBeLessThanOrEqual(66)
  }
})
