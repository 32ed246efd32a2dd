import { describe, expect, test } from 'vitest'
import { Cluster, ofType } from '../support/cluster.ts'
import {
  appendEntries,
  commands,
  heartbeat,
  only,
  preVote,
  preVoteReply,
  requestVote,
  vote,
  voters,
} from '../support/messages.ts'
import { diskWith, server } from '../support/server.ts'

describe('liveness of elections (thesis 9.6, 6.2)', () => {
  test('a leader whose term fell behind learns of it from the one that refuses it', () => {
    const a = server({ term: 2 })
    a.lead()
    const b = server({ term: 9 }, { id: 'b' })
    const [refusal] = b.receive(heartbeat({ from: 'a', to: 'b', term: 3 }))
    a.receive(refusal!)
    expect([a.raft.role, a.raft.term]).toEqual(['follower', 9])
  })

  test('a long log of an old term and a short one of a new term find a leader together', () => {
    const cluster = new Cluster(['a', 'b', 'c'], (id) => ({
      disk: diskWith(
        id === 'a' ? { term: 5, terms: [4, 4, 4] } : { term: 8, terms: id === 'b' ? [4] : [] },
      ),
    }))
    cluster.crash('c')
    cluster.tick(60)
    const leaders = [...cluster.servers.values()].filter(({ raft }) => raft.role === 'leader')
    expect(leaders.map(({ id }) => id)).toEqual(['a'])
  })

  test('a refused pre-vote hands over the newer term, even if the log was the reason', () => {
    const a = server({ term: 8, terms: [4] })
    const [reply] = a.receive(preVote({ from: 'b', term: 5, last: [1, 1] }))
    expect(reply).toMatchObject({ granted: false, term: 8 })
  })

  test('whoever asks around follows nobody meanwhile, and keeps its term', () => {
    const a = server({ term: 3 })
    a.receive(heartbeat({ from: 'b', term: 3 }))
    a.tick(10)
    expect([a.raft.role, a.raft.leader, a.raft.term]).toEqual(['pre-candidate', null, 3])
  })

  test('a pre-vote never counts as a vote, nor a vote as a pre-vote', () => {
    const a = server()
    a.tick(10)
    a.receive(vote({ from: 'b', term: 1 }), vote({ from: 'c', term: 1 }))
    expect(a.raft.role).toBe('pre-candidate')
    a.receive(preVoteReply({ from: 'b', term: 1 }))
    expect(a.raft.role).toBe('candidate')
    a.receive(preVoteReply({ from: 'c', term: 2 }), preVoteReply({ from: 'b', term: 1 }))
    expect(a.raft.role).toBe('candidate')
  })

  test("the yes of a pre-vote comes with the voter's own term, and no term rises by it", () => {
    const a = server({ term: 3 })
    expect(a.receive(preVote({ from: 'b', term: 3, last: [1, 1] }))).toMatchObject([
      { granted: true, term: 3 },
    ])
    expect(a.raft.term).toBe(3)
  })

  test('saying yes to a pre-vote puts off nothing', () => {
    const a = server()
    for (let tick = 1; tick < 10; tick++) {
      a.receive(preVote({ from: 'b', term: 1, last: [9, 9] }))
      a.tick()
    }
    expect(a.raft.role).toBe('follower')
    a.tick()
    expect(a.raft.role).toBe('pre-candidate')
  })

  test('a pre-vote looks at the log too, not only at the leader', () => {
    const a = server({ terms: [1, 1] })
    expect(a.receive(preVote({ from: 'b', term: 1, last: [1, 2] }))).toMatchObject([
      { granted: false },
    ])
  })

  test('a leader that reaches a minority steps down, and the majority elects another through the bridge', () => {
    const cluster = new Cluster(['l', 'b', 'c', 'd', 'e'])
    cluster.elect('l')
    // l and b hear each other; b, c, d and e do too; l and the rest do not.
    cluster.cut(['l', 'c'], ['l', 'd'], ['l', 'e'])
    cluster.tick(60)
    const leaders = [...cluster.servers.values()].filter(({ raft }) => raft.role === 'leader')
    expect(leaders).toHaveLength(1)
    expect(leaders[0]?.id).not.toBe('l')
    cluster.propose(leaders[0]!.id, 'x')
    cluster.tick(2)
    expect(cluster.at('e').state).toEqual(['x'])
  })

  test('a leader that can send and hears nothing steps down', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.cutOneWay('b', 'a')
    cluster.cutOneWay('c', 'a')
    cluster.tick(60)
    expect(cluster.at('a').raft.role).not.toBe('leader')
    expect(['b', 'c'].map((id) => cluster.at(id).raft.role)).toContain('leader')
  })

  test('stepping down within a term keeps the vote', () => {
    const a = server()
    a.lead()
    a.tick(20)
    a.crash()
    expect(a.receive(requestVote({ from: 'b', term: 2, last: [9, 9] }))).toMatchObject([
      { granted: false },
    ])
  })

  test('a new leader has an election timeout to be heard before it checks its majority', () => {
    const a = server()
    a.tick(9)
    a.lead()
    a.tick(10)
    expect(a.raft.role).toBe('leader')
  })
})

