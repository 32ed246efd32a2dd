import { decodeMembership } from '../codec/records.ts'
import { assert } from '../errors.ts'
import type { Entry, LogIndex, Position } from '../types.ts'
import { trackPeers } from './peers.ts'
import type { RaftState } from './state.ts'

/**
 * The log never changes alone. A membership counts from when it is appended until it is truncated
 * (§6), and what the write under way makes durable is less if the log is cut meanwhile.
 */

/** Appends to the log. A membership among the entries is in effect at once (§6). */
export function appendToLog(raft: RaftState, entries: readonly Entry[]): void {
  const first = entries[0]
  if (first === undefined) return
  for (const entry of entries) {
    raft.log.append(entry)
    if (entry.type === 'membership') {
      const membership = decodeMembership(entry.data)
      raft.memberships.append(entry.index, membership)
      if (raft.role === 'leader') trackPeers(raft)
      raft.trace?.({ type: 'membership-changed', node: raft.id, term: raft.term, membership })
    }
  }
  raft.trace?.({
    type: 'entries-appended',
    node: raft.id,
    term: raft.term,
    from: first.index,
    last: raft.log.last,
  })
}

/** Truncates the log, and with it what the write under way will have made durable. */
export function truncateLog(raft: RaftState, index: LogIndex): void {
  assert(index > raft.commitIndex, 'a committed entry is never truncated')
  raft.log.truncate(index)
  raft.memberships.truncate(index)
  const { writing } = raft.outbox
  if (writing !== null && writing.lastIndex >= index) writing.lastIndex = index - 1
  raft.trace?.({ type: 'entries-truncated', node: raft.id, term: raft.term, from: index })
}

/** The log starts again after a snapshot; the write under way no longer says anything about it. */
export function resetLog(raft: RaftState, position: Position): void {
  raft.log.reset(position)
  raft.outbox.reset = position
  if (raft.outbox.writing !== null) raft.outbox.writing.lastIndex = 0
}
