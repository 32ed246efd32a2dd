import { describe, expect, test } from 'vitest'
import { Cluster, from, ofType, to } from '../support/cluster.ts'
import {
  heartbeat,
  accepted,
  heartbeatReply,
  only,
  requestVote,
  timeoutNow,
  voters,
} from '../support/messages.ts'
import { type Server, server } from '../support/server.ts'

function leader(options = {}): Server {
  const a = server({}, options)
  a.lead()
  a.receive(accepted({ from: 'b', term: 2, index: 2 }))
  a.takeLeft()
  return a
}

describe('thesis 3.10 leadership transfer', () => {
  test('hands over without waiting for an election timeout, to whoever is named', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    expect(cluster.at('a').input((raft) => raft.transferLeadership('c'))).toBe('c')
    cluster.stabilize()
    expect(cluster.at('c').raft.role).toBe('leader')
    expect(cluster.at('a').raft.leader).toBe('c')
  })

  test('to the voter that is furthest, if nobody is named', () => {
    const a = leader()
    a.propose('x')
    a.receive(accepted({ from: 'c', term: 2, index: 3 }))
    expect(a.input((raft) => raft.transferLeadership(null))).toBe('c')
  })

  test('brings the heir up to date first', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.cut(['a', 'c'])
    cluster.propose('a', 'x')
    cluster.stabilize()
    cluster.heal()
    cluster.at('a').input((raft) => raft.transferLeadership('c'))
    cluster.collect()
    expect(cluster.network.filter(ofType('timeout-now'))).toEqual([])
    cluster.tick(2)
    expect(cluster.at('c').raft.role).toBe('leader')
    expect(cluster.at('c').state).toEqual(['x'])
  })

  test('takes no commands meanwhile', () => {
    const a = leader()
    a.input((raft) => raft.transferLeadership('c'))
    expect(a.propose('x')).toMatchObject({ accepted: 0, why: 'leadership is being handed over' })
  })

  test('is given up after an election timeout, and then commands are taken again', () => {
    const a = leader({ electionTicks: 5 })
    expect(a.input((raft) => raft.transferLeadership('b'))).toBe('b')
    for (let i = 0; i < 5; i++) {
      expect(a.raft.transferring).toBe(true)
      a.receive(heartbeatReply({ from: 'b', term: 2 }))
      a.tick()
    }
    expect(a.raft.transferring).toBe(false)
    expect(a.propose('x')).toMatchObject({ accepted: 1, why: null })
  })

  test('asks the heir once', () => {
    const a = leader()
    a.input((raft) => raft.transferLeadership('b'))
    expect(only(a.takeLeft(), 'timeout-now')).toHaveLength(1)
    // Another follower catches up meanwhile.
    const left = a.receive(accepted({ from: 'c', term: 2, index: 2 }))
    expect(only(left, 'timeout-now')).toEqual([])
    expect(only(a.tick(), 'timeout-now')).toEqual([])
  })

  test.each([
    ['itself', 'a'],
    ['a learner', 'l'],
    ['a stranger', 'z'],
  ])('is refused to %s', (_, heir) => {
    const members = { ...voters('a', 'b', 'c', 'l'), voters: ['a', 'b', 'c'], learners: ['l'] }
    const a = server({ members })
    a.lead()
    expect(a.input((raft) => raft.transferLeadership(heir))).toBe(null)
    expect(a.raft.transferring).toBe(false)
  })

  test('only a leader can', () => {
    expect(server().input((raft) => raft.transferLeadership('b'))).toBe(null)
  })

  test('the heir campaigns at once, without asking around first, though the leader is alive', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.at('c').input((raft) => raft.step(timeoutNow({ from: 'a', to: 'c', term: 2 })))
    cluster.collect()
    expect(cluster.at('c').raft.role).toBe('candidate')
    expect(cluster.network.filter(ofType('request-vote'))).toMatchObject([
      { transfer: true },
      { transfer: true },
    ])
  })

  test('a voter that hears the leader votes for an heir, and for nobody else', () => {
    const a = server({ term: 2 })
    a.receive(heartbeat({ from: 'b', to: 'a', term: 2, commit: 1 }))
    expect(a.receive(requestVote({ from: 'c', term: 3, last: [1, 1] }))).toEqual([])
    expect(a.raft.term).toBe(2)
    expect(
      a.receive(requestVote({ from: 'c', term: 3, last: [1, 1], transfer: true })),
    ).toMatchObject([{ granted: true }])
  })

  test('an order of an earlier term is not followed', () => {
    const a = server({ term: 3 })
    expect(a.receive(timeoutNow({ from: 'b', term: 2 }))).toEqual([])
    expect(a.raft.role).toBe('follower')
  })

  test('a node without a vote does not take over', () => {
    const a = server({ members: voters('b', 'c') })
    a.receive(timeoutNow({ from: 'b', term: 1 }))
    expect(a.raft.role).toBe('follower')
  })

  test('if the order is lost, the leader leads on after an election timeout, and can try again', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.at('a').input((raft) => raft.transferLeadership('b'))
    expect(cluster.drop(ofType('timeout-now'))).toBe(1)
    cluster.tick(10)
    expect(cluster.at('a').raft.role).toBe('leader')
    cluster.propose('a', 'x')
    cluster.stabilize()
    cluster.at('a').input((raft) => raft.transferLeadership('b'))
    cluster.stabilize()
    expect(cluster.at('b').raft.role).toBe('leader')
  })

  test('nothing of a transfer is left when the same node leads again', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.at('a').input((raft) => raft.transferLeadership('b'))
    cluster.drop(ofType('timeout-now'))
    cluster.elect('c')
    cluster.elect('a')
    expect(cluster.at('a').raft.transferring).toBe(false)
    cluster.propose('a', 'x')
    cluster.deliver((message) => from('a')(message) && to('b')(message))
    cluster.stabilize()
    expect(cluster.at('a').state).toEqual(['x'])
  })
})
