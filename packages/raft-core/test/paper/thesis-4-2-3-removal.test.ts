import { describe, expect, test } from 'vitest'
import { MAX_REMOVED, type Membership, type MembershipChange } from '../../src/types.ts'
import { applyChanges, leaveJoint } from '../../src/protocol/next-membership.ts'
import {
  accepted,
  appendEntries,
  heartbeat,
  heartbeatReply,
  membershipEntry,
  only,
  preVote,
  removed,
  requestVote,
  voters,
  without,
} from '../support/messages.ts'
import { type Server, server } from '../support/server.ts'

/** a, a follower of b, whose log says at index 2 that c is out: committed, or not yet. */
function withoutC({ commit }: { readonly commit: number }): Server {
  const a = server()
  const entries = [membershipEntry(2, 1, without('c'))]
  a.receive(appendEntries({ from: 'b', term: 1, prev: [1, 1], entries, commit }))
  return a
}

describe('what a member tells a node that was removed', () => {
  test.each([
    ['pre-vote', preVote({ from: 'c', term: 9, last: [9, 9] })],
    ['request-vote', requestVote({ from: 'c', term: 9, last: [9, 9] })],
    ['append-entries', appendEntries({ from: 'c', term: 9, prev: [0, 0] })],
    ['heartbeat', heartbeat({ from: 'c', term: 9 })],
  ])('%s is answered by the committed membership, and nothing else comes of it', (_, question) => {
    const a = withoutC({ commit: 2 })
    const left = a.receive(question)
    expect(left).toEqual([
      removed({ from: 'a', to: 'c', term: 1, index: 2, membership: without('c') }),
    ])
    expect([a.raft.term, a.raft.leader]).toEqual([1, 'b'])
  })

  test('an answer of a removed node is not answered', () => {
    const a = withoutC({ commit: 2 })
    expect(a.receive(heartbeatReply({ from: 'c', term: 1 }))).toEqual([])
    expect(a.ignored.at(-1)).toBe('its sender was removed')
  })

  test('a removal that is not committed may still be undone: the node is treated as a member', () => {
    const a = withoutC({ commit: 1 })
    a.tick(10)
    a.takeLeft()
    const [answer] = a.receive(preVote({ from: 'c', term: 1, last: [2, 9] }))
    expect(answer).toMatchObject({ type: 'pre-vote-reply', granted: true })
  })

  test('it becomes reachable for as long as it asks, and a while longer', () => {
    const a = withoutC({ commit: 2 })
    expect(a.peers?.map(({ id }) => id)).toEqual(['a', 'b'])
    a.receive(preVote({ from: 'c', term: 9, last: [9, 9] }))
    expect(a.peers?.map(({ id }) => id)).toEqual(['a', 'b', 'c'])
    for (let beat = 0; beat < 50; beat++) {
      a.receive(heartbeat({ from: 'b', term: 1 }))
      a.tick()
    }
    expect(a.peers?.map(({ id }) => id)).toEqual(['a', 'b'])
  })

  test('a leader that removed itself is followed until it has handed over', () => {
    const a = server()
    const entries = [membershipEntry(2, 1, without('b'))]
    a.receive(appendEntries({ from: 'b', term: 1, prev: [1, 1], entries, commit: 2 }))
    const left = a.receive(heartbeat({ from: 'b', term: 1, commit: 2 }))
    expect(only(left, 'heartbeat-reply')).toHaveLength(1)
  })
})

