import { describe, expect, test } from 'vitest'
import type { Membership, MembershipChange, NodeId } from '../../src/types.ts'
import { Cluster } from '../support/cluster.ts'
import { Disk } from '../support/disk.ts'
import {
  accepted,
  appendEntries,
  commands,
  heartbeatReply,
  installSnapshot,
  membershipEntry,
  only,
  preVoteReply,
  requestVote,
  text,
  vote,
  voters,
} from '../support/messages.ts'
import { diskWith, Server, server, type ServerOptions } from '../support/server.ts'

const addVoter = (id: NodeId, address = `at-${id}`): MembershipChange => ({
  type: 'add-voter',
  peer: { id, address },
})
const addLearner = (id: NodeId): MembershipChange => ({
  type: 'add-learner',
  peer: { id, address: `at-${id}` },
})
const remove = (id: NodeId): MembershipChange => ({ type: 'remove', id })

const ask = (on: Server, changes: readonly MembershipChange[], expected: number | null = null) =>
  on.input((raft) => raft.changeMembership(changes, expected))

/** Leads term 2, and has committed its no-op at index 2. */
function leader(options: ServerOptions = {}): Server {
  const a = server({}, options)
  a.lead()
  a.receive(accepted({ from: 'b', term: 2, index: 2 }))
  return a
}

describe('thesis 4.1 safety', () => {
  test('a change of one voter takes effect at once and is not joint', () => {
    const a = leader()
    expect(ask(a, [addVoter('d')])).toEqual({ index: 3 })
    expect(a.raft.membership).toMatchObject({ voters: ['a', 'b', 'c', 'd'], outgoing: [] })
    a.receive(accepted({ from: 'b', term: 2, index: 3 }))
    expect(a.raft.commitIndex).toBe(2)
    a.receive(accepted({ from: 'd', term: 2, index: 3 }))
    expect(a.raft.commitIndex).toBe(3)
  })

  test('no change begins before the one before it is committed', () => {
    const a = leader()
    ask(a, [addVoter('d')])
    expect(ask(a, [addVoter('e')])).toMatchObject({ refused: 'pending' })
    a.receive(
      accepted({ from: 'b', term: 2, index: 3 }),
      accepted({ from: 'c', term: 2, index: 3 }),
    )
    expect(ask(a, [addVoter('e')])).toEqual({ index: 4 })
  })

  test('nor before the leader has committed an entry of its own term', () => {
    const a = server()
    a.lead()
    expect(ask(a, [remove('c')])).toMatchObject({ refused: 'pending' })
    a.receive(accepted({ from: 'b', term: 2, index: 2 }))
    expect(ask(a, [remove('c')])).toEqual({ index: 3 })
  })

  test('not even if it finds nothing but what is committed in its log', () => {
    const a = server({ term: 4, commit: 3, terms: [1, 1] })
    a.lead()
    expect(a.raft.commitIndex).toBe(3)
    expect(ask(a, [addVoter('d')])).toMatchObject({ refused: 'pending' })
  })

  test('a server whose newest membership is truncated goes back to the one before', () => {
    const a = server()
    const next = membershipEntry(2, 2, voters('a', 'b', 'c', 'd'))
    a.receive(appendEntries({ from: 'b', term: 2, prev: [1, 1], entries: [next] }))
    expect(a.raft.membership.voters).toEqual(['a', 'b', 'c', 'd'])
    a.receive(appendEntries({ from: 'c', term: 3, prev: [1, 1], entries: commands(2, 3) }))
    expect(a.raft.membership.voters).toEqual(['a', 'b', 'c'])
    expect(a.raft.membershipIndex).toBe(1)
  })

  test('however many go at once', () => {
    const a = server()
    const entries = [
      membershipEntry(2, 2, voters('a', 'b')),
      ...commands(3, 2),
      membershipEntry(4, 2, voters('a')),
    ]
    a.receive(appendEntries({ from: 'b', term: 2, prev: [1, 1], entries }))
    expect(a.raft.membership.voters).toEqual(['a'])
    a.receive(appendEntries({ from: 'c', term: 3, prev: [1, 1], entries: commands(2, 3) }))
    expect(a.raft.membership.voters).toEqual(['a', 'b', 'c'])
  })

  test('and campaigns by the one that it has gone back to', () => {
    const a = server()
    const next = membershipEntry(2, 2, voters('b', 'c', 'd'))
    a.receive(appendEntries({ from: 'b', term: 2, prev: [1, 1], entries: [next] }))
    a.receive(appendEntries({ from: 'c', term: 3, prev: [1, 1], entries: commands(2, 3) }))
    expect(only(a.tick(40), 'pre-vote').map((message) => message.to)).not.toContain('d')
    expect(a.raft.role).toBe('pre-candidate')
  })

  test('entries are taken from a leader that is not in the own membership', () => {
    const a = server()
    const left = a.receive(
      appendEntries({ from: 'x', term: 2, prev: [1, 1], entries: commands(2, 2) }),
    )
    expect(left).toMatchObject([{ accepted: true, index: 2 }])
    expect(a.raft.leader).toBe('x')
  })

  test('and a vote is given to a candidate that is not in it', () => {
    const a = server()
    expect(a.receive(requestVote({ from: 'x', term: 2, last: [1, 1] }))).toMatchObject([
      { granted: true },
    ])
  })

  test('a server that knows nobody does both, and campaigns never', () => {
    const a = new Server({ preVote: false })
    expect(a.tick(100)).toEqual([])
    expect(a.receive(requestVote({ from: 'b', term: 2, last: [0, 0] }))).toMatchObject([
      { granted: true },
    ])
    a.receive(
      appendEntries({
        from: 'b',
        term: 2,
        prev: [0, 0],
        entries: [membershipEntry(1, 1, voters('b'))],
      }),
    )
    expect(a.raft.membership.voters).toEqual(['b'])
    expect(a.tick(100)).toEqual([])
  })

  test('the leader feeds a new server from the moment it is in its log', () => {
    const a = leader()
    ask(a, [addVoter('d')])
    expect(only(a.takeLeft(), 'append-entries').map((message) => message.to)).toContain('d')
  })
})

