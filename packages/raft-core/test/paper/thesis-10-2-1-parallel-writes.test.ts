import { describe, expect, test } from 'vitest'
import { Cluster } from '../support/cluster.ts'
import { accepted, only, preVoteReply, vote } from '../support/messages.ts'
import { type Server, server } from '../support/server.ts'

function leader(options = {}): Server {
  const a = server({}, options)
  a.lead()
  for (const from of ['b', 'c']) a.receive(accepted({ from, term: 2, index: 2 }))
  a.takeLeft()
  return a
}

describe("thesis 10.2.1 writing to the leader's disk in parallel", () => {
  test("entries leave for the followers before the leader's own copy is durable", () => {
    const a = leader()
    a.slowDisk = true
    a.propose('x')
    expect(only(a.takeLeft(), 'append-entries')).toHaveLength(2)
    expect(a.writing?.entries).toHaveLength(1)
    expect(a.disk.entries).toHaveLength(2)
  })

  test('one write is under way at a time, and what gathers meanwhile is the next one', () => {
    const a = leader()
    a.slowDisk = true
    a.propose('1')
    a.propose('2')
    a.propose('3')
    expect(a.writing?.entries.map((entry) => entry.index)).toEqual([3])
    a.persist()
    expect(a.writing?.entries.map((entry) => entry.index)).toEqual([4, 5])
    a.persist()
    expect(a.writing).toBe(null)
  })

  test('messages follow one another without waiting for answers', () => {
    const a = leader({ minBatchBytes: 0 })
    for (const words of ['1', '2', '3', '4']) a.propose(words)
    const sent = only(a.takeLeft(), 'append-entries').filter(({ to }) => to === 'b')
    expect(sent.map(({ prevLog, entries }) => [prevLog.index, entries.length])).toEqual([
      [2, 1],
      [3, 1],
      [4, 1],
      [5, 1],
    ])
  })

  test('a RequestVote leaves only when the term and the own vote are durable', () => {
    const a = server({}, { slowDisk: true, preVote: false })
    expect(a.tick(10)).toEqual([])
    expect(a.raft.role).toBe('candidate')
    expect(a.persist()).toMatchObject([{ type: 'request-vote' }, { type: 'request-vote' }])
    expect(a.disk.hardState).toMatchObject({ term: 2, votedFor: 'a' })
  })

  test('nor before the log that it boasts of is durable', () => {
    const a = server({}, { slowDisk: true, preVote: false })
    a.receive({
      type: 'append-entries',
      from: 'b',
      to: 'a',
      term: 1,
      prevLog: { term: 1, index: 1 },
      entries: [{ index: 2, term: 1, type: 'command', data: new Uint8Array(1) }],
      commitIndex: 1,
      round: 0,
    })
    a.input((raft) => raft.campaign())
    expect(a.raft.role).toBe('candidate')
    // The write under way holds the entry, and knows nothing of the election.
    expect(only(a.persist(), 'request-vote')).toEqual([])
    expect(only(a.persist(), 'request-vote')).toMatchObject([
      { lastLog: { term: 1, index: 2 } },
      { lastLog: { term: 1, index: 2 } },
    ])
    expect(a.disk.entries).toHaveLength(2)
  })

  test('a pre-vote may leave at once: it promises nothing', () => {
    const a = server({}, { slowDisk: true })
    expect(only(a.tick(10), 'pre-vote')).toHaveLength(2)
  })

  test('nobody leads a term that its own disk never saw', () => {
    const a = server({}, { slowDisk: true })
    a.tick(10)
    a.receive(preVoteReply({ from: 'b', term: 1 }))
    expect(a.raft.role).toBe('candidate')
    a.persist()
    a.receive(vote({ from: 'b', term: 2 }))
    expect(a.raft.role).toBe('leader')
    a.crash()
    expect(a.raft.term).toBe(2)
    expect(a.votedFor).toBe('a')
  })

  test('a cluster whose leader has the slowest disk still makes progress, and loses nothing', () => {
    const cluster = new Cluster(['a', 'b', 'c'])
    cluster.elect('a')
    cluster.at('a').slowDisk = true
    cluster.propose('a', 'x', 'y')
    cluster.stabilize()
    expect(cluster.at('b').state).toEqual(['x', 'y'])
    expect(cluster.at('a').state).toEqual([])
    cluster.crash('a')
    cluster.elect('b')
    cluster.at('a').slowDisk = false
    cluster.restart('a')
    cluster.tick(2)
    expect(cluster.at('a').state).toEqual(['x', 'y'])
  })
})
