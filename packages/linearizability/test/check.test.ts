import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  checkLinearizability,
  keyValue,
  type KeyValueInput,
  type KeyValueOutput,
  type Operation,
  register,
  type RegisterInput,
  type RegisterOutput,
} from '../src/index.ts'
import { isLinearizable } from './brute-force.ts'

type RegisterOperation = Operation<RegisterInput, RegisterOutput>

const LOST = Number.POSITIVE_INFINITY

function write(value: string, calledAt: number, returnedAt: number): RegisterOperation {
  return { input: { type: 'write', value }, output: null, calledAt, returnedAt }
}

function read(output: string | null, calledAt: number, returnedAt: number): RegisterOperation {
  return { input: { type: 'read' }, output, calledAt, returnedAt }
}

function cas(from: string, to: string, output: boolean, at: [number, number]): RegisterOperation {
  const [calledAt, returnedAt] = at
  return { input: { type: 'compare-and-set', from, to }, output, calledAt, returnedAt }
}

function lost(operation: RegisterOperation): RegisterOperation {
  return { ...operation, returnedAt: LOST, output: undefined }
}

function holds(...history: RegisterOperation[]): boolean | 'unknown' {
  return checkLinearizability(register(), history).linearizable
}

describe('histories that one register could have given are linearizable', () => {
  test('none at all', () => expect(holds()).toBe(true))

  test('one after the other', () =>
    expect(holds(write('a', 0, 1), read('a', 2, 3), write('b', 4, 5), read('b', 6, 7))).toBe(true))

  test('a read beside a write sees the old value or the new one', () => {
    expect(holds(write('a', 0, 1), write('b', 2, 9), read('a', 3, 4))).toBe(true)
    expect(holds(write('a', 0, 1), write('b', 2, 9), read('b', 3, 4))).toBe(true)
  })

  test('writes side by side happen in either order', () => {
    expect(holds(write('a', 0, 9), write('b', 0, 9), read('a', 10, 11))).toBe(true)
    expect(holds(write('a', 0, 9), write('b', 0, 9), read('b', 10, 11))).toBe(true)
  })

  test('a write without an answer may have happened, much later, or never', () => {
    const history = [write('a', 0, 1), lost(write('b', 2, 3)), read('a', 4, 5)]
    expect(holds(...history)).toBe(true)
    expect(holds(...history, read('b', 6, 7))).toBe(true)
  })

  test('ends at the same moment count as concurrent', () =>
    expect(holds(write('a', 0, 1), read(null, 1, 2))).toBe(true))

  test('of two compare-and-sets from the same value, one fails', () =>
    expect(holds(write('a', 0, 1), cas('a', 'b', true, [2, 9]), cas('a', 'c', false, [2, 9]))).toBe(
      true,
    ))
})

describe('histories that no register could have given are not', () => {
  test('a value that nobody wrote', () => expect(holds(read('a', 0, 1))).toBe(false))

  test('an old value after a newer one was acknowledged', () =>
    expect(holds(write('a', 0, 1), write('b', 2, 3), read('a', 4, 5))).toBe(false))

  test('a new value, and then the old one again', () =>
    expect(holds(write('a', 0, 1), write('b', 2, 9), read('b', 3, 4), read('a', 5, 6))).toBe(false))

  test('a value before its write was asked for', () =>
    expect(holds(read('a', 0, 1), write('a', 2, 3))).toBe(false))

  test('two compare-and-sets from the same value succeed', () =>
    expect(holds(write('a', 0, 1), cas('a', 'b', true, [2, 9]), cas('a', 'c', true, [2, 9]))).toBe(
      false,
    ))

  test('a write without an answer happens twice', () =>
    expect(
      holds(
        lost(write('b', 0, 1)),
        write('a', 2, 3),
        read('b', 4, 5),
        write('c', 6, 7),
        read('b', 8, 9),
      ),
    ).toBe(false))
})

