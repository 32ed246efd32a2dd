import { describe, expect, test } from 'vitest'
import { parseArguments } from '../src/arguments.ts'

describe('seeds are named by number', () => {
  test('one', () => {
    expect(parseArguments(['--seed', '3053'])).toEqual({ from: 3053, count: 1, lines: 60 })
  })

  test('many, from 1 on or from another one', () => {
    expect(parseArguments(['--seeds', '1000'])).toEqual({ from: 1, count: 1000, lines: 60 })
    expect(parseArguments(['--seeds', '10', '--from', '7', '--lines', '5'])).toEqual({
      from: 7,
      count: 10,
      lines: 5,
    })
  })

  test.each([
    [[]],
    [['--seed', '-1']],
    [['--seed', 'x']],
    [['--seeds', '1e3']],
    [['--seed', '1', '--seeds', '2']],
    [['--sead', '1']],
    [['1']],
  ])('%j is refused with a reason', (args) => {
    expect(() => parseArguments(args)).toThrow(TypeError)
  })
})