describe('what a node makes of the news that it was removed', () => {
  test('it stops campaigning, for good', () => {
    const a = server()
    a.receive(removed({ from: 'b', term: 1, index: 2, membership: without('a') }))
    expect(a.raft.isRemoved).toBe(true)
    expect(a.tick(50)).toEqual([])
    expect(a.raft.role).toBe('follower')
  })

  test('whatever term it has reached by itself', () => {
    const a = server({ term: 70 })
    a.receive(removed({ from: 'b', term: 1, index: 2, membership: without('a') }))
    expect(a.raft.isRemoved).toBe(true)
  })

  const stray: [string, Parameters<typeof removed>[0]][] = [
    ['of an index up to which it knows better', { index: 1, membership: without('a') }],
    ['of a membership that it is part of', { index: 9, membership: voters('a', 'b') }],
    ['of a membership that never had it', { index: 9, membership: voters('b', 'c') }],
    ['from a node that is no member itself', { from: 'x', index: 9, membership: without('a') }],
  ].map(([why, rest]) => [why as string, { from: 'b', term: 1, ...(rest as object) } as never])

  test.each(stray)('but not %s', (_, news) => {
    const a = server()
    a.receive(removed(news))
    expect(a.raft.isRemoved).toBe(false)
  })

  test('nor after it was committed that it is a member later on', () => {
    const a = server()
    const entries = [membershipEntry(2, 1, voters('a', 'b', 'c', 'd'))]
    a.receive(appendEntries({ from: 'b', term: 1, prev: [1, 1], entries, commit: 2 }))
    a.receive(removed({ from: 'b', term: 1, index: 2, membership: without('a') }))
    expect(a.raft.isRemoved).toBe(false)
    expect(a.ignored.at(-1)).toBe('a later membership is known here')
  })

  test('what is in its own log counts once it is applied, and after a restart too', () => {
    const a = server()
    const entries = [membershipEntry(2, 1, without('a'))]
    a.receive(appendEntries({ from: 'b', term: 1, prev: [1, 1], entries, commit: 1 }))
    expect(a.raft.isRemoved).toBe(false)
    a.receive(appendEntries({ from: 'b', term: 1, prev: [1, 2], commit: 2 }))
    expect(a.raft.isRemoved).toBe(true)
  })

  test('a leader that removed itself leads until it has handed over', () => {
    const a = server()
    a.lead()
    a.receive(accepted({ from: 'b', term: 2, index: a.raft.lastIndex }))
    a.input((raft) => raft.changeMembership([{ type: 'remove', id: 'a' }], null))
    const last = a.raft.lastIndex
    a.receive(accepted({ from: 'b', term: 2, index: last }))
    a.receive(accepted({ from: 'c', term: 2, index: last }))
    expect([a.raft.role, a.raft.isRemoved]).toEqual(['leader', false])
    a.receive(heartbeat({ from: 'b', term: 3 }))
    expect([a.raft.role, a.raft.isRemoved]).toEqual(['follower', true])
  })
})

describe('an id is never used again', () => {
  const all = (): boolean => true
  const change = (from: Membership, ...changes: readonly MembershipChange[]): Membership => {
    const next = applyChanges(from, changes, all)
    if (typeof next === 'string') throw new Error(next)
    return next.outgoing.length > 0 ? leaveJoint(next) : next
  }
  const peer = (id: string) => ({ id, address: `at-${id}` })

  test.each(['add-voter', 'add-learner'] as const)('%s is refused for a removed node', (type) => {
    const left = change(voters('a', 'b', 'c'), { type: 'remove', id: 'c' })
    expect(applyChanges(left, [{ type, peer: peer('c') }], all)).toMatch(/c was removed/)
  })

  test('nor when it left by a joint change, or as a learner', () => {
    const left = change(
      change(voters('a', 'b', 'c'), { type: 'add-learner', peer: peer('x') }),
      { type: 'remove', id: 'b' },
      { type: 'remove', id: 'c' },
      { type: 'remove', id: 'x' },
    )
    expect(left.removed.map(({ id }) => id).toSorted()).toEqual(['b', 'c', 'x'])
  })

  test('while the change is joint, those that leave are not gone yet', () => {
    const joint = applyChanges(
      voters('a', 'b', 'c'),
      [
        { type: 'remove', id: 'b' },
        { type: 'remove', id: 'c' },
      ],
      all,
    )
    expect(joint).toMatchObject({ outgoing: ['a', 'b', 'c'], removed: [] })
  })

  test('of more than are remembered, the one that left first is forgotten', () => {
    let members = voters('a')
    for (let at = 0; at <= MAX_REMOVED; at++) {
      members = change(members, { type: 'add-learner', peer: peer(`x${at}`) })
      members = change(members, { type: 'remove', id: `x${at}` })
    }
    expect(members.removed).toHaveLength(MAX_REMOVED)
    expect([members.removed[0]?.id, members.removed.at(-1)?.id]).toEqual(['x1', `x${MAX_REMOVED}`])
  })
})
