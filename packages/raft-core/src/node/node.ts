import type { StateMachine } from '../contracts/state-machine.ts'
import type { Storage } from '../contracts/storage.ts'
import type { Transport } from '../contracts/transport.ts'
import { type Environment, systemEnvironment } from '../environment.ts'
import { type LiveOptions, type NodeOptions, resolveOptions } from '../options.ts'
import { CheckedRaft, Raft } from '../protocol/index.ts'
import type { Trace } from '../trace.ts'
import type {
  LogIndex,
  Membership,
  MembershipChange,
  NodeId,
  Peer,
  SnapshotMeta,
  Term,
} from '../types.ts'
import { restoreSnapshot } from './applier.ts'
import type { Consistency } from './consistency.ts'
import type { Replacement } from './replace-member.ts'
import { RunLoop } from './run-loop.ts'
import type { NodeStatus } from './status.ts'

export interface Waiting {
  /** Ends the wait with the signal's reason. It does not take back what was asked for. */
  readonly signal?: AbortSignal
}

export interface ReadOptions extends Waiting {
  /** What the read must see. Default `linearizable`. */
  readonly consistency?: Consistency
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
   * that reading the state machine now is linearizable (thesis 6.4). Works on every node. A read may
   * ask for less, and wait less: see {@link Consistency}.
   * Answers with the index that the state machine has reached at least.
   *
   * Rejects with `UNAVAILABLE` if no majority confirmed it in time, or this node did not apply enough
   * in time; with `STOPPED`; or with a RangeError if `consistency` makes no sense.
   */
  read(options?: ReadOptions): Promise<LogIndex>

  /**
   * Makes another voter the leader: `to`, or whoever is furthest (thesis 3.10), and resolves when that
   * one leads. Only a leader can; others reject with `NOT_LEADER`. Rejects with `UNAVAILABLE` if it took
   * longer than an election timeout, and then this node leads on; or if leadership was lost meanwhile,
   * to another than `to`, or to nobody within `requestTimeoutTicks`.
   */
  transferLeadership(to?: NodeId, options?: Waiting): Promise<void>

  /**
   * Makes a follower vote as if it had not heard from its leader, for whoever knows that the leader is
   * gone: an election need not wait then until a majority has noticed by itself. Its term stays, and if
   * the leader speaks again, it follows. Answers whether there was a leader to forget: a leader forgets
   * nobody. Rejects with a TypeError if `reads` is `lease`, for then a leader counts on being followed.
   */
  forgetLeader(options?: Waiting): Promise<boolean>

  /**
   * Changes options while the node runs, at once: all but `preVote`, `checkQuorum` and `reads`; and
   * with leases, but those that leases are measured by. What waits already keeps its deadline. Answers
   * with all options as they are then. Rejects with a RangeError that names the option, like a start
   * would, and changes nothing.
   */
  reconfigure(changes: Partial<LiveOptions>, options?: Waiting): Promise<NodeOptions>

  /**
   * Changes who takes part: all steps together, by way of joint consensus if they concern more than
   * one voter (§6). Resolves with the new membership once it is committed and joint no longer. Only
   * a leader can, once it has committed something by itself: a `read` waits for that. `expectedIndex` is
   * the `membershipIndex` that the caller has seen, and guards against another change in between.
   *
   * Rejects with `NOT_LEADER`, `MEMBERSHIP_CHANGE_PENDING`, `MEMBERSHIP_CHANGE_REFUSED` (it did not
   * happen), `OUTCOME_UNKNOWN` (leadership changed, or it took longer than `requestTimeoutTicks`) or
   * `STOPPED`: perhaps it did, or will.
   */
  changeMembership(
    changes: readonly MembershipChange[],
    options?: Waiting & { readonly expectedIndex?: LogIndex },
  ): Promise<Membership>

  /**
   * Replaces one member by another that has an empty storage: adds it as a learner, waits until its
   * log is there, and gives it the old one's vote in one joint change, so that there is never one
   * vote less. Only a leader can. If the wait ends early, what was done stays done, and asking again
   * goes on from there. Rejects as `changeMembership` does, and with `OUTCOME_UNKNOWN` if the new member
   * was not heard from for `requestTimeoutTicks`.
   */
  replaceMember(replacement: Replacement, options?: Waiting): Promise<Membership>

