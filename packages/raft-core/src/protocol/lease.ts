import type { HeartbeatReply } from '../messages.ts'
import type { Progress } from './progress.ts'
import { quorumValue } from './quorum.ts'
import { electionMs, membership, progressOf, type RaftState } from './state.ts'

/**
 * Reads without asking anybody (thesis 6.4.1). A follower that hears from a leader votes for nobody
 * for an election timeout. So a leader that a majority answered knows that nobody else can have been
 * elected before an election timeout has passed since it asked them, and answers by itself till then.
 *
 * The time runs from when the leader asked, not from when it was answered: the followers' began
 * somewhere in between. And each counts by its own clock, so the leader's lease is shorter than what
 * the followers owe it by as much as clocks may differ.
 */

// The leader's side.

/**
 * Every heartbeat begins a round of its own, so that an answer tells how old it is. Answers whether it
 * does, for without leases there is no need.
 */
export function stampRound(raft: RaftState): boolean {
  const { lease, reads, options } = raft
  if (options.reads !== 'lease') return false
  reads.round += 1
  lease.stamps.push({ round: reads.round, sentAt: raft.now })
  // There are no more heartbeats in a lease than ticks in an election timeout.
  if (lease.stamps.length > options.electionTicks) lease.stamps.shift()
  return true
}

/**
 * May this leader answer reads now, without asking whether it still leads? What they have to see, it
 * knows only once an entry of its term is committed (§8), which is asked before this.
 */
export function holdsLease(raft: RaftState): boolean {
  const { lease, now, options } = raft
  if (options.reads !== 'lease' || lease.isGivenUp) return false
  return now < leaseStart(raft) + electionMs(raft) * (1 - options.maxClockDrift)
}

/** When the last round that a majority has answered with its promise began, or earlier. */
function leaseStart(raft: RaftState): number {
  const promised = quorumValue(membership(raft), (id) =>
    id === raft.id ? raft.reads.round : (progressOf(raft, id)?.promisedRound ?? 0),
  )
  return raft.lease.stamps.findLast(({ round }) => round <= promised)?.sentAt ?? -Infinity
}

/** A follower with other options may promise less than this leader counts on, and then does not count. */
export function acceptPromise(raft: RaftState, peer: Progress, message: HeartbeatReply): void {
  const { round } = message
  if (message.promiseMs < electionMs(raft) || round > raft.reads.round) return
  peer.promisedRound = Math.max(peer.promisedRound, round)
}

/**
 * Before a follower is asked to campaign: its voters are not bound by what they owe this leader
 * (thesis 3.10). The question may arrive at any time, so there is no lease again in this term.
 */
export function giveUpLease(raft: RaftState): void {
  raft.lease.isGivenUp = true
}

// The follower's side.

/** A leader has spoken: until an election timeout from now, this node helps to elect nobody else. */
export function oweLease(raft: RaftState): void {
  raft.heardAt = raft.now
}

/** What it promises with that: told in every answer to a heartbeat. */
export function promiseMs(raft: RaftState): number {
  return raft.options.reads === 'lease' ? electionMs(raft) : 0
}

/**
 * Is this node's vote bound? Whatever it heard since, a newer term or that the leader is gone, it may
 * have answered a leader that counts on it.
 */
export function owesLease(raft: RaftState): boolean {
  return raft.now < raft.heardAt + promiseMs(raft)
}
