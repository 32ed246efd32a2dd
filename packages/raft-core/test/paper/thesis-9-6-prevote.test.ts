import { describe, expect, test } from 'vitest'
import { Cluster } from '../support/cluster.ts'
import {
  appendEntries,
  heartbeat,
  heartbeatReply,
  only,
  preVote,
  preVoteReply,
  requestVote,
  voters,
} from '../support/messages.ts'
import { diskWith, server } from '../support/server.ts'

describe('thesis 9.6 preventing disruptions when a server rejoins', () => {
  test('a server asks around before it begins an election, and its term stays as it is', () => {
    const a = server({ terms: [1] })
    const asked = only(a.tick(10), 'pre-vote')
    expect(asked.map(({ to, term }) => [to, term])).toEqual([
      ['b', 1],
      ['c', 1],
    ])
    expect(asked[0]?.lastLog).toEqual({ term: 1, index: 2 })
    expect(a.raft.role).toBe('pre-candidate')
    expect(a.raft.term).toBe(1)
    expect(a.votedFor).toBe(null)
    expect(a.disk.hardState.term).toBe(1)
  })

  test('it increments its term only when a majority would vote for it', () => {
    const a = server()
    a.tick(10)
    const asked = only(a.receive(preVoteReply({ from: 'b', term: 1 })), 'request-vote')
    expect(asked).toHaveLength(2)
    expect(a.raft.role).toBe('candidate')
    expect(a.raft.term).toBe(2)
  })

  test('it gives up when a majority would not, and asks again after its timeout', () => {
    const a = server()
    a.tick(10)
    a.receive(
      preVoteReply({ from: 'b', term: 1 }, false),
      preVoteReply({ from: 'c', term: 1 }, false),
    )
    expect(a.raft.role).toBe('follower')
    expect(a.raft.term).toBe(1)
    expect(a.tick(9)).toEqual([])
    expect(only(a.tick(1), 'pre-vote')).toHaveLength(2)
  })

  test('whoever heard a leader within the shortest timeout would not vote for anybody', () => {
    // Its own timeout is longer than the shortest one.
    const a = server({ term: 2 }, { random: () => 0.9 })
    a.receive(heartbeat({ from: 'b', term: 2 }))
    a.tick(9)
    expect(a.receive(preVote({ from: 'c', term: 2, last: [9, 9] }))).toMatchObject([
      { granted: false },
    ])
    a.tick(1)
    expect(a.receive(preVote({ from: 'c', term: 2, last: [9, 9] }))).toMatchObject([
      { granted: true },
    ])
  })

  test('a leader would not either', () => {
    const a = server()
    a.lead()
    expect(
      only(a.receive(preVote({ from: 'c', term: 2, last: [9, 9] })), 'pre-vote-reply'),
    ).toMatchObject([{ granted: false }])
    expect(a.raft.role).toBe('leader')
  })

  test('a server may say yes to several: it spends no vote', () => {
    const a = server()
    expect(a.receive(preVote({ from: 'b', term: 1, last: [1, 1] }))).toMatchObject([
      { granted: true },
    ])
    expect(a.receive(preVote({ from: 'c', term: 1, last: [1, 1] }))).toMatchObject([
      { granted: true },
    ])
    expect(a.votedFor).toBe(null)
  })

  test('a node cut off and back again disturbs nobody, however long it was away', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.isolate('c')
    cluster.tick(100)
    expect(cluster.at('c').raft.role).toBe('pre-candidate')
    expect(cluster.at('c').raft.term).toBe(2)
    cluster.propose('a', 'x')
    cluster.stabilize()
    cluster.heal()
    cluster.tick(12)
    expect(cluster.at('a').raft.role).toBe('leader')
    expect(cluster.at('a').raft.term).toBe(2)
    expect(cluster.at('c').state).toEqual(['x'])
  })

  test('a stale log loses the pre-vote and costs no term, and a good one wins', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.isolate('c')
    cluster.propose('a', 'x')
    cluster.stabilize()
    cluster.heal()
    cluster.crash('a')
    for (let i = 0; i < 10; i++) cluster.at('b').input((raft) => raft.tick())
    cluster.drop()
    cluster.campaign('c')
    cluster.stabilize()
    expect(cluster.at('c').raft.role).toBe('pre-candidate')
    expect(cluster.at('b').raft.term).toBe(2)
    cluster.campaign('b')
    cluster.stabilize()
    expect(cluster.at('b').raft.role).toBe('leader')
    expect(cluster.at('b').raft.term).toBe(3)
  })
})

