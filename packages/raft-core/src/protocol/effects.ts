import type { AppendBatch } from '../contracts/storage.ts'
import { assert } from '../errors.ts'
import type { Message } from '../messages.ts'
import type { NodeId, Peer, Term } from '../types.ts'
import type { FetchWork, ReadOutcome } from './outbox.ts'
import type { RaftState } from './state.ts'

export type { FetchWork, ReadOutcome } from './outbox.ts'

/**
 * What the protocol wants done in the world, as data. Whoever drives it carries this out and
 * reports back; nothing here is ever done twice.
 */
export interface Effects {
  /** May leave now, in this order. */
  readonly messages: readonly Message[]
  /** One write to make durable, then reported by `appendDone`. Null while one is under way. */
  readonly append: AppendBatch | null
  /** Entries to read from the storage for a follower, then reported by `entriesFetched`. */
  readonly fetches: readonly FetchWork[]
  /** Followers that need the newest snapshot; reported by `snapshotSent`. */
  readonly snapshots: readonly NodeId[]
  /** Reads that are settled. */
  readonly reads: readonly ReadOutcome[]
  /** Who must be reachable from now on, if that has changed; nobody at all before it is known. */
  readonly peers: readonly Peer[] | null
  /** There is more to do, for which nobody waits: come back in another turn, even if nothing happens. */
  readonly more: boolean
}

/** For messages that promise nothing about this node's disk. */
export function send(raft: RaftState, message: Message): void {
  raft.trace?.({
    type: 'message-sent',
    node: raft.id,
    term: raft.term,
    to: message.to,
    message: message.type,
  })
  raft.outbox.messages.push(message)
}

/** For messages that rest on what this node knows now: they leave when all of it is durable. */
export function sendWhenDurable(raft: RaftState, message: Message): void {
  const { outbox } = raft
  if (isUnsaved(raft)) hold(outbox.held, message)
  else if (outbox.writing !== null) hold(outbox.writing.late, message)
  else send(raft, message)
}

/**
 * One answer is enough for several messages of a leader, and one vote for a candidate that asks again
 * and again: the newest. So what waits for the disk stays small, however long the disk takes.
 */
function hold(held: Message[], message: Message): void {
  const at = held.findIndex((earlier) => supersedes(message, earlier))
  if (at >= 0) held.splice(at, 1)
  held.push(message)
}

/** A dropped message is an event, not silence. */
export function ignore(raft: RaftState, message: Message, why: string): void {
  raft.trace?.({
    type: 'message-ignored',
    node: raft.id,
    term: raft.term,
    from: message.from,
    message: message.type,
    why,
  })
}

/** Collects what has gathered. The caller gets it for good. */
export function takeEffects(raft: RaftState, rest: Pick<Effects, 'peers' | 'more'>): Effects {
  const { outbox } = raft
  const append = outbox.writing === null && isUnsaved(raft) ? takeWrite(raft) : null
  const effects: Effects = {
    messages: outbox.messages,
    append,
    fetches: outbox.fetches,
    snapshots: outbox.snapshots,
    reads: outbox.reads,
    ...rest,
  }
  outbox.messages = []
  if (outbox.fetches.length > 0) outbox.fetches = []
  if (outbox.snapshots.length > 0) outbox.snapshots = []
  if (outbox.reads.length > 0) outbox.reads = []
  return effects
}

/** All that changed since the last write becomes one write: under load, many entries share it. */
function takeWrite(raft: RaftState): AppendBatch {
  const { outbox, log } = raft
  const entries = log.takeUnsaved()
  const commitMoved = raft.commitIndex !== outbox.savedCommitIndex
  const hardState =
    outbox.hardStateChanged || (commitMoved && entries.length > 0)
      ? { term: raft.term, votedFor: raft.votedFor, commitIndex: raft.commitIndex }
      : null
  const batch: AppendBatch = { reset: outbox.reset, entries, hardState }
  outbox.writing = {
    ticks: 0,
    term: raft.term,
    votedFor: raft.votedFor,
    lastIndex: log.lastIndex,
    held: outbox.held,
    late: [],
  }
  if (hardState !== null) outbox.savedCommitIndex = raft.commitIndex
  outbox.held = []
  outbox.hardStateChanged = false
  outbox.reset = null
  return batch
}

/** The write under way is durable: its messages may leave. Answers with what it covered. */
export function finishWrite(raft: RaftState): {
  readonly term: Term
  readonly votedFor: NodeId | null
} {
  const { writing } = raft.outbox
  assert(writing !== null, 'a write is done only after it began')
  raft.outbox.writing = null
  raft.log.stabilize(writing.lastIndex)
  for (const message of writing.held) send(raft, message)
  for (const message of writing.late) send(raft, message)
  return writing
}

function isUnsaved(raft: RaftState): boolean {
  const { outbox, log } = raft
  return outbox.hardStateChanged || outbox.reset !== null || log.unsavedFrom <= log.lastIndex
}

/** Says all that the earlier one did, as far as it is still of use: terms only ever grow. */
function supersedes(message: Message, earlier: Message): boolean {
  if (message.type !== earlier.type || message.to !== earlier.to) return false
  if (message.type !== 'append-entries-reply' || earlier.type !== 'append-entries-reply')
    return true
  if (message.accepted !== earlier.accepted) return false
  return !message.accepted || message.index >= earlier.index
}
