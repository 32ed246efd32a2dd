import { expect, test } from 'vitest'
import { Backoff } from '../../src/transport/backoff.ts'

const LIMITS = { minReconnectMs: 50, maxReconnectMs: 300 }

test('the wait doubles with every attempt, up to the limit', () => {
  const backoff = new Backoff(LIMITS)
  expect([1, 2, 3, 4, 5].map(() => backoff.nextMs(1))).toEqual([50, 100, 200, 300, 300])
})

test('half of it is chance', () => {
  expect(new Backoff(LIMITS).nextMs(0)).toBe(25)
  expect(new Backoff(LIMITS).nextMs(0.5)).toBe(37.5)
})

test('an attempt that succeeds makes the next wait the first again', () => {
  const backoff = new Backoff(LIMITS)
  for (let attempt = 0; attempt < 3; attempt++) backoff.nextMs(1)
  backoff.reset()
  expect(backoff.nextMs(1)).toBe(50)
})

test('no number of attempts makes it longer', () => {
  const backoff = new Backoff(LIMITS)
  for (let attempt = 0; attempt < 2_000; attempt++) backoff.nextMs(1)
  expect(backoff.nextMs(1)).toBe(300)
})