describe('thesis 4.1 what each step asks for', () => {
  const members: Membership = { ...voters('a', 'b', 'c', 'd'), voters: ['a', 'b', 'c'] }
  const led = (): Server => {
    const a = server({ members: { ...members, learners: ['d'] } })
    a.lead()
    a.receive(accepted({ from: 'b', term: 2, index: 2 }))
    return a
  }

  test.each<[string, MembershipChange[], RegExp]>([
    ['a voter that is one', [addVoter('b')], /b is a member/],
    ['a voter that is a learner', [addVoter('d')], /d is a member/],
    ['a learner that is a voter', [addLearner('b')], /b is a member/],
    ['promoting a voter', [{ type: 'promote-learner', id: 'b' }], /b is no learner/],
    ['promoting a stranger', [{ type: 'promote-learner', id: 'x' }], /x is no learner/],
    ['demoting a learner', [{ type: 'demote-voter', id: 'd' }], /d is no voter/],
    ['removing a stranger', [remove('x')], /x is no member/],
    ['moving a stranger', [{ type: 'move', peer: { id: 'x', address: '' } }], /x is no member/],
    ['a name twice', [addVoter('x'), remove('x')], /x is named twice/],
    ['removing every voter', [remove('a'), remove('b'), remove('c')], /no voter would be left/],
    ['no step at all', [], /nothing/],
    ['one step that makes sense and one that does not', [addVoter('x'), remove('y')], /y is no/],
  ])('%s is refused, and nothing happens', (_, changes, why) => {
    const a = led()
    const before = a.raft.membership
    expect(ask(a, changes)).toMatchObject({
      refused: 'invalid',
      why: expect.stringMatching(why) as string,
    })
    expect(a.raft.membership).toBe(before)
    expect(a.raft.lastIndex).toBe(2)
  })

  test('demoting every voter while learners are left is refused', () => {
    const changes = ['a', 'b', 'c'].map((id) => ({ type: 'demote-voter', id }) as const)
    expect(ask(led(), changes)).toMatchObject({ refused: 'invalid' })
  })

  test('only a leader changes anything', () => {
    expect(ask(server(), [addVoter('d')])).toMatchObject({ refused: 'not-leader' })
  })

  test('and none that hands over', () => {
    const a = leader()
    a.input((raft) => raft.transferLeadership('b'))
    expect(ask(a, [addVoter('d')])).toMatchObject({ refused: 'not-leader' })
  })

  test('a member that moves keeps its vote, and is fed as before', () => {
    const a = leader()
    const { matchIndex } = a.peer('b')
    ask(a, [{ type: 'move', peer: { id: 'b', address: 'elsewhere' } }])
    expect(a.raft.membership.peers).toContainEqual({ id: 'b', address: 'elsewhere' })
    expect(a.raft.membership).toMatchObject({ voters: ['a', 'b', 'c'], outgoing: [] })
    expect(a.peer('b').matchIndex).toBe(matchIndex)
  })

  test('whoever names the membership that was seen changes that one or none', () => {
    const a = leader()
    expect(ask(a, [addLearner('d')], 1)).toEqual({ index: 3 })
    a.receive(accepted({ from: 'b', term: 2, index: 3 }))
    expect(ask(a, [addLearner('e')], 1)).toMatchObject({ refused: 'invalid' })
    expect(ask(a, [addLearner('e')], 3)).toEqual({ index: 4 })
  })
})

