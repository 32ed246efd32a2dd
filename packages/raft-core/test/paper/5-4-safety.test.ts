import { describe, expect, test } from 'vitest'
import { Cluster, from, to } from '../support/cluster.ts'
import {
  accepted,
  appendEntries,
  type At,
  commands,
  preVote,
  requestVote,
  voters,
} from '../support/messages.ts'
import { diskWith, server } from '../support/server.ts'

const plain = { preVote: false, checkQuorum: false }

describe('§5.4.1 election restriction', () => {
  // The voter's log ends with term 3 at index 4.
  const ballots: readonly (readonly [At, boolean])[] = [
    [[3, 4], true],
    [[3, 5], true],
    [[4, 1], true],
    [[4, 4], true],
    [[3, 3], false],
    [[2, 9], false],
    [[0, 0], false],
  ]

  test.each(ballots)('a candidate whose log ends at %j gets the vote: %s', (last, granted) => {
    const a = server({ terms: [1, 3, 3] }, plain)
    const [reply] = a.receive(requestVote({ from: 'b', term: 5, last }))
    expect(reply).toMatchObject({ granted })
    expect(a.votedFor).toBe(granted ? 'b' : null)
  })

  test.each(ballots)(
    'a pre-candidate whose log ends at %j gets the pre-vote: %s',
    (last, granted) => {
      const a = server({ terms: [1, 3, 3] })
      const [reply] = a.receive(preVote({ from: 'b', term: 4, last }))
      expect(reply).toMatchObject({ granted })
    },
  )

  test('a voter whose whole log was compacted compares with where its snapshot ends', () => {
    const a = server({ terms: [1, 3, 3], commit: 4 }, plain)
    a.takeSnapshot()
    expect(a.raft.firstIndex).toBe(5)
    expect(a.receive(requestVote({ from: 'b', term: 5, last: [3, 3] }))).toMatchObject([
      { granted: false },
    ])
    a.crash()
    expect(a.receive(requestVote({ from: 'b', term: 5, last: [2, 9] }))).toMatchObject([
      { granted: false },
    ])
    expect(a.receive(requestVote({ from: 'b', term: 5, last: [3, 4] }))).toMatchObject([
      { granted: true },
    ])
  })

  test('a vote takes into account entries that are not durable yet', () => {
    const a = server({}, { ...plain, slowDisk: true })
    const entries = commands(2, 1)
    a.receive(appendEntries({ from: 'b', term: 1, prev: [1, 1], entries }))
    a.receive(requestVote({ from: 'c', term: 2, last: [1, 1] }))
    a.persist()
    expect(a.persist()).toMatchObject([{ type: 'request-vote-reply', granted: false }])
  })
})

describe('§5.4.2 committing entries from previous terms', () => {
  test('entries of an earlier term are not committed by counting replicas', () => {
    const a = server({ terms: [2, 2] }, plain)
    a.lead()
    expect(a.raft.term).toBe(3)
    a.receive(
      accepted({ from: 'b', term: 3, index: 3 }),
      accepted({ from: 'c', term: 3, index: 3 }),
    )
    expect(a.raft.commitIndex).toBe(1)
    a.receive(accepted({ from: 'b', term: 3, index: 4 }))
    expect(a.raft.commitIndex).toBe(4)
  })
})

describe('Figure 8', () => {
  const ids = ['s1', 's2', 's3', 's4', 's5']

  /** (a) to (c): an entry of term 2 comes to be on s1, s2 and s3 while s1 leads term 4. */
  function untilC(): Cluster {
    const cluster = new Cluster(ids, () => ({
      ...plain,
      disk: diskWith({ term: 1, members: voters(...ids) }),
    }))
    // (a) s1 leads term 2 and replicates its entry to s2 only.
    win(cluster, 's1', ['s2', 's3', 's4', 's5'])
    cluster.deliver((message) => from('s1')(message) && to('s2')(message))
    cluster.drop()
    expect(cluster.at('s2').terms).toEqual([1, 2])
    // (b) s1 crashes; s5 leads term 3 with the votes of s3 and s4 and appends an entry of its own.
    cluster.crash('s1')
    win(cluster, 's5', ['s3', 's4'])
    cluster.drop()
    expect(cluster.at('s5').terms).toEqual([1, 3])
    // (c) s5 crashes; s1 restarts, leads term 4 and goes on replicating.
    cluster.crash('s5')
    cluster.restart('s1')
    win(cluster, 's1', ['s2', 's3', 's4'])
    expect(cluster.at('s1').raft.term).toBe(4)
    return cluster
  }

  /** Gathers votes, and delivers nothing else. */
  function win(cluster: Cluster, id: string, electors: readonly string[]): void {
    while (cluster.at(id).raft.role !== 'leader') {
      cluster.campaign(id)
      cluster.deliver((message) => message.type === 'request-vote' && electors.includes(message.to))
      cluster.deliver((message) => message.type === 'request-vote-reply')
    }
  }

  /** Lets s1 replicate to s3 only up to its entry of term 2, as in (c). */
  function replicateTheOldEntry(cluster: Cluster): void {
    const { raft } = cluster.at('s1')
    for (const peer of ['s2', 's3']) {
      cluster.drop((message) => to(peer)(message))
      const reply = accepted({ from: peer, to: 's1', term: 4, index: 2 })
      const [entry] = cluster.at('s1').disk.entries.slice(1)
      cluster.at(peer).receive({
        type: 'append-entries',
        from: 's1',
        to: peer,
        term: 4,
        prevLog: { term: 1, index: 1 },
        entries: [entry!],
        commitIndex: raft.commitIndex,
        round: 0,
      })
      cluster.at('s1').receive(reply)
    }
  }

  test('(c) an entry of term 2 on a majority is not committed by the leader of term 4', () => {
    const cluster = untilC()
    replicateTheOldEntry(cluster)
    expect(cluster.at('s3').terms).toEqual([1, 2])
    expect(cluster.at('s1').raft.commitIndex).toBe(1)
  })

  test('(d) so that the leader of a later term may overwrite it', () => {
    const cluster = untilC()
    replicateTheOldEntry(cluster)
    cluster.crash('s1')
    cluster.drop()
    cluster.restart('s5')
    win(cluster, 's5', ['s2', 's3', 's4'])
    cluster.stabilize()
    for (const id of ['s2', 's3', 's4', 's5'])
      expect(cluster.at(id).terms.slice(0, 2)).toEqual([1, 3])
    cluster.restart('s1')
    cluster.tick(2)
    expect(cluster.at('s1').terms).toEqual(cluster.at('s5').terms)
  })

  test('(e) but once an entry of term 4 is on a majority, both are committed, and s5 cannot win', () => {
    const cluster = untilC()
    cluster.deliver((message) => to('s2', 's3')(message))
    for (let i = 0; i < 8; i++)
      cluster.deliver((message) => !from('s4')(message) && !to('s4')(message))
    expect(cluster.at('s1').raft.commitIndex).toBe(3)
    expect(cluster.at('s3').terms).toEqual([1, 2, 4])
    cluster.crash('s1')
    cluster.drop()
    cluster.restart('s5')
    for (let attempt = 0; attempt < 5; attempt++) {
      cluster.campaign('s5')
      cluster.stabilize()
      expect(cluster.at('s5').raft.role).not.toBe('leader')
    }
    cluster.campaign('s2')
    cluster.stabilize()
    expect(cluster.at('s2').raft.role).toBe('leader')
    expect(cluster.at('s5').terms.slice(0, 3)).toEqual([1, 2, 4])
  })
})
