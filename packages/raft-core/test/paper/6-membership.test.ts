import { describe, expect, test } from 'vitest'
import { decodeMembership } from '../../src/codec/records.ts'
import type { Membership, MembershipChange, NodeId } from '../../src/types.ts'
import { Cluster, from, ofType, to } from '../support/cluster.ts'
import {
  accepted,
  appendEntries,
  heartbeat,
  heartbeatReply,
  membershipEntry,
  only,
  preVoteReply,
  requestVote,
  vote,
  voters,
} from '../support/messages.ts'
import { Server, server, type ServerOptions } from '../support/server.ts'

const addVoter = (id: NodeId): MembershipChange => ({
  type: 'add-voter',
  peer: { id, address: `at-${id}` },
})
const remove = (id: NodeId): MembershipChange => ({ type: 'remove', id })

/** {b, c} give way to {d, e}: any two of the old three and any two of the new three may not overlap. */
const replaceTwo = [remove('b'), remove('c'), addVoter('d'), addVoter('e')]

const joint = (incoming: readonly NodeId[], outgoing: readonly NodeId[]): Membership => ({
  ...voters(...new Set([...incoming, ...outgoing])),
  voters: [...incoming],
  outgoing: [...outgoing],
})

const halves = ({ voters: incoming, outgoing }: Membership): readonly string[] => [
  incoming.join(''),
  outgoing.join(''),
]

/** A founder of {a, b, c} that leads term 2 and has committed in it, with strangers d and e around. */
function led(options: ServerOptions = {}): Cluster {
  const cluster = new Cluster(['a', 'b', 'c'], options)
  for (const [at, id] of (['d', 'e'] as const).entries())
    cluster.servers.set(id, new Server({ ...options, id, random: () => 0.3 + at / 5 }))
  cluster.elect('a')
  return cluster
}

function change(cluster: Cluster, id: NodeId, changes: readonly MembershipChange[]): void {
  const outcome = cluster.at(id).input((raft) => raft.changeMembership(changes, null))
  expect(outcome).toHaveProperty('index')
  cluster.collect()
}

/** a leads term 2 alone in the joint membership of {a, d, e} and {a, b, c}, at index 3. */
function inJoint(options: Parameters<typeof server>[1] = {}): Server {
  const a = server({}, options)
  a.lead()
  a.receive(accepted({ from: 'b', term: 2, index: 2 }))
  expect(a.raft.commitIndex).toBe(2)
  a.input((raft) => raft.changeMembership(replaceTwo, null))
  expect(halves(a.raft.membership)).toEqual(['ade', 'abc'])
  return a
}