describe('thesis 4.2.1 catching up', () => {
  test('a learner that has caught up is promoted right after the leader checked its majority, too', () => {
    const a = leader()
    ask(a, [addLearner('d')])
    for (const id of ['b', 'd']) a.receive(accepted({ from: id, term: 2, index: 3 }))
    for (let tick = 0; tick < 10; tick++) {
      for (const id of ['b', 'd']) a.receive(heartbeatReply({ from: id, term: 2 }))
      a.tick(1)
    }
    expect(ask(a, [{ type: 'promote-learner', id: 'd' }])).toEqual({ index: 4 })
  })

  test('what the leader knows of a learner stays when it is promoted', () => {
    const a = leader()
    ask(a, [addLearner('d')])
    for (const id of ['b', 'd']) a.receive(accepted({ from: id, term: 2, index: 3 }))
    ask(a, [{ type: 'promote-learner', id: 'd' }])
    expect(a.peer('d')).toMatchObject({ state: 'replicate', matchIndex: 3 })
  })
})

describe('thesis 4.2.2 removing the leader', () => {
  test('a server whose removal is in its log and not committed may still be elected', () => {
    const a = server({}, { preVote: false })
    const next = membershipEntry(2, 2, voters('b', 'c'))
    a.receive(appendEntries({ from: 'b', term: 2, prev: [1, 1], entries: [next], commit: 1 }))
    const asked = only(a.tick(40), 'request-vote')
    expect(asked.map((message) => message.to)).toEqual(expect.arrayContaining(['b', 'c']))
    // It has no vote in the membership that it campaigns by.
    a.receive(vote({ from: 'b', term: a.raft.term }))
    expect(a.raft.role).toBe('candidate')
    a.receive(vote({ from: 'c', term: a.raft.term }))
    expect(a.raft.role).toBe('leader')
  })

  test('one whose removal is committed may not', () => {
    const a = server({}, { preVote: false })
    const next = membershipEntry(2, 2, voters('b', 'c'))
    a.receive(appendEntries({ from: 'b', term: 2, prev: [1, 1], entries: [next], commit: 2 }))
    expect(a.tick(100)).toEqual([])
  })

  test('a leader whose removal is committed before its own term was steps down all the same', () => {
    const a = server({}, { preVote: false })
    const next = membershipEntry(2, 2, voters('b', 'c'))
    a.receive(appendEntries({ from: 'b', term: 2, prev: [1, 1], entries: [next], commit: 1 }))
    a.tick(40)
    for (const id of ['b', 'c']) a.receive(vote({ from: id, term: a.raft.term }))
    const { term, lastIndex } = a.raft
    a.receive(accepted({ from: 'b', term, index: lastIndex }))
    expect(a.raft.commitIndex).toBe(1)
    const left = a.receive(accepted({ from: 'c', term, index: lastIndex }))
    expect(a.raft.commitIndex).toBe(lastIndex)
    expect(only(left, 'timeout-now')).toHaveLength(1)
  })
})

