import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { Circle } from '../src/circle.ts'
import { IntervalIndex } from '../src/interval-index.ts'
import type { Bounds } from '../src/key.ts'

const key = fc.integer({ min: 0, max: 40 }).map((at) => String.fromCharCode(97 + at))
const bounds: fc.Arbitrary<Bounds> = fc.oneof(
  key.map((from) => ({ from, to: `${from}\0`, single: true })),
  fc.record({ from: key, to: fc.option(key), single: fc.constant(false) }),
)

test('the index finds the same as looking at every interval, also after some were removed', () => {
  const step = fc.record({ bounds, remove: fc.boolean(), which: fc.nat() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200, size: 'max' }), (steps) => {
      const index = new IntervalIndex<{ bounds: Bounds }>()
      const all: { bounds: Bounds }[] = []
      for (const { bounds: of, remove, which } of steps) {
        if (remove && all.length > 0) {
          const [gone] = all.splice(which % all.length, 1)
          index.remove(gone!.bounds, gone!)
        } else {
          const member = { bounds: of }
          all.push(member)
          index.add(of, member)
        }
      }
      expect(index.size).toBe(all.length)
      for (let at = 96; at < 140; at++) {
        const probe = String.fromCharCode(at)
        const found = new Set<object>()
        index.forEach(probe, (member) => found.add(member))
        const expected = all.filter(({ bounds: { from, to, single } }) =>
          single ? probe === from : probe >= from && (to === null || probe < to),
        )
        expect(found).toEqual(new Set(expected))
        expect(found.size).toBe(expected.length)
      }
    }),
    { numRuns: 300 },
  )
})

test('members take turns, also those that come and go', () => {
  const circle = new Circle<string>()
  expect(circle.next()).toBeUndefined()
  for (const member of ['a', 'b', 'c']) circle.add(member)
  expect([circle.next(), circle.next()]).toEqual(['a', 'b'])
  circle.add('d')
  circle.delete('c')
  expect([circle.next(), circle.next(), circle.next()]).toEqual(['d', 'a', 'b'])
  circle.delete('d')
  circle.add('d')
  expect([circle.next(), circle.next(), circle.next()]).toEqual(['d', 'a', 'b'])
  for (const member of ['a', 'b', 'd']) circle.delete(member)
  expect(circle.next()).toBeUndefined()
})
