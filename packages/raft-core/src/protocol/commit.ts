import { assert } from '../errors.ts'
import type { LogIndex } from '../types.ts'
import { quorumValue } from './quorum.ts'
import { membership, progressOf, type RaftState } from './state.ts'

/**
 * Commits what a majority holds (Fig. 2, Rules for Servers, last rule).
 *
 * Recomputed from scratch each time: nothing to keep in step, and it costs a few nanoseconds.
 */
export function advanceCommitIndex(raft: RaftState): void {
  assert(raft.role === 'leader', 'only a leader decides what is committed')
  const index = quorumValue(membership(raft), (id) => durableIndexOf(raft, id))
  // Entries of earlier terms commit only together with one of ours (§5.4.2, Fig. 8).
  if (index >= raft.termStart) commitUpTo(raft, index)
}

/** What a voter has on its disk. The leader counts itself like any other. */
function durableIndexOf(raft: RaftState, id: string): LogIndex {
  if (id === raft.id) return raft.log.stableIndex
  return progressOf(raft, id)?.matchIndex ?? 0
}

export function commitUpTo(raft: RaftState, index: LogIndex): void {
  if (index <= raft.commitIndex) return
  assert(index <= raft.log.lastIndex, 'only entries that are here are committed here')
  raft.commitIndex = index
  raft.trace?.({ type: 'entries-committed', node: raft.id, term: raft.term, index })
}

/** A leader knows what is committed once an entry of its own term is (§8). */
export function knowsCommitted(raft: RaftState): boolean {
  return raft.role === 'leader' && raft.commitIndex >= raft.termStart
}