describe('§6 joint consensus combines both memberships', () => {
  test('entries are replicated to all servers of both', () => {
    const cluster = led()
    change(cluster, 'a', replaceTwo)
    cluster.drop()
    cluster.propose('a', 'x')
    cluster.tick(3)
    for (const id of ['b', 'c', 'd', 'e']) expect(cluster.at(id).state).toEqual(['x'])
  })

  test.each([['b'], ['d']])('any server of either may lead: %s', (heir) => {
    const members = joint(['a', 'd', 'e'], ['a', 'b', 'c'])
    const candidate = new Server({ id: heir, membership: members, preVote: false })
    candidate.tick(10)
    for (const id of ['a', 'b', 'c', 'd', 'e'])
      if (id !== heir) candidate.receive(vote({ from: id, to: heir, term: 2 }))
    expect(candidate.raft.role).toBe('leader')
  })

  test.each([
    [['b'], 3, 2],
    [['b', 'c'], 3, 2],
    [['d', 'e'], 3, 2],
    [['d'], 3, 2],
    [['b', 'd'], 3, 3],
    [['c', 'e'], 3, 3],
  ] as const)(
    'with the leader, %j commit entry %i: committed up to %i',
    (others, index, commit) => {
      const a = inJoint()
      for (const id of others) a.receive(accepted({ from: id, term: 2, index }))
      expect(a.raft.commitIndex).toBe(commit)
    },
  )

  test.each([
    [['b', 'c'], 'candidate'],
    [['d', 'e'], 'candidate'],
    [['b', 'd'], 'leader'],
    [['c', 'e'], 'leader'],
  ] as const)('with its own vote, those of %j make it %s', (others, role) => {
    const a = new Server({ membership: joint(['a', 'd', 'e'], ['a', 'b', 'c']), preVote: false })
    a.tick(10)
    for (const id of others) a.receive(vote({ from: id, term: 2 }))
    expect(a.raft.role).toBe(role)
  })

  test('refusals of a majority of either end an election', () => {
    const a = new Server({ membership: joint(['a', 'd', 'e'], ['a', 'b', 'c']), preVote: false })
    a.tick(10)
    a.receive(vote({ from: 'b', term: 2 }), vote({ from: 'c', term: 2 }))
    a.receive(vote({ from: 'd', term: 2 }, false))
    expect(a.raft.role).toBe('candidate')
    a.receive(vote({ from: 'e', term: 2 }, false))
    expect(a.raft.role).toBe('follower')
  })

  test('asking around needs both, too', () => {
    const a = new Server({ membership: joint(['a', 'd', 'e'], ['a', 'b', 'c']) })
    a.tick(20)
    a.receive(preVoteReply({ from: 'b', term: 1 }), preVoteReply({ from: 'c', term: 1 }))
    expect(a.raft.role).toBe('pre-candidate')
    a.receive(preVoteReply({ from: 'd', term: 1 }))
    expect(a.raft.role).toBe('candidate')
  })

  test('a read needs both to confirm the leader', () => {
    const a = inJoint()
    a.readIndex(1)
    a.receive(heartbeatReply({ from: 'd', term: 2, round: 1 }))
    a.receive(heartbeatReply({ from: 'e', term: 2, round: 1 }))
    expect(a.reads).toEqual([])
    a.receive(heartbeatReply({ from: 'b', term: 2, round: 1 }))
    expect(a.reads).toEqual([{ id: 1, index: 2 }])
  })

  test.each([
    [['d', 'e'], 'follower'],
    [['b', 'c'], 'follower'],
    [['b', 'e'], 'leader'],
  ] as const)('a leader that only %j answer for an election timeout is %s then', (others, role) => {
    const a = inJoint()
    a.tick(10)
    for (let tick = 0; tick < 10 && a.raft.role === 'leader'; tick++) {
      for (const id of others) a.receive(heartbeatReply({ from: id, term: 2 }))
      a.tick(1)
    }
    expect(a.raft.role).toBe(role)
  })
})

