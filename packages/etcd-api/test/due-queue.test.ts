import { expect, test } from 'vitest'
import { dueQueue } from '../src/due-queue.ts'

/** A small generator of numbers that look like chance, the same every time. */
function dice(seed: number): (sides: number) => number {
  let state = seed
  return (sides) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return (state >>> 8) % sides
  }
}

test('a queue gives what a sorted list would give, whatever is set anew or taken back', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const roll = dice(seed)
    const queue = dueQueue()
    const model = new Map<bigint, number>()
    for (let step = 0; step < 400; step++) {
      const id = BigInt(roll(20))
      const kind = roll(10)
      // All times are different, so that there is one first.
      if (kind < 6) {
        const due = roll(1_000) + step / 1_000
        queue.set(id, due)
        model.set(id, due)
      } else if (kind < 8) {
        queue.delete(id)
        model.delete(id)
      } else {
        const now = roll(500)
        const [first] = [...model].filter(([, due]) => due <= now).sort((a, b) => a[1] - b[1])
        expect(queue.takeDue(now)).toBe(first?.[0] ?? null)
        if (first !== undefined) model.delete(first[0])
      }
      expect(queue.size).toBe(model.size)
    }
  }
})

test('an emptied queue gives nothing', () => {
  const queue = dueQueue()
  queue.set(1n, 1)
  queue.clear()
  expect(queue.takeDue(Infinity)).toBeNull()
  expect(queue.size).toBe(0)
})
