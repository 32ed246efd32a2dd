import { assert } from '../errors.ts'
import type { Role } from '../trace.ts'
import type { Entry, NodeId, Term } from '../types.ts'
import { broadcastHeartbeat } from './heartbeat.ts'
import { stampRound } from './lease.ts'
import { appendToLog } from './log-changes.ts'
import { trackPeers } from './peers.ts'
import { loseReads } from './read-index.ts'
import type { RaftState } from './state.ts'

const NOTHING = new Uint8Array(0)

/** Adopts `term` if it is newer, and follows `leader`, if it is known (Fig. 4). */
export function becomeFollower(raft: RaftState, term: Term, leader: NodeId | null): void {
  assert(term >= raft.term, 'a term never falls')
  if (term > raft.term) {
    raft.term = term
    // The vote belongs to the term. Within a term it is never taken back.
    raft.votedFor = null
    raft.outbox.hardStateChanged = true
  } else if (raft.role === 'follower' && raft.leader === leader) return
  // A node that campaigns or leads starts its clock again; one that merely learns of a newer term
  // keeps it, or a stream of hopeless candidates could keep it from ever campaigning itself.
  if (raft.role !== 'follower') restartElectionTimer(raft)
  changeRole(raft, 'follower', leader)
}

/** Asks around before it disturbs anybody: no term changes, no vote is spent (thesis 9.6). */
export function becomePreCandidate(raft: RaftState): void {
  assert(raft.role !== 'leader', 'a leader does not campaign')
  restartElectionTimer(raft)
  raft.votes.clear()
  raft.votes.set(raft.id, true)
  changeRole(raft, 'pre-candidate', null)
}

/**
 * A new term, and this node's own vote in it (§5.2). The vote is counted only once it is durable:
 * see `countOwnVote`.
 */
export function becomeCandidate(raft: RaftState): void {
  assert(raft.role !== 'leader', 'a leader does not campaign')
  restartElectionTimer(raft)
  raft.term += 1
  raft.votedFor = raft.id
  raft.outbox.hardStateChanged = true
  raft.votes.clear()
  changeRole(raft, 'candidate', null)
}

/** Leads, and appends a no-op: committing it commits all that came before (§5.4.2, §8). */
export function becomeLeader(raft: RaftState): void {
  assert(raft.role === 'candidate', 'only a candidate becomes leader')
  const { log } = raft
  raft.electionElapsed = 0
  raft.heartbeatElapsed = 0
  raft.termStart = log.lastIndex + 1
  trackPeers(raft)
  changeRole(raft, 'leader', raft.id)
  // The no-op tells everybody who leads, but a lease begins with the answer to a heartbeat.
  if (stampRound(raft)) broadcastHeartbeat(raft)
  const noop: Entry = { index: raft.termStart, term: raft.term, type: 'no-op', data: NOTHING }
  appendToLog(raft, [noop])
}

/** Somewhere in [T, 2T): nodes that lose their leader together do not all campaign together (§5.2). */
export function restartElectionTimer(raft: RaftState): void {
  raft.electionElapsed = 0
  drawElectionTimeout(raft)
}

export function drawElectionTimeout(raft: RaftState): void {
  const { electionTicks } = raft.options
  raft.electionTimeout = electionTicks + Math.floor(raft.random() * electionTicks)
}

function changeRole(raft: RaftState, role: Role, leader: NodeId | null): void {
  if (raft.role === 'leader') {
    loseReads(raft)
    raft.peers = []
    raft.transfer = null
    raft.lease = { stamps: [], isGivenUp: false }
    raft.doubtedRound = 0
  }
  raft.role = role
  raft.leader = leader
  raft.trace?.({ type: 'role-changed', node: raft.id, term: raft.term, role, leader })
}