describe('§6 memberships in the log', () => {
  test('a membership is stored and sent as an entry of the log', () => {
    const a = inJoint()
    const stored = a.disk.entries.at(-1)
    expect(stored).toMatchObject({ index: 3, term: 2, type: 'membership' })
    expect(decodeMembership(stored!.data)).toEqual(a.raft.membership)
    const sent = a
      .takeLeft()
      .flatMap((left) => (left.type === 'append-entries' ? left.entries : []))
    expect(sent).toContainEqual(stored)
  })

  test('a change of more than one voter goes by way of a joint membership', () => {
    expect(halves(inJoint().raft.membership)).toEqual(['ade', 'abc'])
  })

  test('a server uses the newest in its log from the moment it is there, committed or not', () => {
    const a = server({}, { slowDisk: true })
    const next = membershipEntry(2, 2, voters('a', 'b', 'd'))
    a.receive(appendEntries({ from: 'b', term: 2, prev: [1, 1], entries: [next] }))
    expect(a.raft.commitIndex).toBe(1)
    expect(a.raft.membership.voters).toEqual(['a', 'b', 'd'])
    a.slowDisk = false
    a.persist()
    a.tick(20)
    expect(a.raft.role).toBe('pre-candidate')
    const asked = a.tick(20)
    expect(only(asked, 'pre-vote').map((message) => message.to)).toEqual(
      expect.arrayContaining(['b', 'd']),
    )
    expect(asked.map((message) => message.to)).not.toContain('c')
  })

  test('whether a joint membership is committed is decided by its own rules', () => {
    const a = inJoint()
    a.receive(
      accepted({ from: 'b', term: 2, index: 3 }),
      accepted({ from: 'c', term: 2, index: 3 }),
    )
    expect(a.raft.commitIndex).toBe(2)
    a.receive(accepted({ from: 'd', term: 2, index: 3 }))
    expect(a.raft.commitIndex).toBe(3)
  })

  test('who inherits one that is committed ends it no sooner than it has committed by itself', () => {
    const a = new Server({ membership: joint(['a', 'd', 'e'], ['a', 'b', 'c']), preVote: false })
    a.tick(10)
    a.receive(vote({ from: 'b', term: 2 }), vote({ from: 'd', term: 2 }))
    expect(a.raft.role).toBe('leader')
    expect(a.raft.membershipIndex).toBeLessThanOrEqual(a.raft.commitIndex)
    a.tick()
    a.receive(accepted({ from: 'b', term: 2, index: 2 }))
    expect([a.raft.lastIndex, ...halves(a.raft.membership)]).toEqual([2, 'ade', 'abc'])
    a.receive(accepted({ from: 'd', term: 2, index: 2 }))
    expect(a.raft.commitIndex).toBe(2)
    expect([a.raft.lastIndex, ...halves(a.raft.membership)]).toEqual([3, 'ade', ''])
  })

  test('if the leader crashes first, one who has not got it may win by the old rules alone', () => {
    const cluster = led({ preVote: false, checkQuorum: false })
    cluster.cut(['a', 'b'], ['a', 'c'])
    change(cluster, 'a', replaceTwo)
    cluster.stabilize()
    cluster.crash('a')
    cluster.campaign('b')
    cluster.stabilize()
    expect(cluster.at('b').raft.role).toBe('leader')
    expect(halves(cluster.at('b').raft.membership)).toEqual(['abc', ''])
  })

  test('or one who has got it wins by the rules of both; the new servers alone elect nobody', () => {
    const cluster = led({ preVote: false, checkQuorum: false })
    cluster.cut(['a', 'b'], ['a', 'c'])
    change(cluster, 'a', replaceTwo)
    cluster.stabilize()
    cluster.crash('a')
    cluster.campaign('d')
    cluster.drop(to('b', 'c'))
    cluster.stabilize()
    expect(cluster.at('d').votedFor).toBe('d')
    expect(cluster.at('e').votedFor).toBe('d')
    expect(cluster.at('d').raft.role).toBe('candidate')
    cluster.campaign('d')
    cluster.stabilize()
    expect(cluster.at('d').raft.role).toBe('leader')
    expect(halves(cluster.at('d').raft.membership)).toEqual(['ade', ''])
  })

  test('once it is committed, nobody without it is elected', () => {
    const cluster = led({ preVote: false, checkQuorum: false })
    cluster.cut(['a', 'c'])
    change(cluster, 'a', replaceTwo)
    cluster.deliver(to('b', 'd'))
    for (let round = 0; round < 8; round++) {
      cluster.drop(to('c', 'e'))
      cluster.deliver()
      if (cluster.at('a').raft.commitIndex >= 3) break
    }
    expect(cluster.at('a').raft.commitIndex).toBeGreaterThanOrEqual(3)
    cluster.crash('a')
    cluster.drop()
    cluster.campaign('c')
    cluster.stabilize()
    cluster.campaign('c')
    cluster.stabilize()
    expect(cluster.at('c').raft.role).not.toBe('leader')
  })

  test('then the leader appends the new membership alone, without being asked', () => {
    const a = inJoint()
    a.receive(
      accepted({ from: 'b', term: 2, index: 3 }),
      accepted({ from: 'd', term: 2, index: 3 }),
    )
    expect(halves(a.raft.membership)).toEqual(['ade', ''])
    expect(a.raft.membershipIndex).toBe(4)
  })

  test('and not a moment earlier', () => {
    const a = inJoint()
    a.tick(5)
    a.receive(
      accepted({ from: 'd', term: 2, index: 3 }),
      accepted({ from: 'e', term: 2, index: 3 }),
    )
    expect(a.raft.membershipIndex).toBe(3)
  })

  test('which takes effect as soon as it is seen: the old servers have no say in committing it', () => {
    const a = inJoint()
    a.receive(
      accepted({ from: 'b', term: 2, index: 3 }),
      accepted({ from: 'd', term: 2, index: 3 }),
    )
    a.receive(
      accepted({ from: 'b', term: 2, index: 4 }),
      accepted({ from: 'c', term: 2, index: 4 }),
    )
    expect(a.raft.commitIndex).toBe(3)
    a.receive(accepted({ from: 'e', term: 2, index: 4 }))
    expect(a.raft.commitIndex).toBe(4)
  })

  test('when it is committed, those that are in it need nobody else', () => {
    const cluster = led()
    change(cluster, 'a', replaceTwo)
    cluster.stabilize()
    cluster.crash('b', 'c')
    cluster.propose('a', 'x')
    cluster.stabilize()
    for (const id of ['a', 'd', 'e']) expect(cluster.at(id).state).toEqual(['x'])
    cluster.crash('a')
    cluster.tick(60, ['d', 'e'])
    expect(['d', 'e'].map((id) => cluster.at(id).raft.role)).toContain('leader')
  })

  test('clients are served all the time', () => {
    const cluster = led()
    change(cluster, 'a', replaceTwo)
    for (let count = 0; count < 6; count++) {
      cluster.propose('a', `${count}`)
      cluster.deliver()
    }
    cluster.stabilize()
    expect(cluster.at('d').state).toEqual(['0', '1', '2', '3', '4', '5'])
  })
})