describe('thesis 4.3 a new leader and a change under way', () => {
  /** Leads term 3 with an inherited joint membership at index 2 that nobody else may have. */
  function heir(): Server {
    const joint: Membership = {
      ...voters('a', 'b', 'c', 'd', 'e'),
      voters: ['a', 'd', 'e'],
      outgoing: ['a', 'b', 'c'],
    }
    const disk = diskWith({})
    disk.append({
      reset: null,
      entries: [membershipEntry(2, 2, joint)],
      hardState: { term: 2, votedFor: null, commitIndex: 1 },
    })
    const a = new Server({ disk, preVote: false })
    a.tick(10)
    for (const id of ['b', 'd']) a.receive(vote({ from: id, term: 3 }))
    expect(a.raft.role).toBe('leader')
    return a
  }

  test('it does not leave the joint membership before that is committed, with an entry of its term', () => {
    const a = heir()
    expect(a.raft.membershipIndex).toBe(2)
    for (const id of ['b', 'd']) a.receive(accepted({ from: id, term: 3, index: 2 }))
    expect(a.raft.membershipIndex).toBe(2)
    for (const id of ['b', 'd']) a.receive(accepted({ from: id, term: 3, index: 3 }))
    expect([a.raft.membershipIndex, a.raft.membership.outgoing]).toEqual([4, []])
  })

  test('and then does, once', () => {
    const a = heir()
    for (const id of ['b', 'd']) a.receive(accepted({ from: id, term: 3, index: 3 }))
    a.tick(3)
    for (const id of ['b', 'd', 'e']) a.receive(accepted({ from: id, term: 3, index: 4 }))
    a.tick(3)
    expect([a.raft.membershipIndex, a.raft.lastIndex, a.raft.commitIndex]).toEqual([4, 4, 4])
  })

  test('a leader may hand over in the middle of a change, to a voter of the new membership', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.servers.set('d', new Server({ id: 'd', random: () => 0.9 }))
    cluster.elect('a')
    cluster.cut(['a', 'c'])
    expect(ask(cluster.at('a'), [remove('a'), addVoter('d')])).toHaveProperty('index')
    expect(cluster.at('a').input((raft) => raft.transferLeadership('b'))).toBe('b')
    cluster.stabilize()
    expect(cluster.at('b').raft.role).toBe('leader')
    expect(cluster.at('b').raft.membership).toMatchObject({ voters: ['b', 'c', 'd'], outgoing: [] })
  })
})

