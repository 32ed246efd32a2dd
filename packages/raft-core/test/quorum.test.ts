import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isVoter, quorumValue, tally } from '../src/protocol/quorum.ts'
import type { Membership, NodeId } from '../src/types.ts'

const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g'] as const
const half = fc.subarray([...ids])

const members = (voters: readonly NodeId[], outgoing: readonly NodeId[] = []): Membership => ({
  voters,
  outgoing,
  learners: [],
  peers: [],
  removed: [],
})

/** All subsets of `of` that hold more than half of it. */
function majorities(of: readonly NodeId[]): readonly (readonly NodeId[])[] {
  const subsets = of.reduce<NodeId[][]>(
    (before, id) => [...before, ...before.map((subset) => [...subset, id])],
    [[]],
  )
  return subsets.filter((subset) => subset.length * 2 > of.length)
}

/** The best that any majority has reached as a whole. */
function slowValue(of: readonly NodeId[], valueOf: (id: NodeId) => number): number {
  if (of.length === 0) return Number.POSITIVE_INFINITY
  return Math.max(...majorities(of).map((majority) => Math.min(...majority.map(valueOf))))
}

describe('quorumValue', () => {
  const values = fc.record(Object.fromEntries(ids.map((id) => [id, fc.nat(5)])))

  test('is what some majority has reached, in both halves', () => {
    fc.assert(
      fc.property(half, half, values, (voters, outgoing, value) => {
        const valueOf = (id: NodeId) => value[id] as number
        const expected = Math.min(slowValue(voters, valueOf), slowValue(outgoing, valueOf))
        expect(quorumValue(members(voters, outgoing), valueOf)).toBe(expected)
      }),
      { numRuns: 2000 },
    )
  })

  test('never depends on the order of the voters', () => {
    fc.assert(
      fc.property(half, fc.infiniteStream(fc.nat()), values, (voters, keys, value) => {
        const shuffled = [...voters]
          .map((id) => [keys.next().value as number, id] as const)
          .sort(([a], [b]) => a - b)
          .map(([, id]) => id)
        const valueOf = (id: NodeId) => value[id] as number
        expect(quorumValue(members(shuffled), valueOf)).toBe(quorumValue(members(voters), valueOf))
      }),
    )
  })

  test('an empty half objects to nothing', () => {
    const one = () => 1
    expect(quorumValue(members([]), one)).toBe(Number.POSITIVE_INFINITY)
    expect(quorumValue(members([], ['a']), one)).toBe(1)
    expect(quorumValue(members(['a'], []), one)).toBe(1)
  })

  test('a smaller call after a larger one is not led astray by what that left behind', () => {
    quorumValue(members(ids), () => 9)
    expect(quorumValue(members(['a', 'b', 'c']), (id) => (id === 'a' ? 1 : 0))).toBe(0)
  })
})

describe('tally', () => {
  const ballots = fc.record(
    Object.fromEntries(ids.map((id) => [id, fc.constantFrom(true, false, null)])),
  )

  test('is won once a majority of both halves said yes, lost once that can be no more', () => {
    fc.assert(
      fc.property(half, half, ballots, (voters, outgoing, ballot) => {
        const halves = [voters, outgoing].filter((of) => of.length > 0)
        const some = (says: (vote: boolean | null) => boolean) =>
          halves.every((of) =>
            majorities(of).some((majority) => majority.every((id) => says(ballot[id] ?? null))),
          )
        const expected = some((vote) => vote === true)
          ? 'won'
          : some((vote) => vote !== false)
            ? 'pending'
            : 'lost'
        expect(tally(members(voters, outgoing), (id) => ballot[id] ?? null)).toBe(expected)
      }),
      { numRuns: 2000 },
    )
  })

  test('any two that are won share a voter in each half', () => {
    fc.assert(
      fc.property(half, half, half, half, (voters, outgoing, some, others) => {
        fc.pre(voters.length > 0)
        const won = (yes: readonly NodeId[]) =>
          tally(members(voters, outgoing), (id) => yes.includes(id)) === 'won'
        fc.pre(won(some) && won(others))
        expect(voters.some((id) => some.includes(id) && others.includes(id))).toBe(true)
        if (outgoing.length > 0)
          expect(outgoing.some((id) => some.includes(id) && others.includes(id))).toBe(true)
      }),
    )
  })
})

test('a voter of either half has a say, and nobody else', () => {
  const joint = { ...members(['a'], ['b']), learners: ['c'] }
  expect(['a', 'b', 'c', 'd'].map((id) => isVoter(joint, id))).toEqual([true, true, false, false])
})
