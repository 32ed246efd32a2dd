import type { Stored } from '../contracts/storage.ts'
import type { ProtocolOptions } from '../options.ts'
import type { Role, Trace } from '../trace.ts'
import type { LogIndex, Membership, NodeId, Position, Term } from '../types.ts'
import { Log } from './log.ts'
import { MembershipHistory, NOBODY } from './membership.ts'
import { createOutbox, type Outbox } from './outbox.ts'
import type { Progress } from './progress.ts'

/** Everything a server knows, in the order of Figure 2. Only the files of this folder write it. */
export interface RaftState {
  readonly id: NodeId
  readonly options: ProtocolOptions
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

  // Candidate variables.
  readonly votes: Map<NodeId, boolean>

  // Leader variables.
  peers: Progress[]
  /** Where this leader's term begins: nothing counts as committed by it before this is (§5.4.2). */
  termStart: LogIndex
  readonly reads: Reads
  /** Who is to lead next, while a transfer is under way (thesis 3.10). */
  transfer: { readonly to: NodeId; elapsed: number; asked: boolean } | null

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
  readonly trace?: Trace | null
}

export function createState(init: RaftInit): RaftState {
  const { stored } = init
  const snapshot = stored.snapshot
  const snapshotIndex = snapshot?.position.index ?? 0
  return {
    id: init.id,
    options: init.options,
    random: init.random,
    trace: init.trace ?? null,
    term: stored.hardState.term,
    votedFor: stored.hardState.votedFor,
    log: new Log(stored),
    memberships: new MembershipHistory(snapshotIndex, snapshot?.membership ?? NOBODY),
    commitIndex: Math.max(stored.hardState.commitIndex, snapshotIndex, init.appliedIndex),
    appliedIndex: init.appliedIndex,
    role: 'follower',
    leader: null,
    electionElapsed: 0,
    electionTimeout: 0,
    heartbeatElapsed: 0,
    votes: new Map(),
    peers: [],
    termStart: 0,
    reads: { round: 0, waiting: [], pending: [], count: 0 },
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

/** Where the log ends, as a vote request tells it (§5.4.1). */
export function lastLog(raft: RaftState): Position {
  return raft.log.last
}

export function progressOf(raft: RaftState, id: NodeId): Progress | null {
  for (const peer of raft.peers) if (peer.id === id) return peer
  return null
}
