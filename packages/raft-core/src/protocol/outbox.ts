import type { Message } from '../messages.ts'
import type { LogIndex, NodeId, Position, Term } from '../types.ts'

/**
 * Where effects gather between two turns.
 *
 * A message that promises something (a vote, an acknowledgement) must not leave before what it
 * promises is durable (thesis 3.8). Such messages are held here until the write they rest on is
 * done, so that nobody outside can send one early by mistake. This goes for refusals and for
 * RequestVote itself: a candidate whose term is not on its own disk could campaign twice in it.
 */
export interface Outbox {
  messages: Message[]
  /** Rest on a write that has not begun. */
  held: Message[]
  /** The write under way, and what rests on it. */
  writing: Writing | null
  hardStateChanged: boolean
  savedCommitIndex: LogIndex
  reset: Position | null
  fetches: FetchWork[]
  fetchId: number
  snapshots: NodeId[]
  reads: ReadOutcome[]
}

interface Writing {
  /** Since it began. */
  ticks: number
  readonly term: Term
  readonly votedFor: NodeId | null
  /** The last entry that will be durable; lowered when a truncation overtakes the write. */
  lastIndex: LogIndex
  readonly held: readonly Message[]
  /** Rest on nothing but this write, and came after it began. */
  readonly late: Message[]
}

export function createOutbox(): Outbox {
  return {
    messages: [],
    held: [],
    writing: null,
    hardStateChanged: false,
    savedCommitIndex: 0,
    reset: null,
    fetches: [],
    fetchId: 0,
    snapshots: [],
    reads: [],
  }
}

export interface FetchWork {
  readonly id: number
  readonly to: NodeId
  readonly from: LogIndex
  readonly end: LogIndex
  readonly maxBytes: number
}

/** A read may be served once `index` is applied; -1 if this node lost track of it: ask again. */
export interface ReadOutcome {
  readonly id: number
  readonly index: LogIndex
}
