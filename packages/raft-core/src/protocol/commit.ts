import { assert } from '../errors.ts'
import type { Commit, Heartbeat } from '../messages.ts'
import type { LogIndex } from '../types.ts'
import { send } from './effects.ts'
import type { Progress } from './progress.ts'
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

/**
 * Tells followers what is committed, in the turn after it came to be so: whoever waits for that is
 * answered first, and an append of the meantime takes the news along for nothing. Answers whether
 * something is left to tell.
 */
export function tellCommitted(raft: RaftState): boolean {
  const isFresh = raft.commitIndex > raft.commitAtLastTurn
  raft.commitAtLastTurn = raft.commitIndex
  const behind = raft.peers.filter((peer) => newsFor(raft, peer) > peer.sentCommit)
  if (isFresh) return behind.length > 0
  for (const peer of behind) {
    const commitIndex = newsFor(raft, peer)
    peer.sentCommit = commitIndex
    send(raft, { type: 'commit', from: raft.id, to: peer.id, term: raft.term, commitIndex })
  }
  return false
}

/** What a follower may be told is committed: it may hold no more than what it acknowledged. */
export function newsFor(raft: RaftState, peer: Progress): LogIndex {
  return Math.min(peer.matchIndex, raft.commitIndex)
}

/** The leader knows that this is committed, and that it is here. */
export function learnCommitted(raft: RaftState, { commitIndex }: Commit | Heartbeat): void {
  assert(
    commitIndex <= raft.log.lastIndex,
    'the leader counts on entries that this node no longer has: its data was lost',
  )
  commitUpTo(raft, commitIndex)
}

/** A leader knows what is committed once an entry of its own term is (§8). */
export function knowsCommitted(raft: RaftState): boolean {
  return raft.role === 'leader' && raft.commitIndex >= raft.termStart
}
