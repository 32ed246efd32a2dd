import { describe, expect, test } from 'vitest'
import { Cluster } from './support/cluster.ts'
import { heartbeat, preVote, requestVote } from './support/messages.ts'
import { server } from './support/server.ts'

/** Heard from b, the leader of term 2, a moment ago. */
function follower() {
  const a = server({ term: 2 })
  a.receive(heartbeat({ from: 'b', term: 2 }))
  return a
}

describe('a follower that forgets its leader', () => {
  test('keeps its term, and would vote at once', () => {
    const a = follower()
    expect(a.receive(preVote({ from: 'c', term: 2, last: [2, 5] }))).toMatchObject([
      { granted: false },
    ])
    expect(a.input((raft) => raft.forgetLeader())).toBe(true)
    expect([a.raft.term, a.raft.leader, a.raft.role]).toEqual([2, null, 'follower'])
    expect(a.receive(preVote({ from: 'c', term: 2, last: [2, 5] }))).toMatchObject([
      { granted: true },
    ])
    expect(a.receive(requestVote({ from: 'c', term: 3, last: [2, 5] }))).toMatchObject([
      { granted: true },
    ])
  })

  test('does not campaign sooner for it', () => {
    const a = follower()
    a.tick(4)
    a.input((raft) => raft.forgetLeader())
    a.tick(5)
    expect(a.raft.role).toBe('follower')
    a.tick(1)
    expect(a.raft.role).toBe('pre-candidate')
  })

  test('follows when the leader speaks again', () => {
    const a = follower()
    a.input((raft) => raft.forgetLeader())
    a.receive(heartbeat({ from: 'b', term: 2 }))
    expect(a.raft.leader).toBe('b')
    expect(a.receive(requestVote({ from: 'c', term: 3, last: [2, 5] }))).toEqual([])
  })

  test('one of three is enough for an election only together with the candidate', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.isolate('a')
    cluster.campaign('b')
    cluster.stabilize()
    expect(cluster.at('b').raft.role).toBe('pre-candidate')
    cluster.at('c').input((raft) => raft.forgetLeader())
    cluster.campaign('b')
    cluster.stabilize()
    expect(cluster.at('b').raft.role).toBe('leader')
  })

  test('who leads, campaigns or follows nobody has nobody to forget', () => {
    const a = server()
    expect(a.input((raft) => raft.forgetLeader())).toBe(false)
    a.lead()
    expect(a.input((raft) => raft.forgetLeader())).toBe(false)
    expect(a.raft.leader).toBe('a')
  })
})
