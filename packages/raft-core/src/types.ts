/** The words of Raft: what a log, a vote and a membership are made of (Fig. 2, State). */

/**
 * Names one node for ever: a short, opaque string that is never given to another node, not even
 * after this one was removed (thesis 4.1). Compared as a string; at most 255 bytes of UTF-8.
 */
export type NodeId = string

/** A term: a safe integer from 0. Terms act as a logical clock (§5.1). */
export type Term = number

/** A place in the log: a safe integer; the first entry has index 1, and 0 means "none" (Fig. 2). */
export type LogIndex = number

/** One place in one history: two logs that share a position share everything before it (§5.3). */
export interface Position {
  readonly term: Term
  readonly index: LogIndex
}

/** The position before the first entry of a log that was never compacted. */
export const ORIGIN: Position = Object.freeze({ term: 0, index: 0 })

/**
 * What an entry asks for once it is committed.
 *
 * - `command`: the state machine applies `data`.
 * - `no-op`: nothing; a new leader commits one to learn what is committed (§8).
 * - `membership`: `data` is an encoded {@link Membership}, in effect since it was appended (§6).
 */
export type EntryType = 'command' | 'no-op' | 'membership'

/** One slot of the log. `data` belongs to the log from the moment it is proposed: never change it. */
export interface Entry {
  readonly index: LogIndex
  readonly term: Term
  readonly type: EntryType
  readonly data: Uint8Array
}

/** What a node must remember about itself to stay honest after a crash (Fig. 2, persistent state). */
export interface HardState {
  readonly term: Term
  /** Who got this node's vote in `term`, or null. */
  readonly votedFor: NodeId | null
  /**
   * The commit index when this was written. It may lag behind and never causes a write of its own:
   * it lets a restarted node serve what it knew before it hears from a leader.
   */
  readonly commitIndex: LogIndex
}

/** The hard state of a node that has never run. */
export const INITIAL_HARD_STATE: HardState = Object.freeze({
  term: 0,
  votedFor: null,
  commitIndex: 0,
})

/** A node and where its peers find it. The address means whatever the transport says it means. */
export interface Peer {
  readonly id: NodeId
  readonly address: string
}

/**
 * Who takes part (the paper says configuration). Elections and commitment need a majority of
 * `voters` and, while a change is under way, also of `outgoing` (joint consensus, §6).
 * All lists are sorted by id and hold no id twice.
 */
export interface Membership {
  readonly voters: readonly NodeId[]
  /** The voters of the old membership while joint; empty otherwise. */
  readonly outgoing: readonly NodeId[]
  /** Receive the log but neither vote nor count (thesis 4.2.1). */
  readonly learners: readonly NodeId[]
  /** Every node named above, with its address. */
  readonly peers: readonly Peer[]
  /**
   * Who left, and where it was found, in the order they left: their ids are never given to others,
   * and one that missed its removal is told. The newest {@link MAX_REMOVED} are kept.
   */
  readonly removed: readonly Peer[]
}

/** How many removed nodes a membership remembers. */
export const MAX_REMOVED = 1_024

/** Describes a snapshot: the state after `position.index` was applied, and who took part then (§7). */
export interface SnapshotMeta {
  readonly position: Position
  /** The membership as of `position`, never a later one. */
  readonly membership: Membership
  /** Where it stands in the log, at `position` or before; 0 if it was never written there. */
  readonly membershipIndex: LogIndex
}

/** The entries from `from` up to the next run's `from` were written in `term`. */
export interface TermRun {
  readonly from: LogIndex
  readonly term: Term
}

/** A membership of `voters` at fixed addresses, as a cluster starts with. */
export function bootstrapMembership(peers: readonly Peer[]): Membership {
  const sorted = [...peers].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0))
  const voters = sorted.map((peer) => peer.id)
  if (new Set(voters).size !== voters.length) throw new RangeError('a node id appears twice')
  return { voters, outgoing: [], learners: [], peers: sorted, removed: [] }
}

/**
 * One step of a change of who takes part. Steps that are asked for together happen together: if they
 * change more than one voter, by way of joint consensus (§6).
 */
export type MembershipChange =
  /**
   * A node that never was a member. Better made a learner first, so that its log is there when it
   * counts.
   */
  | { readonly type: 'add-voter'; readonly peer: Peer }
  | { readonly type: 'add-learner'; readonly peer: Peer }
  /** Refused until the learner's log has nearly caught up (thesis 4.2.1). */
  | { readonly type: 'promote-learner'; readonly id: NodeId }
  | { readonly type: 'demote-voter'; readonly id: NodeId }
  | { readonly type: 'remove'; readonly id: NodeId }
  /** The member is found at another address from now on. */
  | { readonly type: 'move'; readonly peer: Peer }
