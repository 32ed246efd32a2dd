import { describe, expect, test } from 'vitest'
import type { Message } from '../../src/messages.ts'
import {
  accepted,
  appendEntries,
  heartbeat,
  heartbeatReply,
  installSnapshot,
  only,
  preVote,
  preVoteReply,
  readIndex,
  readIndexReply,
  requestVote,
  timeoutNow,
  vote,
} from '../support/messages.ts'
import { type Server, server } from '../support/server.ts'

const way = { from: 'b', term: 5 }
const newer: readonly Message[] = [
  preVote({ ...way, last: [1, 1] }),
  preVoteReply(way, false),
  requestVote({ ...way, last: [1, 1], transfer: true }),
  vote(way, false),
  appendEntries({ ...way, prev: [1, 1] }),
  accepted({ ...way, index: 1 }),
  heartbeat(way),
  heartbeatReply(way),
  installSnapshot({ ...way, at: [1, 1] }),
  readIndex({ ...way, id: 1 }),
  readIndexReply({ ...way, id: 1, index: 1 }),
]

function inRole(role: string): Server {
  const a = server({ term: 1 })
  if (role === 'leader') a.lead()
  if (role === 'pre-candidate' || role === 'candidate') a.input((raft) => raft.campaign())
  if (role === 'candidate') a.receive(preVoteReply({ from: 'b', term: 1 }))
  expect(a.raft.role).toBe(role)
  return a
}

describe('§5.1 terms', () => {
  test.each(newer.map((message) => [message.type, message] as const))(
    'a server whose term is smaller than that of a %s takes the larger one',
    (_, message) => {
      const a = server({ term: 1 })
      a.receive(message)
      expect(a.raft.term).toBe(5)
      expect(a.disk.hardState.term).toBe(5)
    },
  )

  test.each(['pre-candidate', 'candidate', 'leader'])(
    'a %s that finds its term out of date reverts to follower at once',
    (role) => {
      for (const message of newer) {
        // Whoever asks around, or campaigns without being asked to, is not listened to (thesis 4.2.3).
        if (role === 'leader' && message.type === 'pre-vote') continue
        const a = inRole(role)
        a.receive(message)
        expect([message.type, a.raft.role, a.raft.term]).toEqual([message.type, 'follower', 5])
      }
    },
  )

  test('a newer term comes with a vote that is free', () => {
    const a = server({ term: 3, votedFor: 'c' })
    a.receive(heartbeat({ from: 'b', term: 4 }))
    expect(a.votedFor).toBe(null)
    expect(a.disk.hardState).toMatchObject({ term: 4, votedFor: null })
  })

  test('a leader that steps down within its term has still spent its vote', () => {
    const a = server()
    a.lead()
    const { term } = a.raft
    a.tick(20)
    expect(a.raft.role).not.toBe('leader')
    expect(a.raft.term).toBe(term)
    expect(a.votedFor).toBe('a')
    const [reply] = only(
      a.receive(requestVote({ from: 'b', term, last: [9, 9] })),
      'request-vote-reply',
    )
    expect(reply).toMatchObject({ granted: false })
  })

  test('a request with a stale term is rejected, with the newer term in the answer', () => {
    const a = server({ term: 4 })
    const [append] = a.receive(appendEntries({ from: 'b', term: 3, prev: [1, 1] }))
    expect(append).toMatchObject({ type: 'append-entries-reply', accepted: false, term: 4 })
    const [ballot] = a.receive(requestVote({ from: 'b', term: 3, last: [9, 9] }))
    expect(ballot).toMatchObject({ type: 'request-vote-reply', granted: false, term: 4 })
    const [beat] = a.receive(heartbeat({ from: 'b', term: 3, commit: 1 }))
    expect(beat).toMatchObject({ accepted: false, term: 4 })
  })

  test('a stale answer and a stale order are dropped', () => {
    const a = server({ term: 4 })
    a.lead()
    const before = a.raft.commitIndex
    const late = { from: 'b', term: 4 }
    expect(a.receive(accepted({ ...late, index: 2 }), vote(late), timeoutNow(late))).toEqual([])
    expect(a.raft.commitIndex).toBe(before)
    expect(a.raft.role).toBe('leader')
    expect(a.ignored.slice(-3)).toEqual(Array(3).fill('its term is over'))
  })

  test('the term is durable before anybody hears of it from this server', () => {
    const a = server({ term: 1 }, { slowDisk: true })
    expect(a.receive(appendEntries({ from: 'b', term: 2, prev: [1, 1] }))).toEqual([])
    expect(a.disk.hardState.term).toBe(1)
    expect(a.persist()).toMatchObject([{ type: 'append-entries-reply', term: 2 }])
    expect(a.disk.hardState.term).toBe(2)
    a.crash()
    expect(a.raft.term).toBe(2)
  })
})
