import type { ReadIndex, ReadIndexReply } from '../messages.ts'
import type { LogIndex } from '../types.ts'
import { knowsCommitted } from './commit.ts'
import { send } from './effects.ts'
import { holdsLease } from './lease.ts'
import type { Progress } from './progress.ts'
import { quorumValue } from './quorum.ts'
import {
  ackedRoundOf,
  membership,
  type PendingRead,
  type RaftState,
  type ReadRound,
} from './state.ts'

/**
 * Linearizable reads without a log entry (thesis 6.4): a leader notes what is committed, makes sure
 * with a round of heartbeats that it still led afterwards, and answers.
 */

const LOST = -1

/** A read of this node. On a follower, the leader is asked. */
export function requestRead(raft: RaftState, id: number): void {
  if (raft.role === 'leader') enqueue(raft, { id, from: null })
  else if (raft.leader === null) raft.outbox.reads.push({ id, index: LOST })
  else send(raft, { type: 'read-index', from: raft.id, to: raft.leader, term: raft.term, id })
}

export function handleReadIndex(raft: RaftState, message: ReadIndex): void {
  const read = { id: message.id, from: message.from }
  if (raft.role === 'leader') enqueue(raft, read)
  else settle(raft, read, LOST)
}

export function handleReadIndexReply(raft: RaftState, message: ReadIndexReply): void {
  raft.outbox.reads.push({ id: message.id, index: message.index })
}

function enqueue(raft: RaftState, read: PendingRead): void {
  const { reads } = raft
  if (reads.count >= raft.options.maxPendingReads) return settle(raft, read, LOST)
  reads.count += 1
  reads.waiting.push(read)
}

/**
 * All reads that came since the last round share the next one, unless a lease makes it needless. A
 * leader that has not committed in its own term does not know yet what is committed, so its reads wait
 * for the no-op (§8). Answers whether a round began, which heartbeats must now carry to everybody.
 */
export function startReadRound(raft: RaftState): boolean {
  const { reads } = raft
  if (reads.waiting.length === 0 || !knowsCommitted(raft)) return false
  if (holdsLease(raft)) {
    confirm(raft, reads.waiting, raft.commitIndex)
    reads.waiting = []
    return false
  }
  reads.round += 1
  reads.pending.push({ round: reads.round, index: raft.commitIndex, reads: reads.waiting })
  reads.waiting = []
  confirmReads(raft)
  return true
}

/** A follower answered a message of this round: it followed this leader then. */
export function acknowledgeRound(raft: RaftState, peer: Progress, round: number): void {
  if (round <= peer.ackedRound) return
  if (round > raft.reads.round) return
  peer.ackedRound = round
  confirmReads(raft)
}

/** Settles the rounds that a majority of the membership in effect has answered. */
export function confirmReads(raft: RaftState): void {
  const { pending } = raft.reads
  if (pending.length === 0) return
  const confirmed = quorumValue(membership(raft), (id) => ackedRoundOf(raft, id))
  while (pending.length > 0 && (pending[0] as ReadRound).round <= confirmed) {
    const { index, reads } = pending.shift() as ReadRound
    confirm(raft, reads, index)
  }
}

function confirm(raft: RaftState, reads: readonly PendingRead[], index: LogIndex): void {
  raft.reads.count -= reads.length
  for (const read of reads) settle(raft, read, index)
}

/** Leadership is over: nobody is left waiting for an answer that cannot come. */
export function loseReads(raft: RaftState): void {
  const { reads } = raft
  for (const { reads: lost } of reads.pending) for (const read of lost) settle(raft, read, LOST)
  for (const read of reads.waiting) settle(raft, read, LOST)
  reads.pending.length = 0
  reads.waiting = []
  reads.count = 0
}

function settle(raft: RaftState, read: PendingRead, index: LogIndex): void {
  if (read.from === null) raft.outbox.reads.push({ id: read.id, index })
  else
    send(raft, {
      type: 'read-index-reply',
      from: raft.id,
      to: read.from,
      term: raft.term,
      id: read.id,
      index,
    })
}
