import { describe, expect, test } from 'vitest'
import { parseArguments } from '../src/arguments.ts'

const ENDLESS = Number.POSITIVE_INFINITY
const DEFAULTS = {
  workers: 2,
  lines: 60,
  keepGoing: false,
  seconds: ENDLESS,
  machine: 'kv',
  coverage: false,
  memoryStorage: false,
  memoryTransport: false,
}

describe('seeds are named by number', () => {
  test('one', () => {
    expect(parseArguments(['--seed', '3053'], 2)).toEqual({ ...DEFAULTS, from: 3053, count: 1 })
  })

  test('many, from 1 on or from another one', () => {
    expect(parseArguments(['--seeds', '9'], 2)).toEqual({ ...DEFAULTS, from: 1, count: 9 })
    expect(parseArguments(['--seeds', '10', '--from', '7', '--lines', '5'], 2)).toEqual({
      ...DEFAULTS,
      from: 7,
      count: 10,
      lines: 5,
    })
  })

  test('as many as there is time for', () => {
    expect(
      parseArguments(
        [
          '--seconds',
          '60',
          '--keep-going',
          '--workers',
          '5',
          '--machine',
          'simple',
          '--coverage',
          '--storage',
          'memory',
        ],
        2,
      ),
    ).toEqual({
      from: 1,
      count: ENDLESS,
      seconds: 60,
      workers: 5,
      lines: 60,
      keepGoing: true,
      machine: 'simple',
      coverage: true,
      memoryStorage: true,
      memoryTransport: false,
    })
  })

  test.each([
    [[]],
    [['--seed', '-1']],
    [['--seed', 'x']],
    [['--seeds', '1e3']],
    [['--seed', '1', '--seeds', '2']],
    [['--seed', '1', '--seconds', '2']],
    [['--seconds', '0.5']],
    [['--workers', 'all', '--seed', '1']],
    [['--machine', 'quick', '--seed', '1']],
    [['--storage', 'paper', '--seed', '1']],
    [['--transport', 'pigeon', '--seed', '1']],
    [['--sead', '1']],
    [['1']],
  ])('%j is refused with a reason', (args) => {
    expect(() => parseArguments(args, 2)).toThrow(TypeError)
  })
})
