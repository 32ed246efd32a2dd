import { describe, expect, test } from 'vitest'
import { checkNames, resolveNumbers } from '../../src/transport/options.ts'

const DEFAULTS = { keepaliveMs: 1_000, minReconnectMs: 50, maxReconnectMs: 1_000 }

describe('numbers', () => {
  test('are the defaults where nothing is given, and the defaults stay what they are', () => {
    const other = { id: 'a', keepaliveMs: 7 }
    expect(resolveNumbers(other, DEFAULTS)).toEqual({ ...DEFAULTS, keepaliveMs: 7 })
    expect(resolveNumbers({}, DEFAULTS)).toEqual(DEFAULTS)
  })

  test.each([0, -1, 1.5, NaN, Infinity, 2 ** 31])('cannot be %d', (keepaliveMs) => {
    expect(() => resolveNumbers({ keepaliveMs }, DEFAULTS)).toThrow(
      new RangeError(`keepaliveMs must be a whole number from 1 to 2147483647, not ${keepaliveMs}`),
    )
  })

  test('can be as large as a timer takes', () => {
    const keepaliveMs = 2 ** 31 - 1
    expect(resolveNumbers({ keepaliveMs }, DEFAULTS)).toMatchObject({ keepaliveMs })
  })

  test('do not wait longer at first than later', () => {
    expect(() => resolveNumbers({ minReconnectMs: 1_001 }, DEFAULTS)).toThrow(
      new RangeError('maxReconnectMs must not be less than minReconnectMs'),
    )
    expect(resolveNumbers({ minReconnectMs: 1_000 }, DEFAULTS).minReconnectMs).toBe(1_000)
  })
})

describe('names', () => {
  test('have 1 to 255 bytes', () => {
    checkNames({ id: 'a', cluster: 'é'.repeat(127) })
    expect(() => checkNames({ id: '', cluster: 'test' })).toThrow(
      new RangeError('id must have 1 to 255 bytes, not 0'),
    )
    expect(() => checkNames({ id: 'a', cluster: 'é'.repeat(128) })).toThrow(
      new RangeError('cluster must have 1 to 255 bytes, not 256'),
    )
  })
})
