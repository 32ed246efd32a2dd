import type { Stored } from '../contracts/storage.ts'
import type { ProtocolOptions } from '../options.ts'
import type { Role, Trace } from '../trace.ts'
import type { LogIndex, Membership, NodeId, Term } from '../types.ts'
import { Log } from './log.ts'
import { MembershipHistory, NOBODY } from './membership.ts'
import { createOutbox, type Outbox } from './outbox.ts'
import type { Progress } from './progress.ts'

/** Everything a server knows, in the order of Figure 2. Only the files of this folder write it. */
export interface RaftState {
  readonly id: NodeId
  options: ProtocolOptions
  readonly random: () => number
  readonly trace: Trace | null

  // Server variables: persistent.
  term: Term
  votedFor: NodeId | null
  readonly log: Log
  readonly memberships: MembershipHistory

  // Server variables: volatile. `appliedIndex <= commitIndex <= log.lastIndex`.
  commitIndex: LogIndex
  appliedIndex: LogIndex
  role: Role
  leader: NodeId | null

  // Timers, in ticks (§5.2).
  /** Since the leader was heard, or an election began; for a leader, since it checked its quorum. */
  electionElapsed: number
  electionTimeout: number
  heartbeatElapsed: number

  // What the monotonic clock says, in milliseconds. Only leases and pauses are measured by it.
  /** As it was told last; never falls. */
  now: number
  /** When a leader was heard last, of whatever term: with leases, this node's vote is bound by it. */
  heardAt: number

  // Candidate variables.
  readonly votes: Map<NodeId, boolean>

  // Leader variables.
  peers: Progress[]
  /** `commitIndex` when the last turn ended: what is committed since then is not told alone yet. */
  commitAtLastTurn: LogIndex
  /** Where this leader's term begins: nothing counts as committed by it before this is (§5.4.2). */
  termStart: LogIndex
  readonly reads: Reads
  lease: Lease
  /**
   * This process stood still: until a majority has answered this round, another may lead. 0 when there
   * is no doubt.
   */
  doubtedRound: number
  /** Who is to lead next, while a transfer is under way (thesis 3.10). */
  transfer: Transfer | null

  // Removal (thesis 4.2.3): see removal.ts.
  /** Where the committed membership stands that says that this node was removed; null for a member. */
  removedAt: LogIndex | null
  /** Removed nodes that have asked for something lately, and for how many ticks they are answered. */
  readonly callers: Map<NodeId, number>
  /** Who was last said to be reachable. */
  reach: { readonly membership: Membership; readonly others: string }

  readonly outbox: Outbox
}

/** Linearizable reads that a leader has been asked for (thesis 6.4). */
export interface Reads {
  /**
   * The newest round of heartbeats. It goes out with every message to a follower. Rounds only ever
   * grow, so an answer to an old one can never confirm a new read, whoever asked and how often.
   */
  round: number
  /** Asked since that round began: the next one is theirs. */
  waiting: PendingRead[]
  /** Rounds that wait for a majority, oldest first. */
  readonly pending: ReadRound[]
  count: number
}

/** What a leader knows of how long nobody else can be elected (thesis 6.4.1). */
export interface Lease {
  /** When the rounds of the last heartbeats began, oldest first. */
  readonly stamps: { readonly round: number; readonly sentAt: number }[]
  /** A follower was asked to campaign, and may do so at any time later in this term. */
  isGivenUp: boolean
}

export interface Transfer {
  readonly to: NodeId
  elapsed: number
  /** The heir was told to campaign. */
  readonly asked: boolean
  /** Not asked for: this leader's disk stands still. Called off if it goes on in time. */
  readonly isForced: boolean
}

export interface PendingRead {
  readonly id: number
  /** Who asked; null for this node. */
  readonly from: NodeId | null
}

export interface ReadRound {
  readonly round: number
  /** What was committed when the round began. */
  readonly index: LogIndex
  readonly reads: readonly PendingRead[]
}

export interface RaftInit {
  readonly id: NodeId
  readonly options: ProtocolOptions
  readonly stored: Stored
  /** Who starts the cluster; used only by a node that has never run. Null to wait to be added. */
  readonly bootstrap: Membership | null
  /** What the state machine has applied already, so it must be committed: from its own disk, or a snapshot. */
  readonly appliedIndex: LogIndex
  /** Uniform in [0, 1): spreads the election timeouts. */
  readonly random: () => number
  /** What the monotonic clock says, in milliseconds. Leases need it; then `clock` is called, too. */
  readonly now?: number
  readonly trace?: Trace | null
}

export function createState(init: RaftInit): RaftState {
  const { stored } = init
  const { snapshot } = stored
  const snapshotIndex = snapshot?.position.index ?? 0
  return {
    id: init.id,
    options: init.options,
    random: init.random,
    trace: init.trace ?? null,
    term: stored.hardState.term,
    votedFor: stored.hardState.votedFor,
    log: new Log(stored),
    memberships: new MembershipHistory(
      snapshot?.membershipIndex ?? 0,
      snapshot?.membership ?? NOBODY,
    ),
    commitIndex: Math.max(stored.hardState.commitIndex, snapshotIndex, init.appliedIndex),
    appliedIndex: init.appliedIndex,
    role: 'follower',
    leader: null,
    electionElapsed: 0,
    electionTimeout: 0,
    heartbeatElapsed: 0,
    now: init.now ?? 0,
    heardAt: Number.NEGATIVE_INFINITY,
    votes: new Map(),
    peers: [],
    commitAtLastTurn: 0,
    termStart: 0,
    reads: { round: 0, waiting: [], pending: [], count: 0 },
    lease: { stamps: [], isGivenUp: false },
    doubtedRound: 0,
    transfer: null,
    removedAt: null,
    callers: new Map(),
    reach: { membership: NOBODY, others: '' },
    outbox: createOutbox(),
  }
}

/** The membership in effect: the newest in the log, committed or not (§6). */
export function membership(raft: RaftState): Membership {
  return raft.memberships.current
}

/** Where this node is found. It may lead until its own removal is committed, and needs answers. */
export function ownAddress(raft: RaftState): string {
  return raft.memberships.addressOf(raft.id) ?? ''
}

/** The shortest election timeout, in milliseconds. */
export function electionMs({ options }: RaftState): number {
  return options.electionTicks * options.tickMs
}

/** The newest round that a voter has answered. The leader follows itself. */
export function ackedRoundOf(raft: RaftState, id: NodeId): number {
  return id === raft.id ? raft.reads.round : (progressOf(raft, id)?.ackedRound ?? 0)
}

export function progressOf(raft: RaftState, id: NodeId): Progress | null {
  for (const peer of raft.peers) if (peer.id === id) return peer
  return null
}
