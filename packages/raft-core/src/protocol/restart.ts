import { decodeMembership, encodeMembership } from '../codec/records.ts'
import { InvariantError } from '../errors.ts'
import type { Membership } from '../types.ts'
import { oweLease } from './lease.ts'
import { appendToLog, resetLog } from './log-changes.ts'
import { noticeRemoval } from './removal.ts'
import type { RaftInit, RaftState } from './state.ts'

/** Takes up where the storage says this node left off, or starts the cluster it is told to start. */
export function restart(raft: RaftState, { stored, bootstrap, appliedIndex }: RaftInit): void {
  const { snapshot } = stored
  const snapshotIndex = snapshot?.position.index ?? 0
  if (stored.compacted.index > snapshotIndex)
    throw new InvariantError('the log begins after the newest snapshot: a snapshot was lost')
  const end = Math.max(stored.lastIndex, snapshotIndex)
  if (stored.hardState.commitIndex > end || appliedIndex > end)
    throw new InvariantError('the log ends before what was committed: entries were lost')
  // A crash came between storing a snapshot and resetting the log that it replaces.
  if (snapshot !== null && !raft.log.matches(snapshot.position)) resetLog(raft, snapshot.position)
  else
    for (const entry of stored.memberships)
      if (entry.index > snapshotIndex)
        raft.memberships.append(entry.index, decodeMembership(entry.data))
  raft.memberships.forgetBefore(appliedIndex)
  noticeRemoval(raft)
  adoptTermOfLog(raft)
  const neverRan = stored.lastIndex === 0 && snapshot === null && stored.hardState.term === 0
  // Before it stopped, it may have answered a leader that counts on its vote to this moment.
  if (!neverRan) oweLease(raft)
  if (neverRan && bootstrap !== null) bootstrapCluster(raft, bootstrap)
}

/**
 * A snapshot is stored beside the hard state, not with it, so a crash may leave one of a later term
 * than the hard state knows. That term had a leader, and this node took part in it without a vote.
 */
function adoptTermOfLog(raft: RaftState): void {
  const { term } = raft.log.last
  if (term <= raft.term) return
  raft.term = term
  raft.votedFor = null
  raft.outbox.hardStateChanged = true
}

/**
 * Every founding member writes the same first entry, and so finds it committed: from then on, who
 * takes part is in the log and nowhere else.
 */
function bootstrapCluster(raft: RaftState, founders: Membership): void {
  raft.term = 1
  raft.outbox.hardStateChanged = true
  appendToLog(raft, [{ index: 1, term: 1, type: 'membership', data: encodeMembership(founders) }])
  raft.commitIndex = 1
}