  /**
   * Takes a snapshot now and forgets the log that it covers. Answers with what it covers: all that is
   * applied when it is asked for, and if the newest one does so already, with that.
   */
  snapshot(options?: Waiting): Promise<SnapshotMeta>

  /** What this node knows at this moment, without asking anybody. */
  status(): NodeStatus

  /**
   * The status now and after every change of role, leader, term or membership. A slow reader skips
   * to the newest. Ends when the node stops; for a node that was removed, with a status that says so.
   */
  watch(options?: Waiting): AsyncIterable<NodeStatus>

  /**
   * Resolves when the node has stopped: with null after it was disposed, with a {@link RaftError} of
   * code `REMOVED` once the cluster has removed it, else with what went wrong.
   */
  readonly stopped: Promise<Error | null>
}

export interface StartOptions<Result> extends Partial<NodeOptions> {
  readonly id: NodeId
  readonly storage: Storage
  readonly transport: Transport
  readonly stateMachine: StateMachine<Result>
  /**
   * Who founds the cluster. Every founder must be given the same; it is used only if the storage is
   * empty, and left out by a node that waits to be added to a cluster that runs already.
   */
  readonly membership?: Membership
  /** Where members are found, for a node that waits to be added and knows nobody yet. */
  readonly contacts?: readonly Peer[]
  /** Time, chance and scheduling. Default: the system's. */
  readonly environment?: Environment
  readonly trace?: Trace
  /**
   * Looks at the protocol's state after whatever happens, and stops the node where it is one that Raft
   * does not allow: `stopped` then tells the {@link InvariantError}. For tests, since it costs time with
   * every message. Default false.
   */
  readonly checkInvariants?: boolean
}

/**
 * Starts one member of a cluster from the parts it is made of, taking up where its storage left off.
 * Resolves when the node can be reached by its peers; it need not know a leader yet.
 *
 * Whoever made the parts disposes them, after the node. Rejects if the storage cannot be read, or
 * contradicts itself, or the transport cannot start; throws a RangeError for a bad option.
 *
 * @example
 * await using node = await startNode({
 *   id: 'a',
 *   membership: bootstrapMembership([{ id: 'a', address: '' }]),
 *   storage: memoryStorage(),
 *   transport: memoryNetwork().transport('a'),
 *   stateMachine: counter(),
 * })
 * const { result } = await node.propose(increment)
 */
export async function startNode<Result>(parts: StartOptions<Result>): Promise<RaftNode<Result>> {
  const { id, storage, transport, stateMachine } = parts
  const options = resolveOptions(parts)
  const environment = parts.environment ?? systemEnvironment()
  const trace = parts.trace ?? null
  const stored = await storage.load()
  const snapshotIndex = stored.snapshot?.position.index ?? 0
  const isAhead = stateMachine.durableIndex >= snapshotIndex
  if (!isAhead) await restoreSnapshot(storage, stateMachine)
  const Protocol = parts.checkInvariants === true ? CheckedRaft : Raft
  const raft = new Protocol({
    id,
    options,
    stored,
    bootstrap: parts.membership ?? null,
    appliedIndex: isAhead ? stateMachine.durableIndex : snapshotIndex,
    random: () => environment.random(),
    now: environment.now(),
    trace,
  })
  const loop = new RunLoop({
    raft,
    storage,
    transport,
    stateMachine,
    environment,
    options,
    trace,
    snapshot: stored.snapshot,
    contacts: parts.contacts ?? [],
  })
  await loop.start()
  return {
    id,
    propose: (command, waiting = {}) => loop.propose(command, waiting),
    read: (waiting = {}) => loop.read(waiting),
    forgetLeader: (waiting = {}) => loop.operations.forgetLeader(waiting),
    reconfigure: (changes, waiting = {}) => loop.operations.reconfigure(changes, waiting),
    transferLeadership: (to, waiting = {}) =>
      loop.operations.transferLeadership(to ?? null, waiting),
    changeMembership: (changes, waiting = {}) => loop.operations.changeMembership(changes, waiting),
    replaceMember: (replacement, waiting = {}) =>
      loop.operations.replaceMember(replacement, waiting),
    snapshot: (waiting = {}) => loop.snapshot(waiting),
    status: () => loop.status(),
    watch: (waiting = {}) => loop.watch(waiting),
    stopped: loop.lifetime.stopped,
    [Symbol.asyncDispose]: () => loop.stop(),
  }
}