describe('a membership survives', () => {
  test('a crash, from the log: the newest that is stored, committed or not', () => {
    const a = leader()
    ask(a, [addVoter('d')])
    a.crash()
    expect(a.raft.membership.voters).toEqual(['a', 'b', 'c', 'd'])
    expect([a.raft.membershipIndex, a.raft.commitIndex]).toEqual([3, 2])
  })

  test('but not if it was never durable', () => {
    const a = leader()
    a.slowDisk = true
    ask(a, [addVoter('d')])
    expect(a.raft.membership.voters).toContain('d')
    a.slowDisk = false
    a.crash()
    expect(a.raft.membership.voters).toEqual(['a', 'b', 'c'])
  })

  test('the compaction of its entry, in the snapshot', () => {
    const a = leader()
    ask(a, [addLearner('d')])
    a.receive(accepted({ from: 'b', term: 2, index: 3 }))
    a.takeSnapshot()
    a.crash()
    expect(a.raft.membership.learners).toEqual(['d'])
    expect(a.raft.membershipIndex).toBe(3)
  })

  test('both: the log goes on from the snapshot', () => {
    const a = leader()
    ask(a, [addLearner('d')])
    a.receive(accepted({ from: 'b', term: 2, index: 3 }))
    a.takeSnapshot()
    ask(a, [addLearner('e')])
    a.crash()
    expect(a.raft.membership.learners).toEqual(['d', 'e'])
    // What is not committed can still be taken away again.
    a.receive(appendEntries({ from: 'b', term: 9, prev: [2, 3], entries: commands(4, 9) }))
    expect(a.raft.membership.learners).toEqual(['d'])
  })

  test('in a snapshot that is taken while it is joint', () => {
    const a = leader()
    ask(a, [remove('b'), addVoter('d')])
    for (const id of ['c', 'd']) a.receive(accepted({ from: id, term: 2, index: 3 }))
    expect(a.raft.snapshotMeta.membership).toMatchObject({
      voters: ['a', 'c', 'd'],
      outgoing: ['a', 'b', 'c'],
    })
    const b = new Server({ id: 'x' })
    const message = installSnapshot({
      from: 'a',
      to: 'x',
      term: 2,
      at: [2, 3],
      membership: a.raft.snapshotMeta.membership,
    })
    b.receiveSnapshot(message, text('[]'))
    expect(b.raft.membership.outgoing).toEqual(['a', 'b', 'c'])
    b.crash()
    expect(b.raft.membership.outgoing).toEqual(['a', 'b', 'c'])
  })

  test('a snapshot may make a voter a learner, which campaigns no more', () => {
    const a = server({}, { preVote: false })
    const membership: Membership = { ...voters('a', 'b', 'c'), voters: ['b', 'c'], learners: ['a'] }
    a.receiveSnapshot(installSnapshot({ from: 'b', term: 2, at: [2, 5], membership }), text('[]'))
    expect(a.tick(100)).toEqual([])
  })

  test('a bootstrap is for those who have never run: it changes nothing later', () => {
    const disk = new Disk()
    const first = new Server({ disk, membership: voters('a', 'b', 'c') })
    expect(first.raft.membershipIndex).toBe(1)
    const again = new Server({ disk, membership: voters('a', 'x') })
    expect(again.raft.membership.voters).toEqual(['a', 'b', 'c'])
  })
})

describe('an election and a membership that changes', () => {
  test('votes are counted by the membership in effect, whoever was asked', () => {
    const a = server({}, { preVote: false })
    const next = membershipEntry(2, 2, voters('a', 'b', 'c', 'd', 'e'))
    a.receive(appendEntries({ from: 'b', term: 2, prev: [1, 1], entries: [next] }))
    a.tick(40)
    a.receive(vote({ from: 'b', term: a.raft.term }))
    expect(a.raft.role).toBe('candidate')
    a.receive(vote({ from: 'e', term: a.raft.term }))
    expect(a.raft.role).toBe('leader')
  })

  test('a learner is not asked, and its answers are not counted, in either round', () => {
    const members: Membership = { ...voters('a', 'b', 'c', 'd'), voters: ['a', 'b', 'c'] }
    const a = new Server({ membership: { ...members, learners: ['d'] } })
    expect(only(a.tick(10), 'pre-vote').map((message) => message.to)).toEqual(['b', 'c'])
    a.receive(preVoteReply({ from: 'd', term: 1 }))
    expect(a.raft.role).toBe('pre-candidate')
    expect(a.ignored).toContain('only voters have a vote')
  })
})