describe('an account of a failure is short and names what contradicts itself', () => {
  test('only what matters is left, and what was before is a state', () => {
    const noise = Array.from({ length: 50 }, (_, at) => [
      write(`${at}`, at * 10, at * 10 + 2),
      read(`${at}`, at * 10 + 4, at * 10 + 6),
    ]).flat()
    const verdict = checkLinearizability(register(), [
      ...noise,
      { ...write('x', 1000, 1010), client: 1 },
      { ...write('y', 1005, 1020), client: 2 },
      { ...read('y', 1006, 1030), client: 3 },
      { ...read('49', 1025, 1026), client: 4 },
      { ...read('y', 1040, 1050), client: 3 },
    ])
    if (verdict.linearizable !== false) throw new Error('it contradicts itself')
    expect(verdict.operations).toHaveLength(2)
    expect(verdict.account).toBe(
      [
        'no order of these operations explains their answers:',
        '  before that, the state was "49"',
        '  1005..1020  write "y"  (client 2)',
        '  1025..1026  read: "49"  (client 4)',
      ].join('\n'),
    )
  })

  test('each key is checked by itself, and the one that fails is named', () => {
    const put = (
      key: string,
      value: string,
      at: number,
    ): Operation<KeyValueInput, KeyValueOutput> => ({
      input: { type: 'put', key, value },
      output: undefined,
      calledAt: at,
      returnedAt: at + 1,
    })
    const history = [
      put('good', 'a', 0),
      put('bad', 'b', 2),
      { input: { type: 'get', key: 'bad' }, output: 'a', calledAt: 4, returnedAt: 5 } as const,
    ]
    expect(checkLinearizability(keyValue(), history)).toMatchObject({
      linearizable: false,
      object: 'bad',
      operations: [{ output: 'a' }],
    })
  })
})

describe('the key-value store', () => {
  const inputs: readonly (readonly [KeyValueInput, KeyValueOutput])[] = [
    [{ type: 'get', key: 'k' }, null],
    [{ type: 'put', key: 'k', value: 'a' }, null],
    [{ type: 'append', key: 'k', value: 'b' }, 'a'],
    [{ type: 'compare-and-set', key: 'k', from: 'x', to: 'y' }, 'ab'],
    [{ type: 'get', key: 'k' }, 'ab'],
    [{ type: 'compare-and-set', key: 'k', from: 'ab', to: 'c' }, 'ab'],
    [{ type: 'delete', key: 'k' }, 'c'],
    [{ type: 'get', key: 'k' }, null],
  ]
  const history = inputs.map(([input, output], at) => ({
    input,
    output,
    calledAt: 2 * at,
    returnedAt: 2 * at + 1,
  }))

  test('every operation answers with what it found', () =>
    expect(checkLinearizability(keyValue(), history)).toEqual({ linearizable: true }))

  test.each([...history.keys()])('another answer to operation %i is noticed', (at) => {
    const wrong = history.map((operation, index) =>
      index === at ? { ...operation, output: 'wrong' } : operation,
    )
    expect(checkLinearizability(keyValue(), wrong).linearizable).toBe(false)
  })
})

describe('limits', () => {
  test('a search that takes too long is given up, and says so', () => {
    const writes = Array.from({ length: 12 }, (_, at) => write(`${at}`, 0, 9))
    const history = [...writes, read('x', 10, 11)]
    expect(checkLinearizability(register(), history, { maxSteps: 100 })).toEqual({
      linearizable: 'unknown',
      object: '',
    })
    expect(checkLinearizability(register(), history).linearizable).toBe(false)
  })

  test('ten thousand operations of a few clients take no time to speak of', () => {
    const history = Array.from({ length: 10_000 }, (_, at) =>
      at % 4 === 0 ? write(`${at}`, at, at + 1.5) : read(`${at - (at % 4)}`, at, at + 1.5),
    )
    expect(holds(...history)).toBe(true)
  })

  test.each([
    [5, 4],
    [Number.NaN, 1],
    [0, Number.NaN],
    [Number.NEGATIVE_INFINITY, 0],
  ])('times that cannot be are refused: %s to %s', (calledAt, returnedAt) => {
    expect(() => holds(read(null, calledAt, returnedAt))).toThrow(RangeError)
  })

  test('maxSteps is a whole number', () =>
    expect(() => checkLinearizability(register(), [], { maxSteps: 0 })).toThrow(RangeError))
})

const value = fc.constantFrom('a', 'b')

const operation = fc
  .record({
    input: fc.oneof(
      fc.record({ type: fc.constant('read' as const) }),
      fc.record({ type: fc.constant('write' as const), value }),
      fc.record({ type: fc.constant('compare-and-set' as const), from: value, to: value }),
    ),
    answer: fc.constantFrom('a', 'b', null, true, false),
    calledAt: fc.nat(12),
    takes: fc.nat(6),
    isLost: fc.boolean(),
  })
  .map(({ input, answer, calledAt, takes, isLost }): RegisterOperation => {
    const isAnswer = input.type === 'compare-and-set' ? typeof answer === 'boolean' : true
    const output = input.type === 'write' ? null : isAnswer ? answer : undefined
    return isLost
      ? { input, output: undefined, calledAt, returnedAt: LOST }
      : { input, output, calledAt, returnedAt: calledAt + takes }
  })

test('small histories: the same verdict as trying every order, and a real contradiction', () => {
  const model = register()
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 7 }), (history) => {
      const verdict = checkLinearizability(model, history)
      expect(verdict.linearizable).toBe(isLinearizable(model, history))
    }),
    { numRuns: 3000 },
  )
})
