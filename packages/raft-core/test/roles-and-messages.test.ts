import { describe, expect, test } from 'vitest'
import type { Message } from '../src/messages.ts'
import type { ProtocolMessage } from '../src/protocol/raft.ts'
import type { Role } from '../src/trace.ts'
import type { Term } from '../src/types.ts'
import {
  accepted,
  appendEntries,
  commands,
  commit,
  heartbeat,
  heartbeatReply,
  installSnapshot,
  preVote,
  preVoteReply,
  readIndex,
  readIndexReply,
  removed,
  requestVote,
  timeoutNow,
  vote,
  without,
} from './support/messages.ts'
import { type Server, server } from './support/server.ts'

type Type = ProtocolMessage['type']

/** What becomes of a message of the node's own term, of an earlier and of a later one. */
interface Expected {
  readonly same: string
  readonly stale: string
  readonly newer: string
}

const messages: Record<Type, (term: Term) => Message> = {
  'pre-vote': (term) => preVote({ from: 'b', term, last: [4, 9] }),
  'pre-vote-reply': (term) => preVoteReply({ from: 'b', term }),
  'request-vote': (term) => requestVote({ from: 'b', term, last: [4, 9] }),
  'request-vote-reply': (term) => vote({ from: 'b', term }),
  'append-entries': (term) =>
    appendEntries({ from: 'b', term, prev: [1, 1], entries: commands(2, 4) }),
  'append-entries-reply': (term) => accepted({ from: 'b', term, index: 2 }),
  commit: (term) => commit({ from: 'b', term, commit: 1 }),
  heartbeat: (term) => heartbeat({ from: 'b', term }),
  'heartbeat-reply': (term) => heartbeatReply({ from: 'b', term }),
  'install-snapshot': (term) => installSnapshot({ from: 'b', term, at: [1, 9] }),
  'timeout-now': (term) => timeoutNow({ from: 'b', term }),
  'read-index': (term) => readIndex({ from: 'b', term, id: 1 }),
  'read-index-reply': (term) => readIndexReply({ from: 'b', term, id: 1, index: 1 }),
  removed: (term) => removed({ from: 'b', term, index: 9, membership: without('a') }),
}

/** A member of {a, b, c} at term 5 that has heard from nobody for an election timeout. */
function inRole(role: Role): Server {
  const a = server({ term: role === 'follower' || role === 'pre-candidate' ? 5 : 4 })
  if (role === 'leader') a.lead()
  if (role === 'candidate' || role === 'pre-candidate') a.input((raft) => raft.campaign())
  if (role === 'candidate') a.receive(preVoteReply({ from: 'c', term: 4 }))
  expect([a.raft.role, a.raft.term]).toEqual([role, 5])
  a.takeLeft()
  return a
}

/** The outcome in words: what the node is now, whom it follows, what it said, what it ignored. */
function outcome(role: Role, type: Type, term: Term): string {
  const a = inRole(role)
  const ignored = a.ignored.length
  const lastIndex = a.raft.lastIndex
  const left = a.receive(messages[type](term))
  const words: string[] = []
  if (a.raft.role !== role || a.raft.term !== 5) words.push(`${a.raft.role} of ${a.raft.term}`)
  if (a.raft.leader !== null && a.raft.leader !== 'a') words.push(`follows ${a.raft.leader}`)
  if (a.raft.role === 'follower' && a.raft.lastIndex > lastIndex) words.push('appends')
  if (role === 'leader' && a.raft.commitIndex > 1) words.push('commits')
  if (a.raft.isRemoved) words.push('is removed')
  if (a.reads.length > 0) words.push('settles the read')
  for (const message of left)
    if (message.to === 'b')
      if ('granted' in message) words.push(message.granted ? 'yes' : 'no')
      else if ('accepted' in message) words.push(message.accepted ? 'accepts' : 'refuses')
      else words.push(message.type)
  words.push(...a.ignored.slice(ignored).map((why) => `ignored: ${why}`))
  return words.join(', ') || 'nothing'
}

const ELECTION = 'ignored: no election is under way'
const ANSWERS = 'ignored: only a leader takes answers'
const OVER = 'ignored: its term is over'

