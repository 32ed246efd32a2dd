import type { InstallSnapshot } from '../messages.ts'
import { type LogIndex, type NodeId, ORIGIN, type SnapshotMeta } from '../types.ts'
import { answer } from './append-entries.ts'
import { commitUpTo } from './commit.ts'
import { resetLog } from './log-changes.ts'
import { becomeProbe, becomeSnapshot, type Progress } from './progress.ts'
import { progressOf, type RaftState } from './state.ts'

// The leader's side.

/** The follower needs entries that are gone (§7). One that is away gets its snapshot when it is back. */
export function requestSnapshot(raft: RaftState, peer: Progress): void {
  if (!peer.active) return
  becomeSnapshot(peer)
  raft.outbox.snapshots.push(peer.id)
}

/** The message that opens the stream. The log is kept from there on until the stream ends. */
export function announceSnapshot(
  raft: RaftState,
  to: NodeId,
  meta: SnapshotMeta,
): InstallSnapshot | null {
  const peer = progressOf(raft, to)
  if (raft.role !== 'leader' || peer?.state !== 'snapshot') return null
  peer.snapshotIndex = meta.position.index
  return { type: 'install-snapshot', from: raft.id, to, term: raft.term, meta }
}

/**
 * The stream has ended. After a failure the follower is probed again, so that the next heartbeat it
 * answers starts the next attempt.
 */
export function handleSnapshotSent(raft: RaftState, to: NodeId, received: boolean): void {
  const peer = progressOf(raft, to)
  if (peer?.state !== 'snapshot') return
  const index = peer.snapshotIndex
  becomeProbe(peer, received ? index + 1 : peer.matchIndex + 1)
  if (!received) peer.probing = true
}

/** The log may be forgotten up to here without taking away what a snapshot's receiver needs next. */
export function forgettable(raft: RaftState): LogIndex {
  let index = Number.POSITIVE_INFINITY
  for (const peer of raft.peers)
    if (peer.state === 'snapshot') index = Math.min(index, peer.snapshotIndex)
  return index
}

// The follower's side.

/** Does this node need the snapshot? If not, the leader is told how far the log here reaches. */
export function wantsSnapshot(raft: RaftState, message: InstallSnapshot): boolean {
  if (message.term < raft.term) return false
  if (message.meta.position.index > raft.commitIndex) return true
  acknowledgeSnapshot(raft, message)
  return false
}

/**
 * The snapshot is on this node's disk. Unless the log holds its last entry, the snapshot takes the
 * place of the whole log (Fig. 13, steps 6 and 7). Answers whether the state machine must restore it.
 */
export function installSnapshot(raft: RaftState, message: InstallSnapshot): boolean {
  const { position, membership, membershipIndex } = message.meta
  const needed = position.index > raft.commitIndex
  const restore = needed && !raft.log.matches(position)
  if (restore) {
    resetLog(raft, position)
    raft.memberships.reset(membershipIndex, membership)
    raft.trace?.({ type: 'membership-changed', node: raft.id, term: raft.term, membership })
    raft.trace?.({ type: 'snapshot-installed', node: raft.id, term: raft.term, position })
  }
  if (needed) commitUpTo(raft, position.index)
  if (message.term === raft.term) acknowledgeSnapshot(raft, message)
  return restore
}

/** The log matches the leader's as far as the snapshot reaches, at least. */
function acknowledgeSnapshot(raft: RaftState, message: InstallSnapshot): void {
  answer(raft, message, { accepted: true, index: raft.commitIndex, hint: ORIGIN, round: 0 })
}
