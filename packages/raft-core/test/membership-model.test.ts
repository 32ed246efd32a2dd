import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { InvariantError } from '../src/errors.ts'
import { MembershipHistory } from '../src/protocol/membership.ts'
import { applyChanges, leaveJoint } from '../src/protocol/next-membership.ts'
import { isVoter, tally } from '../src/protocol/quorum.ts'
import type { Membership, MembershipChange, NodeId } from '../src/types.ts'
import { voters } from './support/messages.ts'
import { share } from './support/share.ts'

const ids = ['a', 'b', 'c', 'd', 'e', 'f'] as const
const id = fc.constantFrom(...ids)
const peer = id.map((name) => ({ id: name, address: `new-${name}` }))

const change: fc.Arbitrary<MembershipChange> = fc.oneof(
  fc.record({ type: fc.constant('add-voter' as const), peer }),
  fc.record({ type: fc.constant('add-learner' as const), peer }),
  fc.record({ type: fc.constant('promote-learner' as const), id }),
  fc.record({ type: fc.constant('demote-voter' as const), id }),
  fc.record({ type: fc.constant('remove' as const), id }),
  fc.record({ type: fc.constant('move' as const), peer }),
)
const changes = fc.array(change, { minLength: 1, maxLength: 5 })

type Standing = 'voter' | 'learner' | 'removed'

/** Any membership that is not joint, with at least one voter. */
const current: fc.Arbitrary<Membership> = fc
  .array(fc.constantFrom<Standing | null>('voter', 'voter', 'learner', 'removed', null), {
    minLength: ids.length,
    maxLength: ids.length,
  })
  .filter((standings) => standings.includes('voter'))
  .map((standings) => {
    const of = (standing: Standing): readonly NodeId[] =>
      ids.filter((_, at) => standings[at] === standing)
    const { peers } = voters(...of('voter'), ...of('learner'))
    return {
      voters: of('voter'),
      outgoing: [],
      learners: of('learner'),
      peers,
      removed: of('removed').map((name) => ({ id: name, address: `old-${name}` })),
    }
  })

interface Model {
  readonly standing: Map<NodeId, Standing>
  readonly address: Map<NodeId, string>
}

const modelOf = (membership: Membership): Model => ({
  standing: new Map([
    ...membership.voters.map((name) => [name, 'voter'] as const),
    ...membership.learners.map((name) => [name, 'learner'] as const),
    ...membership.removed.map((gone) => [gone.id, 'removed'] as const),
  ]),
  address: new Map([...membership.removed, ...membership.peers].map((of) => [of.id, of.address])),
})

/** One change after the other, on a map of who is what; null if any of them makes no sense. */
function slowly(membership: Membership, asked: readonly MembershipChange[]): Model | null {
  const { standing, address } = modelOf(membership)
  const names = asked.map((one) => ('peer' in one ? one.peer.id : one.id))
  if (new Set(names).size < names.length) return null
  for (const [at, one] of asked.entries()) {
    const name = names[at] as NodeId
    const is = standing.get(name) ?? null
    const fits = {
      'add-voter': is === null,
      'add-learner': is === null,
      'promote-learner': is === 'learner',
      'demote-voter': is === 'voter',
      remove: is === 'voter' || is === 'learner',
      move: is === 'voter' || is === 'learner',
    }[one.type]
    if (!fits) return null
    if ('peer' in one) address.set(name, one.peer.address)
    if (one.type === 'add-voter' || one.type === 'promote-learner') standing.set(name, 'voter')
    if (one.type === 'add-learner' || one.type === 'demote-voter') standing.set(name, 'learner')
    if (one.type === 'remove') standing.set(name, 'removed')
  }
  return [...standing.values()].includes('voter') ? { standing, address } : null
}

const caughtUp = (): boolean => true

/** All sets of nodes that together can elect and commit. */
function deciding(membership: Membership): readonly (readonly NodeId[])[] {
  const subsets = ids.reduce<NodeId[][]>(
    (before, name) => [...before, ...before.map((subset) => [...subset, name])],
    [[]],
  )
  return subsets.filter((subset) => tally(membership, (name) => subset.includes(name)) === 'won')
}

function sharesDecisions(before: Membership, after: Membership): boolean {
  const others = deciding(after)
  return deciding(before).every((some) =>
    others.every((other) => some.some((name) => other.includes(name))),
  )
}

