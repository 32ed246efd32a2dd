import { describe, expect, test } from 'vitest'
import { Cluster, from, ofType, to } from '../support/cluster.ts'
import { appendEntries, commands } from '../support/messages.ts'
import { server } from '../support/server.ts'

describe('§5.5 crashes of followers and candidates', () => {
  test('a follower that crashed is brought up to date when it is back', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.propose('a', 'x')
    cluster.stabilize()
    cluster.crash('c')
    cluster.propose('a', 'y')
    cluster.tick(3)
    cluster.restart('c')
    cluster.tick(2)
    expect(cluster.at('c').state).toEqual(['x', 'y'])
  })

  test('an append that arrives twice changes nothing and is answered twice', () => {
    const a = server({ term: 2 })
    const append = appendEntries({
      from: 'b',
      term: 2,
      prev: [1, 1],
      entries: commands(2, 2, 2),
      commit: 2,
    })
    const first = a.receive(append)
    expect(a.receive(append)).toEqual(first)
    expect(a.terms).toEqual([1, 2, 2])
    expect(a.events.filter(({ type }) => type === 'entries-appended')).toHaveLength(1)
  })

  test('a follower that crashes after it stored and before it answered receives the same again', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.isolate('c')
    cluster.propose('a', 'x')
    cluster.deliver(to('b'))
    cluster.crash('b')
    expect(cluster.drop(from('b'))).toBeGreaterThan(0)
    cluster.restart('b')
    expect(cluster.at('a').state).toEqual([])
    cluster.tick(3)
    expect(cluster.at('a').state).toEqual(['x'])
    expect(cluster.at('b').state).toEqual(['x'])
  })

  test('a candidate that crashed keeps its term and its vote', () => {
    const cluster = new Cluster(['a', 'b', 'c'], { preVote: false })
    cluster.campaign('a')
    cluster.deliver(ofType('request-vote'))
    cluster.crash('a')
    cluster.restart('a')
    expect(cluster.at('a').raft.term).toBe(2)
    expect(cluster.at('a').votedFor).toBe('a')
    expect(cluster.at('a').raft.role).toBe('follower')
  })

  test('a leader that crashed rejoins as a follower and forgets nothing that was committed', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.propose('a', 'x')
    cluster.stabilize()
    cluster.crash('a')
    cluster.elect('b')
    cluster.propose('b', 'y')
    cluster.stabilize()
    cluster.restart('a')
    cluster.tick(2)
    expect(cluster.at('a').raft.role).toBe('follower')
    expect(cluster.at('a').state).toEqual(['x', 'y'])
  })

  test('the whole cluster may crash at once and goes on from what was durable', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.propose('a', 'x')
    cluster.stabilize()
    cluster.crash('a', 'b', 'c')
    cluster.restart('a', 'b', 'c')
    cluster.elect('c')
    for (const id of ['a', 'b', 'c']) expect(cluster.at(id).state).toEqual(['x'])
  })

  test('what was not durable is gone after a crash, and nobody was told otherwise', () => {
    const a = server({ term: 2 }, { slowDisk: true })
    expect(
      a.receive(appendEntries({ from: 'b', term: 2, prev: [1, 1], entries: commands(2, 2) })),
    ).toEqual([])
    a.crash()
    expect(a.raft.lastIndex).toBe(1)
  })
})
