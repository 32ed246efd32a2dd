import { expect, test } from 'vitest'
import { parseDuration } from '../src/duration.ts'

test.each([
  ['0', 0],
  ['300ms', 300],
  ['1h', 3_600_000],
  ['1h30m', 5_400_000],
  ['1.5h', 5_400_000],
  ['.5s', 500],
  ['2m0.5s', 120_500],
  ['100us', 0.1],
])('%s is a span of time', (text, ms) => {
  expect(parseDuration(text)).toBe(ms)
})

test.each(['', '5', 'h', '1d', '1h ', '-1h', '1.h.', '1e3s', '1h30'])('%j is none', (text) => {
  expect(parseDuration(text)).toBeNull()
})