describe('safety of elections (§5.2, §5.4.1)', () => {
  test('term and vote are written as one', () => {
    const a = server({}, { slowDisk: true })
    a.receive(requestVote({ from: 'b', term: 2, last: [1, 1] }))
    expect(a.writing?.hardState).toMatchObject({ term: 2, votedFor: 'b' })
  })

  test('a vote that comes after a write began is in the next one, and waits for it', () => {
    const a = server({}, { slowDisk: true, checkQuorum: false })
    a.receive(appendEntries({ from: 'b', term: 2, prev: [1, 1], entries: commands(2, 2) }))
    a.receive(requestVote({ from: 'c', term: 3, last: [2, 2] }))
    expect(only(a.persist(), 'request-vote-reply')).toEqual([])
    expect(a.disk.hardState.term).toBe(2)
    expect(only(a.persist(), 'request-vote-reply')).toMatchObject([{ granted: true, term: 3 }])
    expect(a.disk.hardState).toMatchObject({ term: 3, votedFor: 'c' })
  })

  test('a vote changes nothing but the vote, and is written all the same', () => {
    const a = server({ term: 2 }, { slowDisk: true })
    a.receive(requestVote({ from: 'b', term: 2, last: [1, 1] }))
    expect(a.writing?.hardState).toMatchObject({ term: 2, votedFor: 'b' })
    expect(a.persist()).toMatchObject([{ granted: true }])
  })

  test('the own vote counts only once it is durable', () => {
    const a = server({ members: voters('a', 'b') }, { slowDisk: true, preVote: false })
    a.tick(10)
    a.receive(vote({ from: 'b', term: 2 }))
    expect(a.raft.role).toBe('candidate')
    a.persist()
    expect(a.raft.role).toBe('leader')
  })

  test('the own vote of an election that was given up does not count in the next one', () => {
    const a = server({ members: voters('a', 'b', 'c') }, { slowDisk: true, preVote: false })
    a.tick(10)
    expect(a.raft.term).toBe(2)
    a.input((raft) => raft.campaign())
    expect(a.raft.term).toBe(3)
    a.receive(vote({ from: 'b', term: 3 }))
    a.persist()
    expect(a.disk.hardState.term).toBe(2)
    expect(a.raft.role).toBe('candidate')
    a.persist()
    expect(a.raft.role).toBe('leader')
  })

  test('nor does the own vote of an election that was lost to a leader', () => {
    const a = server({}, { slowDisk: true, preVote: false })
    a.tick(10)
    a.receive(heartbeat({ from: 'b', term: 2 }))
    a.persist()
    expect(a.raft.role).toBe('follower')
  })

  test('a vote that arrives twice counts once', () => {
    const a = server({ members: voters('a', 'b', 'c', 'd', 'e') }, { preVote: false })
    a.tick(10)
    a.receive(vote({ from: 'b', term: 2 }), vote({ from: 'b', term: 2 }))
    expect(a.raft.role).toBe('candidate')
    a.receive(vote({ from: 'c', term: 2 }))
    expect(a.raft.role).toBe('leader')
  })

  test('the first word of a voter stands', () => {
    const a = server({}, { preVote: false })
    a.tick(10)
    a.receive(vote({ from: 'b', term: 2 }, false), vote({ from: 'b', term: 2 }))
    expect(a.raft.role).toBe('candidate')
  })

  test('votes of learners and of strangers count for nothing', () => {
    const members = { ...voters('a', 'b', 'c', 'l'), voters: ['a', 'b', 'c'], learners: ['l'] }
    const a = server({ members }, { preVote: false })
    a.tick(10)
    a.receive(vote({ from: 'l', term: 2 }), vote({ from: 'z', term: 2 }))
    expect(a.raft.role).toBe('candidate')
    expect(a.ignored).toEqual(['only voters have a vote', 'only voters have a vote'])
  })

  test('a refusal never counts as a yes, whatever its term', () => {
    const a = server({}, { preVote: false })
    a.tick(10)
    a.receive(vote({ from: 'b', term: 2 }, false))
    expect(a.raft.role).toBe('candidate')
    a.receive(vote({ from: 'c', term: 5 }, false))
    expect([a.raft.role, a.raft.term]).toEqual(['follower', 5])
  })

  test('a learner that does not know yet that it is a voter votes', () => {
    const members = { ...voters('a', 'b', 'c'), voters: ['b', 'c'], learners: ['a'] }
    const a = server({ members })
    expect(a.receive(preVote({ from: 'b', term: 1, last: [1, 2] }))).toMatchObject([
      { granted: true },
    ])
    expect(a.receive(requestVote({ from: 'b', term: 2, last: [1, 2] }))).toMatchObject([
      { granted: true },
    ])
  })

  test('a candidate that lost its unsaved term in a crash never campaigned in it', () => {
    const cluster = new Cluster(['a', 'b', 'c'], { preVote: false })
    cluster.at('a').slowDisk = true
    cluster.campaign('a')
    expect(cluster.at('a').raft.term).toBe(2)
    expect(cluster.network.filter(ofType('request-vote'))).toEqual([])
    cluster.at('a').slowDisk = false
    cluster.restart('a')
    expect(cluster.at('a').raft.term).toBe(1)
    cluster.campaign('a')
    cluster.stabilize()
    expect([cluster.at('a').raft.role, cluster.at('a').raft.term]).toEqual(['leader', 2])
  })
})