describe('§6 new servers', () => {
  test('join without a vote: the leader sends them the log', () => {
    const cluster = led()
    cluster.propose('a', 'x')
    change(cluster, 'a', [{ type: 'add-learner', peer: { id: 'd', address: '' } }])
    cluster.stabilize()
    expect(cluster.at('d').state).toEqual(['x'])
  })

  test('and do not count: neither for commitment, nor for reads, nor as somebody who is heard', () => {
    const a = server()
    a.lead()
    a.receive(accepted({ from: 'b', term: 2, index: 2 }))
    const learner: MembershipChange = { type: 'add-learner', peer: { id: 'd', address: '' } }
    a.input((raft) => raft.changeMembership([learner], null))
    a.receive(accepted({ from: 'd', term: 2, index: 3 }))
    expect(a.raft.commitIndex).toBe(2)
    a.readIndex(1)
    a.receive(heartbeatReply({ from: 'd', term: 2, round: 1 }))
    expect(a.reads).toEqual([])
    a.tick(10)
    for (let tick = 0; tick < 10; tick++) {
      a.receive(heartbeatReply({ from: 'd', term: 2 }))
      a.tick(1)
    }
    expect(a.raft.role).toBe('follower')
  })

  test('nor does a vote of theirs', () => {
    const members: Membership = { ...voters('a', 'b', 'c', 'd'), voters: ['a', 'b', 'c'] }
    const a = new Server({ membership: { ...members, learners: ['d'] }, preVote: false })
    expect(only(a.tick(20), 'request-vote').map((message) => message.to)).not.toContain('d')
    a.receive(vote({ from: 'd', term: a.raft.term }))
    expect(a.raft.role).toBe('candidate')
  })

  test('once they have caught up, the change goes on: until then promotion is refused', () => {
    const a = server({ terms: [1, 1, 1, 1] }, { maxPromotionLag: 1 })
    a.lead()
    a.receive(accepted({ from: 'b', term: 2, index: 6 }))
    const learner: MembershipChange = { type: 'add-learner', peer: { id: 'd', address: '' } }
    a.input((raft) => raft.changeMembership([learner], null))
    a.receive(accepted({ from: 'b', term: 2, index: 7 }))
    const promote = () =>
      a.input((raft) => raft.changeMembership([{ type: 'promote-learner', id: 'd' }], null))
    expect(promote()).toMatchObject({ refused: 'invalid' })
    a.receive(accepted({ from: 'd', term: 2, index: 5 }))
    expect(promote()).toMatchObject({ refused: 'invalid' })
    a.receive(accepted({ from: 'd', term: 2, index: 6 }))
    expect(promote()).toEqual({ index: 8 })
  })

  test('a learner that nobody hears is not promoted, however far its log was', () => {
    const a = server()
    a.lead()
    a.receive(accepted({ from: 'b', term: 2, index: 2 }))
    const learner: MembershipChange = { type: 'add-learner', peer: { id: 'd', address: '' } }
    a.input((raft) => raft.changeMembership([learner], null))
    a.receive(
      accepted({ from: 'b', term: 2, index: 3 }),
      accepted({ from: 'd', term: 2, index: 3 }),
    )
    for (let tick = 0; tick < 20; tick++) {
      a.receive(heartbeatReply({ from: 'b', term: 2 }))
      a.tick(1)
    }
    expect(
      a.input((raft) => raft.changeMembership([{ type: 'promote-learner', id: 'd' }], null)),
    ).toMatchObject({ refused: 'invalid' })
  })
})

