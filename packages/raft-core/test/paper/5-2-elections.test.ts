import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { NodeId } from '../../src/types.ts'
import { Cluster, from, ofType, to } from '../support/cluster.ts'
import { appendEntries, heartbeat, only, requestVote, vote, voters } from '../support/messages.ts'
import { type Server, server } from '../support/server.ts'
import { share } from '../support/share.ts'

const plain = { preVote: false, checkQuorum: false }

function candidate(members: readonly NodeId[] = ['a', 'b', 'c']): Server {
  const a = server({ members: voters(...members) }, plain)
  a.tick(10)
  expect(a.raft.role).toBe('candidate')
  return a
}

describe('§5.2 elections', () => {
  test('servers start up as followers', () => {
    expect(server({ term: 3, votedFor: 'a' }).raft.role).toBe('follower')
  })

  test('a server stays a follower as long as it hears from a leader', () => {
    const a = server({}, plain)
    for (let beat = 0; beat < 5; beat++) {
      a.tick(9)
      a.receive(heartbeat({ from: 'b', term: 1 }))
      a.tick(9)
      a.receive(appendEntries({ from: 'b', term: 1, prev: [1, 1] }))
    }
    expect(a.raft.role).toBe('follower')
    expect(a.raft.leader).toBe('b')
  })

  test('a follower that hears nothing for an election timeout begins an election', () => {
    const a = server({}, plain)
    expect(a.tick(9)).toEqual([])
    expect(a.raft.role).toBe('follower')
    const asked = only(a.tick(1), 'request-vote')
    expect(a.raft.term).toBe(2)
    expect(a.votedFor).toBe('a')
    expect(asked.map((message) => message.to)).toEqual(['b', 'c'])
    expect(asked[0]).toMatchObject({ term: 2, lastLog: { term: 1, index: 1 }, transfer: false })
  })

  test.each([
    [1, 0, 'leader'],
    [3, 0, 'candidate'],
    [3, 1, 'leader'],
    [5, 1, 'candidate'],
    [5, 2, 'leader'],
    [4, 1, 'candidate'],
    [4, 2, 'leader'],
  ] as const)(
    'of %i servers, its own vote and those of %i others make it %s',
    (size, others, role) => {
      const members = ['a', 'b', 'c', 'd', 'e'].slice(0, size)
      const a = server({ members: voters(...members) }, plain)
      a.tick(10)
      for (const id of members.slice(1, others + 1)) a.receive(vote({ from: id, term: 2 }))
      expect(a.raft.role).toBe(role)
    },
  )

  test('refusals of a majority end an election, and the next one waits for its timeout', () => {
    const a = candidate()
    a.receive(vote({ from: 'b', term: 2 }, false))
    expect(a.raft.role).toBe('candidate')
    a.receive(vote({ from: 'c', term: 2 }, false))
    expect(a.raft.role).toBe('follower')
    expect(a.raft.term).toBe(2)
    a.tick(9)
    expect(a.raft.term).toBe(2)
    a.tick(1)
    expect(a.raft.term).toBe(3)
  })

  test('a server votes for at most one candidate in a term, first come, first served', () => {
    const a = server({}, plain)
    expect(a.receive(requestVote({ from: 'b', term: 2, last: [1, 1] }))).toMatchObject([
      { granted: true },
    ])
    expect(a.receive(requestVote({ from: 'c', term: 2, last: [9, 9] }))).toMatchObject([
      { granted: false },
    ])
    expect(a.receive(requestVote({ from: 'b', term: 2, last: [1, 1] }))).toMatchObject([
      { granted: true },
    ])
  })

  test('a vote is durable before it is given, and a crash does not free it', () => {
    const a = server({}, { ...plain, slowDisk: true })
    expect(a.receive(requestVote({ from: 'b', term: 2, last: [1, 1] }))).toEqual([])
    expect(a.persist()).toMatchObject([{ to: 'b', granted: true }])
    a.crash()
    a.receive(requestVote({ from: 'c', term: 2, last: [9, 9] }))
    a.slowDisk = false
    expect(a.receive(requestVote({ from: 'c', term: 2, last: [9, 9] }))).toMatchObject([
      { granted: false },
    ])
    expect(a.disk.hardState).toMatchObject({ term: 2, votedFor: 'b' })
  })

  test('a vote that was never durable was never given', () => {
    const a = server({}, { ...plain, slowDisk: true })
    expect(a.receive(requestVote({ from: 'b', term: 2, last: [1, 1] }))).toEqual([])
    a.crash()
    a.slowDisk = false
    expect(a.receive(requestVote({ from: 'c', term: 2, last: [1, 1] }))).toMatchObject([
      { granted: true },
    ])
  })

  test('granting a vote puts off the election of the one who votes; refusing does not', () => {
    const a = server({ terms: [1] }, plain)
    a.tick(9)
    a.receive(requestVote({ from: 'b', term: 2, last: [1, 2] }))
    a.tick(9)
    expect(a.raft.role).toBe('follower')
    a.receive(requestVote({ from: 'c', term: 3, last: [1, 1] }))
    a.tick(1)
    expect(a.raft.role).toBe('candidate')
  })

  test('a new leader tells everybody at once', () => {
    const a = candidate()
    const sent = only(a.receive(vote({ from: 'b', term: 2 })), 'append-entries')
    expect(sent.map((message) => message.to)).toEqual(['b', 'c'])
    expect(a.raft.leader).toBe('a')
  })

  test('a leader sends heartbeats to all followers, every heartbeat interval', () => {
    const a = server({}, { ...plain, heartbeatTicks: 3 })
    a.lead()
    for (let beat = 0; beat < 4; beat++) {
      expect(only(a.tick(2), 'heartbeat')).toEqual([])
      expect(only(a.tick(1), 'heartbeat').map((message) => message.to)).toEqual(['b', 'c'])
    }
  })

  test.each(['append-entries', 'heartbeat'] as const)(
    'a candidate that hears a leader of its own term follows it (%s)',
    (type) => {
      const a = candidate()
      a.receive(
        type === 'heartbeat'
          ? heartbeat({ from: 'b', term: 2 })
          : appendEntries({ from: 'b', term: 2, prev: [1, 1] }),
      )
      expect(a.raft.role).toBe('follower')
      expect(a.raft.leader).toBe('b')
      expect(a.votedFor).toBe('a')
    },
  )

  test('a candidate refuses a leader of an earlier term and remains a candidate', () => {
    const a = candidate()
    const [reply] = a.receive(appendEntries({ from: 'b', term: 1, prev: [1, 1] }))
    expect(reply).toMatchObject({ accepted: false, term: 2 })
    expect(a.raft.role).toBe('candidate')
  })

  test('a candidate that neither wins nor loses begins another election, in the next term', () => {
    const a = candidate()
    a.tick(9)
    expect(a.raft.term).toBe(2)
    const asked = only(a.tick(1), 'request-vote')
    expect(a.raft.term).toBe(3)
    expect(asked).toHaveLength(2)
    // A vote of the election that was given up counts for nothing.
    a.receive(vote({ from: 'b', term: 2 }))
    expect(a.raft.role).toBe('candidate')
  })

  test('election timeouts are spread over [T, 2T), and drawn again for each election', () => {
    fc.assert(
      fc.property(
        fc.array(share, {
          minLength: 4,
          maxLength: 4,
        }),
        (draws) => {
          let draw = 0
          const a = server({}, { ...plain, random: () => draws[draw++ % draws.length] as number })
          for (const [round, value] of draws.slice(0, 3).entries()) {
            const expected = 10 + Math.floor(value * 10)
            for (let ticks = 1; ticks < expected; ticks++) {
              a.tick()
              expect(a.raft.term).toBe(1 + round)
            }
            a.tick()
            expect(a.raft.term).toBe(2 + round)
          }
        },
      ),
      { numRuns: 50 },
    )
  })

  test('a split vote is resolved by a server whose timeout ends first', () => {
    const spread: Record<NodeId, number> = { a: 0, b: 0, c: 0.5, d: 0.9 }
    const cluster = new Cluster(['a', 'b', 'c', 'd'], (id) => ({
      ...plain,
      random: () => spread[id] as number,
    }))
    for (let i = 0; i < 10; i++) {
      cluster.at('a').input((raft) => raft.tick())
      cluster.at('b').input((raft) => raft.tick())
    }
    cluster.deliver((message) => from('a')(message) && to('c')(message))
    cluster.deliver((message) => from('b')(message) && to('d')(message))
    cluster.stabilize()
    expect([...cluster.servers.values()].filter(({ raft }) => raft.role === 'leader')).toEqual([])
    spread['a'] = 0
    spread['b'] = 0.9
    cluster.tick(40)
    expect([...cluster.servers.values()].filter(({ raft }) => raft.role === 'leader')).toHaveLength(
      1,
    )
  })

  test('a candidate reaches beyond lost messages: the next election asks again', () => {
    const cluster = new Cluster(['a', 'b', 'c'], plain)
    cluster.campaign('a')
    expect(cluster.drop(ofType('request-vote'))).toBe(2)
    cluster.tick(20, ['a'])
    expect(cluster.at('a').raft.role).toBe('leader')
    expect(cluster.at('a').raft.term).toBe(3)
  })

  test('a server without a vote never campaigns', () => {
    const a = server({ members: voters('b', 'c') }, plain)
    a.tick(50)
    a.input((raft) => raft.campaign())
    expect(a.raft.role).toBe('follower')
    expect(a.raft.term).toBe(1)
  })

  test('a cluster of one elects itself as soon as its vote is durable', () => {
    const a = server({ members: voters('a') }, { slowDisk: true })
    a.tick(10)
    expect(a.raft.role).toBe('candidate')
    a.persist()
    expect(a.raft.role).toBe('leader')
    expect(a.raft.commitIndex).toBe(1)
    a.persist()
    expect(a.raft.commitIndex).toBe(2)
  })
})