const noElection: Expected = { same: ELECTION, stale: OVER, newer: `follower of 6, ${ELECTION}` }
const noAnswers: Expected = { same: ANSWERS, stale: OVER, newer: `follower of 6, ${ANSWERS}` }
/** What a leader says is taken by whoever does not lead; one of an earlier term learns that it is over. */
const REFUSES = `refuses, ${OVER}`
const appends: Expected = {
  same: 'follower of 5, follows b, appends, accepts',
  stale: REFUSES,
  newer: 'follower of 6, follows b, appends, accepts',
}
const beats: Expected = {
  same: 'follower of 5, follows b, heartbeat-reply',
  stale: REFUSES,
  newer: 'follower of 6, follows b, heartbeat-reply',
}
/** What leaves an acknowledgement out is no question. */
const tells: Expected = {
  same: 'follower of 5, follows b',
  stale: REFUSES,
  newer: 'follower of 6, follows b',
}
const announces: Expected = {
  same: 'follower of 5, follows b',
  stale: REFUSES,
  newer: 'follower of 6, follows b',
}
const LEADS = 'ignored: this node leads the term'
/** Without a leader nobody can tell; the asker may ask again. */
const cannotTell: Expected = {
  same: 'read-index-reply',
  stale: 'read-index-reply',
  newer: 'follower of 6, read-index-reply',
}
const told: Expected = {
  same: 'settles the read',
  stale: OVER,
  newer: 'follower of 6, settles the read',
}
const TAKES_OVER = 'candidate of 7, request-vote'
const onlyFollowers: Expected = {
  same: 'ignored: only a follower takes over',
  stale: OVER,
  newer: TAKES_OVER,
}
/** Whatever its term: nobody ever becomes a member again. */
const leaves: Expected = {
  same: 'follower of 5, is removed',
  stale: 'follower of 5, is removed',
  newer: 'follower of 6, is removed',
}
const ALIVE = 'ignored: the leader is alive'

/** Complete by construction: a role or a message without a row does not compile. */
const table: Record<Role, Record<Type, Expected>> = {
  follower: {
    'pre-vote': { same: 'yes', stale: 'no', newer: 'follower of 6, yes' },
    'pre-vote-reply': noElection,
    'request-vote': { same: 'yes', stale: 'no', newer: 'follower of 6, yes' },
    'request-vote-reply': noElection,
    'append-entries': { ...appends, same: 'follows b, appends, accepts' },
    'append-entries-reply': noAnswers,
    commit: { ...tells, same: 'follows b' },
    heartbeat: { ...beats, same: 'follows b, heartbeat-reply' },
    'heartbeat-reply': noAnswers,
    'install-snapshot': { ...announces, same: 'follows b' },
    'timeout-now': { same: 'candidate of 6, request-vote', stale: OVER, newer: TAKES_OVER },
    'read-index': cannotTell,
    'read-index-reply': told,
    removed: { ...leaves, same: 'is removed', stale: 'is removed' },
  },
  'pre-candidate': {
    'pre-vote': { same: 'yes', stale: 'no', newer: 'follower of 6, yes' },
    'pre-vote-reply': { ...noElection, same: 'candidate of 6, request-vote' },
    'request-vote': { same: 'yes', stale: 'no', newer: 'follower of 6, yes' },
    'request-vote-reply': noElection,
    'append-entries': appends,
    'append-entries-reply': noAnswers,
    commit: tells,
    heartbeat: beats,
    'heartbeat-reply': noAnswers,
    'install-snapshot': announces,
    'timeout-now': onlyFollowers,
    'read-index': cannotTell,
    'read-index-reply': told,
    removed: leaves,
  },
  candidate: {
    'pre-vote': { same: 'yes', stale: 'no', newer: 'follower of 6, yes' },
    'pre-vote-reply': noElection,
    // Its own vote in this term is spent on itself.
    'request-vote': { same: 'no', stale: 'no', newer: 'follower of 6, yes' },
    'request-vote-reply': { ...noElection, same: 'leader of 5, append-entries' },
    'append-entries': appends,
    'append-entries-reply': noAnswers,
    commit: tells,
    heartbeat: beats,
    'heartbeat-reply': noAnswers,
    'install-snapshot': announces,
    'timeout-now': onlyFollowers,
    'read-index': cannotTell,
    'read-index-reply': told,
    removed: leaves,
  },
  leader: {
    'pre-vote': { same: 'no', stale: 'no', newer: ALIVE },
    'pre-vote-reply': noElection,
    'request-vote': { same: 'no', stale: 'no', newer: ALIVE },
    'request-vote-reply': noElection,
    // The entry takes the place of the no-op, so the log does not grow.
    'append-entries': { same: LEADS, stale: REFUSES, newer: 'follower of 6, follows b, accepts' },
    'append-entries-reply': { ...noAnswers, same: 'commits, commit' },
    commit: { ...tells, same: LEADS },
    heartbeat: { ...beats, same: LEADS },
    'heartbeat-reply': { ...noAnswers, same: 'nothing' },
    'install-snapshot': { ...announces, same: LEADS },
    'timeout-now': onlyFollowers,
    // It is answered once a majority has confirmed it, whatever the term of the asker was.
    'read-index': { same: 'nothing', stale: 'nothing', newer: 'follower of 6, read-index-reply' },
    'read-index-reply': told,
    removed: leaves,
  },
}

const terms = { same: 5, stale: 4, newer: 6 } as const

describe.each(Object.keys(table) as Role[])('a %s', (role) => {
  test.each(Object.keys(messages) as Type[])('takes a %s as its term asks for', (type) => {
    for (const age of ['same', 'stale', 'newer'] as const)
      expect([age, outcome(role, type, terms[age])]).toEqual([age, table[role][type][age]])
  })
})
