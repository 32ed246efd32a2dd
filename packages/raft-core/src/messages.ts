/**
 * What nodes say to each other: one interface per RPC (Fig. 2 and 13), joined in {@link Message}.
 *
 * Every message starts with the same four fields in the same order. `term` is always the sender's
 * own current term, so that the rule for terms (Rules for Servers) needs no exception.
 */
import type { Entry, LogIndex, Membership, NodeId, Position, SnapshotMeta, Term } from './types.ts'

/**
 * Of a leader or a candidate. Whoever is asked may have been away while others joined, and know
 * neither them nor where to send the answer that it takes to catch up.
 */
interface WithAddress {
  /** Where the sender is found, by its own membership; empty if that does not say. */
  readonly address: string
}

interface Header<Type extends string> {
  readonly type: Type
  readonly from: NodeId
  readonly to: NodeId
  readonly term: Term
}

/** "Would you vote for me in the term after `term`?" Nobody's term changes by asking (thesis 9.6). */
export interface PreVote extends Header<'pre-vote'>, WithAddress {
  readonly lastLog: Position
}

export interface PreVoteReply extends Header<'pre-vote-reply'> {
  readonly granted: boolean
}

/** Sent by candidates to gather votes (Fig. 2). */
export interface RequestVote extends Header<'request-vote'>, WithAddress {
  readonly lastLog: Position
  /** The leader asked for this election, so having heard from it is no reason to refuse (thesis 3.10). */
  readonly transfer: boolean
}

export interface RequestVoteReply extends Header<'request-vote-reply'> {
  readonly granted: boolean
}

/** Sent by the leader to replicate entries (Fig. 2). */
export interface AppendEntries extends Header<'append-entries'> {
  /** The position just before `entries`. */
  readonly prevLog: Position
  readonly entries: readonly Entry[]
  readonly commitIndex: LogIndex
  /** The leader's newest heartbeat round: an answer confirms its leadership as of that round. */
  readonly round: number
}

export interface AppendEntriesReply extends Header<'append-entries-reply'> {
  readonly accepted: boolean
  /** Accepted: the log matches the leader's up to here. Refused: the `prevLog.index` that did not. */
  readonly index: LogIndex
  /** Refused: the last place where the logs may still agree (§5.3, end). */
  readonly hint: Position
  readonly round: number
}

/**
 * "This much is committed." No answer is owed: appends and heartbeats say it too, so one that is lost is
 * made up for by the next of these.
 */
export interface Commit extends Header<'commit'> {
  /** Never beyond what the follower is known to hold. */
  readonly commitIndex: LogIndex
}

/** Keeps followers from campaigning, tells them what is committed, and asks "am I still leader?" */
export interface Heartbeat extends Header<'heartbeat'>, WithAddress {
  /** Never beyond what the follower is known to hold. */
  readonly commitIndex: LogIndex
  readonly round: number
}

export interface HeartbeatReply extends Header<'heartbeat-reply'> {
  readonly round: number
  /**
   * For so many milliseconds, from when it heard the heartbeat and by its own clock, the sender helps
   * to elect nobody else (thesis 6.4.1). 0 if it promises nothing.
   */
  readonly promiseMs: number
}

/** Opens a snapshot stream (Fig. 13). The answer is an {@link AppendEntriesReply}. */
export interface InstallSnapshot extends Header<'install-snapshot'> {
  readonly meta: SnapshotMeta
}

/** "Campaign at once": the last step of a leadership transfer (thesis 3.10). */
export interface TimeoutNow extends Header<'timeout-now'> {}

/** A follower asks at which index a read that starts now is linearizable (thesis 6.4). */
export interface ReadIndex extends Header<'read-index'> {
  /** Chosen by the asker, never used twice. */
  readonly id: number
}

export interface ReadIndexReply extends Header<'read-index-reply'> {
  readonly id: number
  /** The read may be served once this index is applied; -1 if the asked node could not say. */
  readonly index: LogIndex
}

/** Proposals that a follower passes on to the leader (§8). */
export interface Propose extends Header<'propose'> {
  /** Names this batch at its sender, never used twice. */
  readonly id: number
  readonly commands: readonly Uint8Array[]
}

export interface ProposeReply extends Header<'propose-reply'> {
  readonly id: number
  /** How many of the commands, from the first on, were appended, one after the other. */
  readonly accepted: number
  /** Where the first of them stands; index 0 if the first command is too large for the leader. */
  readonly first: Position
}

/**
 * "You are no member any more": the answer to whatever a removed node asks. One that was away when
 * it was removed hears of it nowhere else, for nobody sends it the log.
 */
export interface Removed extends Header<'removed'> {
  /** Where `membership`, which is committed, stands in the log. */
  readonly index: LogIndex
  readonly membership: Membership
}

export type Message =
  | PreVote
  | PreVoteReply
  | RequestVote
  | RequestVoteReply
  | AppendEntries
  | AppendEntriesReply
  | Commit
  | Heartbeat
  | HeartbeatReply
  | InstallSnapshot
  | TimeoutNow
  | ReadIndex
  | ReadIndexReply
  | Propose
  | ProposeReply
  | Removed

export type MessageType = Message['type']
