import type { AppendEntries, AppendEntriesReply } from '../messages.ts'
import { type Entry, type NodeId, ORIGIN } from '../types.ts'
import { advanceCommitIndex, commitUpTo } from './commit.ts'
import { ignore, send, sendWhenDurable } from './effects.ts'
import { appendToLog, truncateLog } from './log-changes.ts'
import { heardFrom } from './peers.ts'
import { becomeProbe, becomeReplicate, type Progress } from './progress.ts'
import type { RaftState } from './state.ts'
import { continueTransfer } from './transfer.ts'

/** AppendEntries RPC (Fig. 2, §5.3): the question, the answer, and what the leader learns from it. */

const NOTHING: readonly Entry[] = Object.freeze([])

// The leader's side.

/** Entries that follow each other from `peer.nextIndex` on, or none: what is committed is news, too. */
export function sendAppend(raft: RaftState, peer: Progress, entries: readonly Entry[]): void {
  const prevIndex = peer.nextIndex - 1
  const { commitIndex } = raft
  peer.appended = true
  peer.sentCommit = Math.max(peer.sentCommit, Math.min(commitIndex, prevIndex + entries.length))
  send(raft, {
    type: 'append-entries',
    from: raft.id,
    to: peer.id,
    term: raft.term,
    prevLog: { term: raft.log.termAt(prevIndex), index: prevIndex },
    entries,
    commitIndex,
    round: raft.reads.round,
  })
}

export function handleAppendEntriesReply(raft: RaftState, message: AppendEntriesReply): void {
  const peer = heardFrom(raft, message)
  if (peer === null) return
  if (message.accepted) handleAccepted(raft, peer, message)
  else handleRefused(raft, peer, message)
}

/** The follower's log matches up to `message.index` (§5.3). */
function handleAccepted(raft: RaftState, peer: Progress, message: AppendEntriesReply): void {
  const { index } = message
  if (index > raft.log.lastIndex) return ignore(raft, message, 'no such entry was sent')
  peer.inflight.acknowledge(index)
  if (index < peer.matchIndex) return
  const grown = index > peer.matchIndex
  peer.matchIndex = index
  peer.nextIndex = Math.max(peer.nextIndex, index + 1)
  if (peer.state === 'probe') becomeReplicate(peer)
  // Whatever snapshot is on its way, the log reaches back far enough to go on from here.
  else if (peer.state === 'snapshot' && index >= raft.log.compacted.index) becomeReplicate(peer)
  if (!grown) return
  advanceCommitIndex(raft)
  continueTransfer(raft)
}

/** The logs differ at `message.index`: go back to where they may still agree (§5.3). */
function handleRefused(raft: RaftState, peer: Progress, message: AppendEntriesReply): void {
  const { index, hint } = message
  // A refusal of something that was accepted since, or that was not asked last, is late.
  const late = peer.state === 'probe' ? index !== peer.nextIndex - 1 : index <= peer.matchIndex
  if (late || peer.state === 'snapshot') return ignore(raft, message, 'the refusal is late')
  const start = Math.min(hint.index, index - 1)
  // Before its own log begins, the leader has nothing to compare: the next step is a snapshot.
  const isForgotten = start < raft.log.compacted.index
  const agreed = isForgotten ? start : raft.log.agreementBefore(start, hint.term).index
  becomeProbe(peer, agreed + 1)
}

// The follower's side. The term rule has run, and the sender is known as the leader.

/** AppendEntries RPC, receiver (Fig. 2, steps 2 to 5). */
export function handleAppendEntries(raft: RaftState, message: AppendEntries): void {
  const { log } = raft
  const { prevLog, entries } = message
  // What is committed here is the same everywhere, so a message that starts before it matches.
  if (prevLog.index > raft.commitIndex && !log.matches(prevLog)) return refuse(raft, message)
  const fresh = dropKnown(raft, entries)
  if (fresh.length > 0) {
    const from = (fresh[0] as Entry).index
    if (from <= log.lastIndex) truncateLog(raft, from)
    appendToLog(raft, fresh)
  }
  const match = prevLog.index + entries.length
  commitUpTo(raft, Math.min(message.commitIndex, match))
  const index = Math.max(match, raft.commitIndex)
  answer(raft, message, { accepted: true, index, hint: ORIGIN, round: message.round })
}

/**
 * The entries from the first one on that is missing here or has another term (step 3 and 4). Those
 * before it are here already: a late or repeated message takes nothing away.
 */
function dropKnown(raft: RaftState, entries: readonly Entry[]): readonly Entry[] {
  const { log } = raft
  const first = entries[0]
  if (first === undefined || first.index === log.lastIndex + 1) return entries
  const known = entries.findIndex(
    (entry) =>
      entry.index > log.lastIndex ||
      (entry.index > raft.commitIndex && log.termAt(entry.index) !== entry.term),
  )
  return known === -1 ? NOTHING : entries.slice(known)
}

/** Says where the logs may still agree, as far as this node can tell (§5.3, end). */
function refuse(raft: RaftState, message: AppendEntries): void {
  const { index, term } = message.prevLog
  const hint = raft.log.agreementBefore(index, term)
  answer(raft, message, { accepted: false, index, hint, round: message.round })
}

/** "Nothing of yours: a newer term has begun." Lets a leader that was away learn of it (Fig. 2, step 1). */
export function refuseStaleLeader(raft: RaftState, message: { readonly from: NodeId }): void {
  answer(raft, message, { accepted: false, index: 0, hint: ORIGIN, round: 0 })
}

/** Rests on the entries that it accepts, and on the term that it tells of. */
export function answer(
  raft: RaftState,
  { from: to }: { readonly from: NodeId },
  outcome: Pick<AppendEntriesReply, 'accepted' | 'index' | 'hint' | 'round'>,
): void {
  sendWhenDurable(raft, {
    type: 'append-entries-reply',
    from: raft.id,
    to,
    term: raft.term,
    accepted: outcome.accepted,
    index: outcome.index,
    hint: outcome.hint,
    round: outcome.round,
  })
}
