import { describe, expect, test } from 'vitest'
import { resolveNetworkOptions, resolveNumbers } from '../../src/transport/options.ts'

const DEFAULTS = { keepaliveMs: 1_000, maxConnections: 512 }
const NEEDED = { id: 'a', cluster: 'test', listen: { host: 'a', port: 1 } }

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
    expect(() => resolveNetworkOptions({ ...NEEDED, minReconnectMs: 1_001 })).toThrow(
      new RangeError('maxReconnectMs must not be less than minReconnectMs'),
    )
    const { minReconnectMs } = resolveNetworkOptions({ ...NEEDED, minReconnectMs: 1_000 })
    expect(minReconnectMs).toBe(1_000)
  })
})

describe('names', () => {
  test('have 1 to 255 bytes', () => {
    resolveNetworkOptions({ ...NEEDED, cluster: 'é'.repeat(127) })
    expect(() => resolveNetworkOptions({ ...NEEDED, id: '' })).toThrow(
      new RangeError('id must have 1 to 255 bytes, not 0'),
    )
    expect(() => resolveNetworkOptions({ ...NEEDED, cluster: 'é'.repeat(128) })).toThrow(
      new RangeError('cluster must have 1 to 255 bytes, not 256'),
    )
  })
})