describe('a change of membership (§6)', () => {
  test('does what its steps say, all together or not at all', () => {
    fc.assert(
      fc.property(current, changes, (before, asked) => {
        const next = applyChanges(before, asked, caughtUp)
        const model = slowly(before, asked)
        expect(typeof next === 'string').toBe(model === null)
        if (typeof next === 'string' || model === null) return
        const final = leaveJoint(next)
        expect(modelOf(final).standing).toEqual(model.standing)
        for (const { id: name, address } of next.peers)
          expect(address).toBe(model.address.get(name))
      }),
      { numRuns: 1000 },
    )
  })

  test('is joint exactly if it changes more than one voter, and then with all voters of before', () => {
    fc.assert(
      fc.property(current, changes, (before, asked) => {
        const next = applyChanges(before, asked, caughtUp)
        fc.pre(typeof next !== 'string')
        const joined = next.voters.filter((name) => !before.voters.includes(name))
        const left = before.voters.filter((name) => !next.voters.includes(name))
        const isJoint = joined.length + left.length > 1
        expect(next.outgoing).toEqual(isJoint ? before.voters : [])
      }),
      { numRuns: 500 },
    )
  })

  test('never lets two memberships that follow one another decide without each other', () => {
    fc.assert(
      fc.property(current, changes, (before, asked) => {
        const next = applyChanges(before, asked, caughtUp)
        fc.pre(typeof next !== 'string')
        expect(sharesDecisions(before, next)).toBe(true)
        expect(sharesDecisions(next, leaveJoint(next))).toBe(true)
        // A later leader may decide again by the same rules.
        expect(sharesDecisions(next, next)).toBe(true)
      }),
      { numRuns: 100 },
    )
  })

  test('keeps its lists sorted, apart, and with an address for everybody', () => {
    fc.assert(
      fc.property(current, changes, (before, asked) => {
        const next = applyChanges(before, asked, caughtUp)
        fc.pre(typeof next !== 'string')
        for (const list of [
          next.voters,
          next.outgoing,
          next.learners,
          next.peers.map((of) => of.id),
        ]) {
          expect(list).toEqual([...list].toSorted())
          expect(new Set(list).size).toBe(list.length)
        }
        expect(next.learners.filter((name) => next.voters.includes(name))).toEqual([])
        const named = new Set([...next.voters, ...next.outgoing, ...next.learners])
        expect(new Set(next.peers.map((of) => of.id))).toEqual(named)
      }),
      { numRuns: 1000 },
    )
  })

  test('that asks for a learner to be promoted is refused while that is behind', () => {
    const before: Membership = { ...voters('a', 'b'), voters: ['a'], learners: ['b'] }
    const asked: MembershipChange[] = [{ type: 'promote-learner', id: 'b' }]
    expect(applyChanges(before, asked, () => false)).toMatch(/caught up/)
    expect(applyChanges(before, asked, caughtUp)).toMatchObject({ voters: ['a', 'b'] })
  })

  test('without a single step is refused', () => {
    expect(typeof applyChanges(voters('a', 'b', 'c'), [], caughtUp)).toBe('string')
  })

  test('a voter that becomes a learner keeps its say until the old membership is left', () => {
    const asked: MembershipChange[] = [
      { type: 'demote-voter', id: 'a' },
      { type: 'demote-voter', id: 'b' },
    ]
    const next = applyChanges(voters('a', 'b', 'c'), asked, caughtUp) as Membership
    expect(isVoter(next, 'a')).toBe(true)
    expect(next.learners).toEqual(['a', 'b'])
    expect(isVoter(leaveJoint(next), 'a')).toBe(false)
  })
})

describe('the memberships of a log (§6)', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('append' as const), gap: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ do: fc.constant('truncate' as const), back: fc.integer({ min: 0, max: 10 }) }),
    fc.record({
      do: fc.constant('forget' as const),
      share,
    }),
    fc.record({ do: fc.constant('reset' as const), gap: fc.integer({ min: 1, max: 4 }) }),
  )

  test('are a list of places: in effect is the last one, whatever is appended, truncated and forgotten', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (taken) => {
        const named = (index: number): Membership => voters(`at-${index}`)
        const history = new MembershipHistory(0, named(0))
        let model = [0]
        /** Nothing up to here is truncated any more. */
        let committed = 0
        for (const one of taken) {
          const last = model.at(-1) as number
          if (one.do === 'append') {
            model.push(last + one.gap)
            history.append(last + one.gap, named(last + one.gap))
          } else if (one.do === 'truncate') {
            const index = Math.max(committed + 1, last - one.back)
            model = model.filter((kept) => kept < index)
            history.truncate(index)
          } else if (one.do === 'forget') {
            committed = Math.max(committed, Math.floor(last * one.share))
            const oldest = model.filter((kept) => kept <= committed).at(-1) as number
            model = model.filter((kept) => kept >= oldest)
            history.forgetBefore(committed)
          } else {
            committed = last + one.gap
            model = [committed]
            history.reset(committed, named(committed))
          }
          expect(history.currentIndex).toBe(model.at(-1))
          expect(history.current).toEqual(named(model.at(-1) as number))
          expect(history.oldest).toEqual(named(model[0] as number))
          for (let index = committed; index <= last + 5; index++) {
            const known = model.filter((kept) => kept <= index).at(-1) as number
            expect(history.committed(index)).toEqual(named(known))
          }
        }
      }),
      { numRuns: 150 },
    )
  })

  test('two that are not committed go at once', () => {
    const history = new MembershipHistory(0, voters('a'))
    history.append(3, voters('a', 'b'))
    history.append(4, voters('a', 'b', 'c'))
    history.truncate(2)
    expect([history.currentIndex, history.current.voters]).toEqual([0, ['a']])
  })

  test('the last one that is left is never truncated, nor one appended before another', () => {
    const history = new MembershipHistory(5, voters('a'))
    expect(() => history.truncate(5)).toThrow(InvariantError)
    expect(() => history.append(5, voters('b'))).toThrow(InvariantError)
  })
})
