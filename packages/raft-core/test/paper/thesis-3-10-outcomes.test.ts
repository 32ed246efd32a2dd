import { describe, expect, test } from 'vitest'
import type { Membership, MembershipChange } from '../../src/types.ts'
import { Cluster, ofType } from '../support/cluster.ts'
import { accepted, heartbeatReply, only, timeoutNow, vote, voters } from '../support/messages.ts'
import { Server, server, type ServerOptions } from '../support/server.ts'

function leader(options: ServerOptions = {}): Server {
  const a = server({}, options)
  a.lead()
  for (const id of ['b', 'c']) a.receive(accepted({ from: id, term: 2, index: 2 }))
  a.takeLeft()
  return a
}

describe('thesis 3.10 who can be handed over to', () => {
  test.each(['a', 'd', 'x'])('not %s: itself, a learner, a stranger', (heir) => {
    const a = leader()
    const addLearner: MembershipChange = { type: 'add-learner', peer: { id: 'd', address: '' } }
    a.input((raft) => raft.changeMembership([addLearner], null))
    for (const id of ['b', 'd']) a.receive(accepted({ from: id, term: 2, index: 3 }))
    expect(a.input((raft) => raft.transferLeadership(heir))).toBe(null)
    expect(a.raft.transferring).toBe(false)
    expect(a.propose('x').accepted).toBe(1)
  })

  test('not a voter of the old membership only: it may have no say a moment later', () => {
    const joint: Membership = {
      ...voters('a', 'b', 'c', 'd', 'e'),
      voters: ['a', 'd', 'e'],
      outgoing: ['a', 'b', 'c'],
    }
    const a = new Server({ membership: joint, preVote: false })
    a.tick(10)
    for (const id of ['b', 'd']) a.receive(vote({ from: id, term: 2 }))
    expect(a.input((raft) => raft.transferLeadership('b'))).toBe(null)
    expect(a.input((raft) => raft.transferLeadership('d'))).toBe('d')
  })

  test('one that answered is found right after the leader checked its majority, too', () => {
    const a = leader()
    for (let tick = 0; tick < 10; tick++) {
      a.receive(heartbeatReply({ from: 'c', term: 2 }))
      a.tick(1)
    }
    a.receive(accepted({ from: 'c', term: 2, index: 2 }))
    for (let tick = 0; tick < 10; tick++) {
      a.receive(heartbeatReply({ from: 'c', term: 2 }))
      a.tick(1)
    }
    // b has been silent for two election timeouts, although it has as much of the log.
    expect(a.input((raft) => raft.transferLeadership(null))).toBe('c')
  })

  test('naming another while the first has not taken over turns to that one', () => {
    const a = leader()
    a.propose('x')
    a.input((raft) => raft.transferLeadership('b'))
    a.input((raft) => raft.transferLeadership('c'))
    const left = a.receive(accepted({ from: 'b', term: 2, index: 3 }))
    expect(only(left, 'timeout-now')).toEqual([])
    expect(only(a.receive(accepted({ from: 'c', term: 2, index: 3 })), 'timeout-now')).toHaveLength(
      1,
    )
  })
})

describe('thesis 3.10 how it ends', () => {
  test("the heir's request is how the leader learns that it leads no more", () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.at('a').input((raft) => raft.transferLeadership('b'))
    cluster.deliver(ofType('timeout-now'))
    expect(cluster.at('a').raft.role).toBe('leader')
    cluster.deliver((message) => message.to === 'a' && message.type === 'request-vote')
    expect([cluster.at('a').raft.role, cluster.at('a').raft.term]).toEqual(['follower', 3])
    expect(cluster.at('a').votedFor).toBe('b')
  })

  test('a leader that gave up too early loses no more than an election', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.at('a').input((raft) => raft.transferLeadership('b'))
    cluster.collect()
    const order = cluster.network.find(ofType('timeout-now'))
    cluster.drop(ofType('timeout-now'))
    cluster.tick(10)
    expect(cluster.at('a').raft.transferring).toBe(false)
    cluster.propose('a', 'x')
    cluster.stabilize()
    // The order was not lost, only slow.
    if (order !== undefined) cluster.network.push(order)
    cluster.stabilize()
    expect(cluster.at('b').raft.role).toBe('leader')
    cluster.propose('b', 'y')
    cluster.stabilize()
    for (const id of ['a', 'b', 'c']) expect(cluster.at(id).state).toEqual(['x', 'y'])
  })

  test('an heir that lacks entries when the order arrives loses, and nothing is lost', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.cut(['a', 'b'])
    cluster.propose('a', 'x')
    cluster.stabilize()
    cluster.heal()
    cluster.network.push(timeoutNow({ from: 'a', to: 'b', term: 2 }))
    cluster.deliver(ofType('timeout-now'))
    cluster.stabilize()
    expect(cluster.at('b').raft.role).not.toBe('leader')
    cluster.tick(60)
    for (const id of ['a', 'b', 'c']) expect(cluster.at(id).state).toEqual(['x'])
  })

  test('reads go on, and ask a majority', () => {
    const a = leader()
    a.input((raft) => raft.transferLeadership('b'))
    a.readIndex(1)
    expect(a.reads).toEqual([])
    a.receive(heartbeatReply({ from: 'c', term: 2, round: 1 }))
    expect(a.reads).toEqual([{ id: 1, index: 2 }])
  })
})