describe('§6 a leader that is not part of the new membership', () => {
  const led3 = (): Server => {
    const a = server()
    a.lead()
    for (const id of ['b', 'c']) a.receive(accepted({ from: id, term: 2, index: 2 }))
    a.input((raft) => raft.changeMembership([remove('a')], null))
    return a
  }

  test('replicates entries, its own removal first, and does not count itself', () => {
    const a = led3()
    const removals = only(a.takeLeft(), 'append-entries').filter((sent) => sent.entries.length > 0)
    expect(removals.map((sent) => [sent.to, sent.entries.length])).toEqual([
      ['b', 1],
      ['c', 1],
    ])
    a.receive(accepted({ from: 'b', term: 2, index: 3 }))
    expect(a.raft.commitIndex).toBe(2)
    a.receive(accepted({ from: 'c', term: 2, index: 3 }))
    expect(a.raft.commitIndex).toBe(3)
  })

  test('leads until the new membership is committed, and takes commands meanwhile', () => {
    const a = led3()
    a.tick(5)
    a.receive(accepted({ from: 'b', term: 2, index: 3 }))
    expect(a.raft.role).toBe('leader')
    expect(a.propose('x').accepted).toBe(1)
  })

  test('then hands over, and takes none any more', () => {
    const a = led3()
    a.receive(accepted({ from: 'b', term: 2, index: 3 }))
    const left = a.receive(accepted({ from: 'c', term: 2, index: 3 }))
    expect(only(left, 'timeout-now')).toHaveLength(1)
    expect(a.propose('x').accepted).toBe(0)
  })

  test('or just steps down, if nobody is there to hand over to', () => {
    const cluster = led()
    change(cluster, 'a', [remove('a')])
    cluster.stabilize()
    cluster.tick(2)
    expect(cluster.at('a').raft.role).toBe('follower')
    expect(['b', 'c'].map((id) => cluster.at(id).raft.role)).toContain('leader')
  })

  test('and does not campaign once its removal is committed', () => {
    const cluster = led()
    change(cluster, 'a', [remove('a')])
    cluster.stabilize()
    cluster.tick(2)
    const { term } = cluster.at('a').raft
    expect(cluster.at('a').tick(100)).toEqual([])
    expect(cluster.at('a').raft.term).toBe(term)
  })
})

describe('§6 removed servers', () => {
  test('a server that hears a leader neither grants a vote nor takes the term, for the minimum timeout', () => {
    const a = server({}, { random: () => 0.9 })
    a.receive(heartbeat({ from: 'b', term: 2 }))
    a.tick(9)
    expect(a.receive(requestVote({ from: 'x', term: 9, last: [9, 9] }))).toEqual([])
    expect(a.raft.term).toBe(2)
    a.tick(1)
    expect(a.receive(requestVote({ from: 'c', term: 9, last: [9, 9] }))).toMatchObject([
      { granted: true },
    ])
  })

  test('so that a cluster that hears its leader goes on, whoever campaigns outside', () => {
    const cluster = led({ preVote: false })
    cluster.isolate('c')
    change(cluster, 'a', [remove('c')])
    cluster.stabilize()
    cluster.tick(12, ['a', 'b'])
    cluster.heal()
    cluster.tick(100)
    expect(cluster.at('a').raft.role).toBe('leader')
    expect(cluster.at('a').raft.term).toBe(2)
    expect(cluster.at('c').raft.term).toBeGreaterThan(2)
  })

  test('one that is out has an election timeout to hear of it', () => {
    const cluster = led()
    change(cluster, 'a', [remove('c')])
    cluster.stabilize()
    expect(cluster.at('c').raft.membership.voters).toEqual(['a', 'b'])
    expect(cluster.at('c').raft.commitIndex).toBe(3)
    expect(cluster.at('c').tick(100)).toEqual([])
  })

  test('and is not fed for ever', () => {
    const cluster = led()
    change(cluster, 'a', [remove('c')])
    cluster.stabilize()
    cluster.tick(11, ['a', 'b'])
    expect(cluster.at('a').raft.peers.map((peer) => peer.id)).toEqual(['b'])
    cluster.propose('a', 'x')
    expect(cluster.drop((message) => to('c')(message) && from('a')(message))).toBe(0)
    expect(cluster.drop(ofType('append-entries'))).toBe(1)
  })

  test('an answer that it sends afterwards counts for nothing', () => {
    const a = server()
    a.lead()
    a.receive(accepted({ from: 'b', term: 2, index: 2 }))
    a.input((raft) => raft.changeMembership([remove('c')], null))
    a.receive(accepted({ from: 'c', term: 2, index: 3 }))
    expect(a.raft.commitIndex).toBe(2)
    a.receive(accepted({ from: 'b', term: 2, index: 3 }))
    for (let tick = 0; tick < 12; tick++) {
      a.receive(heartbeatReply({ from: 'b', term: 2 }))
      a.tick(1)
    }
    a.receive(accepted({ from: 'c', term: 2, index: 3 }))
    expect(a.ignored).toContain('its sender was removed')
    expect(a.raft.peers.map((peer) => peer.id)).toEqual(['b'])
  })

  test('reads that waited for none but those that left wait no longer', () => {
    const a = server({ members: voters('a', 'b') })
    a.lead()
    a.receive(accepted({ from: 'b', term: 2, index: 2 }))
    a.readIndex(1)
    expect(a.reads).toEqual([])
    a.input((raft) => raft.changeMembership([remove('b')], null))
    expect(a.reads).toEqual([{ id: 1, index: 2 }])
  })
})
