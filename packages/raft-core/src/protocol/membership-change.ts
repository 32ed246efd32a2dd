import { encodeMembership } from '../codec/records.ts'
import type { LogIndex, Membership, MembershipChange, NodeId } from '../types.ts'
import { knowsCommitted } from './commit.ts'
import { appendToLog } from './log-changes.ts'
import { applyChanges, leaveJoint } from './next-membership.ts'
import { isHeard } from './progress.ts'
import { refusesProposals } from './propose.ts'
import { isVoter } from './quorum.ts'
import { confirmReads } from './read-index.ts'
import { becomeFollower } from './roles.ts'
import { membership, progressOf, type RaftState } from './state.ts'
import { startTransfer } from './transfer.ts'

/** What became of a change that was asked for: where it stands in the log, or why it does not. */
export type MembershipOutcome =
  | { readonly index: LogIndex }
  | { readonly refused: 'not-leader' | 'pending' | 'invalid'; readonly why: string }

/**
 * Appends a new membership, which is in effect from then on (§6). One change at a time, and none
 * before this leader has committed an entry of its term: two changes that do not know of each other
 * could have majorities that do not overlap.
 */
export function changeMembership(
  raft: RaftState,
  changes: readonly MembershipChange[],
  expectedIndex: LogIndex | null,
): MembershipOutcome {
  const { memberships } = raft
  const refusal = refusesProposals(raft)
  if (refusal !== null) return { refused: 'not-leader', why: refusal }
  if (!knowsCommitted(raft))
    return { refused: 'pending', why: 'the leader has not committed an entry of its term yet' }
  if (memberships.currentIndex > raft.commitIndex || membership(raft).outgoing.length > 0)
    return { refused: 'pending', why: 'another change is under way' }
  if (expectedIndex !== null && expectedIndex !== memberships.currentIndex)
    return {
      refused: 'invalid',
      why: `the membership is that of index ${memberships.currentIndex}, not ${expectedIndex}`,
    }
  const next = applyChanges(membership(raft), changes, (id) => hasCaughtUp(raft, id))
  if (typeof next === 'string') return { refused: 'invalid', why: next }
  return { index: appendMembership(raft, next) }
}

/**
 * Takes a committed change to its end: leaves the joint membership, and hands over if this leader
 * is no longer part of it. Goes on from where an earlier leader left off, too.
 */
export function continueChange(raft: RaftState): void {
  if (!knowsCommitted(raft) || raft.memberships.currentIndex > raft.commitIndex) return
  const current = membership(raft)
  if (current.outgoing.length > 0) appendMembership(raft, leaveJoint(current))
  else if (!isVoter(current, raft.id) && raft.transfer === null) abdicate(raft)
}

/**
 * A leader that is no voter any more has led until its removal was committed, without counting
 * itself (thesis 4.2.2). It hands over, or just steps down if nobody can take over at once.
 */
function abdicate(raft: RaftState): void {
  if (startTransfer(raft, null) === null) becomeFollower(raft, raft.term, null)
}

function appendMembership(raft: RaftState, next: Membership): LogIndex {
  const index = raft.log.lastIndex + 1
  const data = encodeMembership(next)
  appendToLog(raft, [{ index, term: raft.term, type: 'membership', data }])
  // Reads may have waited for nobody but those who have left.
  confirmReads(raft)
  return index
}

/**
 * A learner whose log is this close to the leader's soon has all of it (thesis 4.2.1). One that has
 * never taken anything may not be there at all, however short the log is.
 */
export function hasCaughtUp(raft: RaftState, id: NodeId): boolean {
  const peer = progressOf(raft, id)
  if (peer === null || !isHeard(peer) || peer.matchIndex === 0) return false
  return peer.matchIndex + raft.options.maxPromotionLag >= raft.log.lastIndex
}
