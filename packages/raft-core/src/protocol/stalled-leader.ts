import { broadcastHeartbeat } from './heartbeat.ts'
import { isOnlyVoter, quorumValue } from './quorum.ts'
import { becomeFollower } from './roles.ts'
import { ackedRoundOf, electionMs, membership, type RaftState } from './state.ts'
import { startTransfer } from './transfer.ts'

/**
 * A leader can stand still and not be dead. Its heartbeats need no disk, so followers stay with a
 * leader whose disk hangs, and nothing that it is asked for ever ends (etcd and others have served
 * nobody for minutes this way). And a process that was paused goes on as the leader it was, although
 * an election timeout is all that others wait.
 */

/** The monotonic clock has moved. A leader that was gone for an election timeout doubts that it leads. */
export function passTime(raft: RaftState, now: number): void {
  const elapsed = now - raft.now
  // A clock that steps back stands still.
  if (elapsed <= 0) return
  raft.now = now
  if (raft.role === 'leader' && elapsed >= electionMs(raft)) doubtLeadership(raft)
}

/**
 * Ask everybody at once, and believe only answers to that: those that waited while this process stood
 * still are as old as its pause. It need not step down: with luck it is back before anybody else leads.
 * If not, what is proposed to it now would only be lost, so it takes nothing until it knows.
 */
function doubtLeadership(raft: RaftState): void {
  raft.trace?.({ type: 'leader-stalled', node: raft.id, term: raft.term, why: 'process' })
  raft.electionElapsed = 0
  for (const peer of raft.peers) {
    peer.active = false
    peer.wasActive = false
  }
  raft.reads.round += 1
  raft.doubtedRound = raft.reads.round
  broadcastHeartbeat(raft)
}

/** Has no majority confirmed yet, since this process stood still, that this leader still leads? */
export function isDoubted(raft: RaftState): boolean {
  if (raft.doubtedRound === 0) return false
  const acked = quorumValue(membership(raft), (id) => ackedRoundOf(raft, id))
  if (acked < raft.doubtedRound) return true
  raft.doubtedRound = 0
  return false
}

/** The write under way has taken an election timeout: nobody should wait for this disk. */
export function isDiskStalled({ outbox, options }: RaftState): boolean {
  return outbox.writing !== null && outbox.writing.ticks >= options.electionTicks
}

/** A tick of time has passed for the write under way, if there is one. */
export function tickWrite({ outbox }: RaftState): void {
  if (outbox.writing !== null) outbox.writing.ticks += 1
}

/**
 * A leader whose disk hangs looks for one whose disk does not: it hands over to the voter that is
 * furthest. If that has come to nothing after another election timeout, it steps down, and its silence
 * lets the others elect whom they like. Without another voter there is nobody to hand over to.
 */
export function tickStalledDisk(raft: RaftState): void {
  const { writing } = raft.outbox
  const { electionTicks } = raft.options
  if (writing === null || isOnlyVoter(membership(raft), raft.id)) return
  if (writing.ticks === electionTicks) {
    raft.trace?.({ type: 'leader-stalled', node: raft.id, term: raft.term, why: 'disk' })
    if (raft.transfer === null) startTransfer(raft, null, { isForced: true })
  } else if (writing.ticks >= 2 * electionTicks) becomeFollower(raft, raft.term, null)
}

/** The disk goes on: there is no more reason to hand over, unless the heir was asked already. */
export function resumeWriting(raft: RaftState): void {
  if (raft.transfer?.isForced === true && !raft.transfer.asked) raft.transfer = null
}