describe('thesis 4.2.3 disruptive servers', () => {
  test('within an election timeout of hearing a leader, a vote is neither given nor the term taken', () => {
    const a = server({ term: 2 })
    a.receive(appendEntries({ from: 'b', term: 2, prev: [1, 1] }))
    a.tick(9)
    expect(a.receive(requestVote({ from: 'c', term: 9, last: [8, 8] }))).toEqual([])
    expect(a.raft.term).toBe(2)
    expect(a.votedFor).toBe(null)
    expect(a.raft.leader).toBe('b')
  })

  test('after that it is', () => {
    const a = server({ term: 2 }, { random: () => 0.9 })
    a.receive(appendEntries({ from: 'b', term: 2, prev: [1, 1] }))
    a.tick(10)
    expect(
      only(a.receive(requestVote({ from: 'c', term: 9, last: [8, 8] })), 'request-vote-reply'),
    ).toMatchObject([{ granted: true, term: 9 }])
  })

  test('a leader that is followed stays', () => {
    const a = server()
    a.lead()
    expect(a.receive(requestVote({ from: 'c', term: 9, last: [8, 8] }))).toEqual([])
    expect(a.raft.role).toBe('leader')
  })
})

describe('thesis 4.2.3 disruptive servers whose term is ahead', () => {
  test('a server that was removed and is ahead by a term deposes nobody by asking around', () => {
    const cluster = new Cluster(['a', 'b', 'c', 'z'], (id) =>
      id === 'z'
        ? { disk: diskWith({ term: 9, terms: [1], members: voters('a', 'b', 'c', 'z') }) }
        : { disk: diskWith({ term: 1, terms: [1], members: voters('a', 'b', 'c') }) },
    )
    cluster.elect('a')
    cluster.tick(50)
    expect(cluster.at('z').raft.term).toBe(9)
    expect([cluster.at('a').raft.role, cluster.at('a').raft.term]).toEqual(['leader', 2])
  })

  test('a member that is ahead by a term is let in by an election', () => {
    const cluster = new Cluster(['a', 'b', 'c'], (id) => ({
      disk: diskWith({ term: id === 'c' ? 9 : 1 }),
    }))
    cluster.cut(['a', 'c'], ['b', 'c'])
    cluster.elect('a')
    cluster.propose('a', 'x')
    cluster.stabilize()
    cluster.heal()
    cluster.tick(40)
    const leaders = [...cluster.servers.values()].filter(({ raft }) => raft.role === 'leader')
    expect(leaders).toHaveLength(1)
    expect(leaders[0]?.raft.term).toBeGreaterThan(9)
    expect(cluster.at('c').state).toEqual(['x'])
  })
})

describe('thesis 6.2 leaders without a majority', () => {
  test('a leader that hears no majority for an election timeout steps down', () => {
    const a = server()
    a.lead()
    // A new leader has the benefit of the doubt for one timeout.
    a.tick(19)
    expect(a.raft.role).toBe('leader')
    a.tick(1)
    expect(a.raft.role).toBe('follower')
    expect(a.raft.leader).toBe(null)
    expect(a.raft.term).toBe(2)
  })

  test('one that hears a majority, itself included, stays', () => {
    const a = server()
    a.lead()
    for (let i = 0; i < 10; i++) {
      a.tick(9)
      a.receive(heartbeatReply({ from: 'b', term: 2 }))
    }
    expect(a.raft.role).toBe('leader')
  })

  test('a cluster of one is its own majority', () => {
    const cluster = new Cluster(['a'])
    cluster.elect('a')
    cluster.tick(50)
    expect(cluster.at('a').raft.role).toBe('leader')
  })

  test('without the check it leads on', () => {
    const a = server({}, { checkQuorum: false })
    a.lead()
    a.tick(100)
    expect(a.raft.role).toBe('leader')
  })
})
