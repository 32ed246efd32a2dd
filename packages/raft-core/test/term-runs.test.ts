import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { TermRuns } from '../src/protocol/term-runs.ts'
import type { Term } from '../src/types.ts'
import { share } from './support/share.ts'

/** One term per index, from the compacted one on. */
interface Slow {
  first: number
  terms: Term[]
}

type Operation =
  | { readonly type: 'append'; readonly rise: number }
  | { readonly type: 'truncate' | 'compact' | 'reset'; readonly at: number }

const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ type: fc.constant('append' as const), rise: fc.nat(2) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constantFrom('truncate' as const, 'compact' as const),
      at: share,
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('reset' as const), at: fc.nat(40) }) },
)

function run(runs: TermRuns, slow: Slow, op: Operation): void {
  const last = slow.first + slow.terms.length - 1
  const lastTerm = slow.terms.at(-1) as Term
  switch (op.type) {
    case 'append':
      runs.append(last + 1, lastTerm + op.rise)
      slow.terms.push(lastTerm + op.rise)
      break
    case 'truncate': {
      const index = slow.first + 1 + Math.floor(op.at * (last - slow.first))
      runs.truncate(index)
      slow.terms.length = index - slow.first
      break
    }
    case 'compact': {
      const index = slow.first + Math.floor(op.at * (last - slow.first))
      runs.compact(index)
      slow.terms.splice(0, index - slow.first)
      slow.first = index
      break
    }
    case 'reset':
      runs.reset({ index: op.at, term: op.at })
      slow.first = op.at
      slow.terms = [op.at]
      break
  }
}

function expectSame(runs: TermRuns, { first, terms }: Slow): void {
  expect(runs.lastTerm).toBe(terms.at(-1))
  for (const [at, term] of terms.entries()) expect(runs.termAt(first + at)).toBe(term)
  const most = (terms.at(-1) as Term) + 1
  for (let index = first; index < first + terms.length; index++)
    for (let term = 0; term <= most; term++) {
      const found = terms.slice(0, index - first + 1).findLastIndex((of) => of <= term)
      expect(runs.lastAtMost(index, term)).toBe(found === -1 ? first : first + found)
    }
}

describe('TermRuns', () => {
  test('answers like one term per entry, whatever was appended, truncated, compacted and reset', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 30 }), (operations) => {
        const runs = new TermRuns({ index: 0, term: 0 }, [])
        const slow: Slow = { first: 0, terms: [0] }
        for (const op of operations) run(runs, slow, op)
        expectSame(runs, slow)
      }),
      { numRuns: 300 },
    )
  })

  test('begins with what a storage remembers', () => {
    const runs = new TermRuns({ index: 5, term: 2 }, [
      { from: 6, term: 2 },
      { from: 8, term: 4 },
    ])
    expect([5, 6, 7, 8, 99].map((index) => runs.termAt(index))).toEqual([2, 2, 2, 4, 4])
  })

  test('terms in a log never fall', () => {
    const runs = new TermRuns({ index: 5, term: 2 }, [])
    expect(() => runs.append(6, 1)).toThrow('terms in a log never fall')
  })

  test('nothing is known of terms before the compacted position', () => {
    const runs = new TermRuns({ index: 5, term: 2 }, [])
    expect(() => runs.termAt(4)).toThrow('before the compacted position')
  })
})

test('as many terms as entries cost no more than a search by halves', () => {
  const count = 200_000
  const runs = Array.from({ length: count }, (_, at) => ({ from: at + 1, term: 2 * at + 1 }))
  const terms = new TermRuns({ index: 0, term: 0 }, runs)
  // Walking from the end, this would be ten thousand million steps.
  for (let index = 1; index <= count; index++) {
    if (terms.termAt(index) !== 2 * index - 1) throw new Error(`the term of ${index}`)
    if (terms.lastAtMost(count, 2 * index) !== index) throw new Error(`the last up to ${index}`)
  }
  terms.compact(count - 5)
  expect(terms.termAt(count - 5)).toBe(2 * count - 11)
  expect(terms.lastAtMost(count, 1)).toBe(count - 5)
})
