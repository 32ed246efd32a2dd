import type { PeerStatus } from '../protocol/progress.ts'
import type { Role } from '../trace.ts'
import type { LogIndex, Membership, NodeId, SnapshotMeta, Term } from '../types.ts'

export interface Waiting {
  /** Ends the wait with the signal's reason. It does not take back what was asked for. */
  readonly signal?: AbortSignal
}

/** What became of a command: where it stands in the one history, and what the state machine said. */
export interface Applied<Result> {
  readonly index: LogIndex
  readonly term: Term
  readonly result: Result
}

/** A running member of the cluster (§8). */
export interface RaftNode<Result = unknown> extends AsyncDisposable {
  readonly id: NodeId

  /**
   * Has a command committed by the cluster and applied here. Works on every node: a follower passes
   * it on to the leader. Without a leader it waits for one.
   *
   * Rejects with a {@link RaftError}: `PROPOSAL_DROPPED`, `PROPOSAL_TOO_LARGE` (it did not happen),
   * `OUTCOME_UNKNOWN`, `STOPPED` (perhaps it did), or with the signal's reason (perhaps it did).
   */
  propose(command: Uint8Array, options?: Waiting): Promise<Applied<Result>>

  /**
   * Resolves once everything that was acknowledged anywhere before the call is applied here, so
   * that reading the state machine now is linearizable (thesis 6.4). Works on every node.
   * Answers with the index that the state machine has reached at least.
   *
   * Rejects with `UNAVAILABLE` if no majority confirmed it in time, or `STOPPED`.
   */
  read(options?: Waiting): Promise<LogIndex>

  /**
   * Makes another voter the leader: `to`, or whoever is furthest (thesis 3.10). Only a leader can;
   * others reject with `NOT_LEADER`. Rejects with `UNAVAILABLE` if it took longer than an election
   * timeout, and then this node leads on.
   */
  transferLeadership(to?: NodeId, options?: Waiting): Promise<void>

  /** Takes a snapshot now and forgets the log that it covers. Answers with what it covers. */
  snapshot(options?: Waiting): Promise<SnapshotMeta>

  /** What this node knows at this moment, without asking anybody. */
  status(): NodeStatus

  /**
   * The status now and after every change of role, leader, term or membership. A slow reader skips
   * to the newest. Ends when the node stops.
   */
  watch(options?: Waiting): AsyncIterable<NodeStatus>

  /** Resolves when the node has stopped: with null after it was disposed, else with what stopped it. */
  readonly stopped: Promise<Error | null>
}

export interface NodeStatus {
  readonly id: NodeId
  readonly role: Role
  readonly term: Term
  readonly leader: NodeId | null
  /** The first and last entry in the log; `firstIndex` is one more than `lastIndex` if it is empty. */
  readonly firstIndex: LogIndex
  readonly lastIndex: LogIndex
  readonly commitIndex: LogIndex
  readonly appliedIndex: LogIndex
  readonly snapshotIndex: LogIndex
  readonly membership: Membership
  /** What a leader knows of each other node; empty on others. */
  readonly peers: readonly PeerStatus[]
}
