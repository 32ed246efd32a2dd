import { assert } from '../errors.ts'
import type { InstallSnapshot } from '../messages.ts'
import type { ProtocolOptions } from '../options.ts'
import type { Role } from '../trace.ts'
import type {
  Entry,
  LogIndex,
  Membership,
  MembershipChange,
  NodeId,
  Position,
  SnapshotMeta,
  Term,
} from '../types.ts'
import { advanceCommitIndex, tellCommitted } from './commit.ts'
import { type Effects, finishWrite, takeEffects } from './effects.ts'
import { broadcastHeartbeat } from './heartbeat.ts'
import {
  announceSnapshot,
  forgettable,
  handleSnapshotSent,
  installSnapshot,
  wantsSnapshot,
} from './install-snapshot.ts'
import { owesLease } from './lease.ts'
import {
  changeMembership,
  continueChange,
  hasCaughtUp,
  type MembershipOutcome,
} from './membership-change.ts'
import { becomeProbe, type PeerStatus, statusOf } from './progress.ts'
import { propose, type ProposeOutcome } from './propose.ts'
import { isOnlyVoter } from './quorum.ts'
import { requestRead, startReadRound } from './read-index.ts'
import { noticeRemoval, takeReach, tickCallers } from './removal.ts'
import { handleFetched, replicate } from './replicate.ts'
import { campaign, countOwnVote, forgetLeader, mayCampaign } from './request-vote.ts'
import { restart } from './restart.ts'
import { drawElectionTimeout, restartElectionTimer } from './roles.ts'
import { passTime, resumeWriting } from './stalled-leader.ts'
import { createState, membership, progressOf, type RaftInit, type RaftState } from './state.ts'
import { type ProtocolMessage, step } from './step.ts'
import { tick } from './tick.ts'
import { startTransfer } from './transfer.ts'

export type { Effects, FetchWork, ReadOutcome } from './effects.ts'
export type { MembershipOutcome } from './membership-change.ts'
export type { PeerStatus } from './progress.ts'
export type { ProposeOutcome } from './propose.ts'
export type { RaftInit } from './state.ts'
export type { ProtocolMessage } from './step.ts'

let readState: (raft: Raft) => RaftState

/**
 * The state behind a protocol, for tests and checks of invariants: to be read, never written.
 *
 * @internal
 */
export function stateOf(raft: Raft): RaftState {
  return readState(raft)
}

/**
 * The protocol of one node: inputs in, effects out. No clock, no chance, no promise, no I/O.
 *
 * Whoever drives it calls the inputs in any order, then takes `effects()`, carries them out, and
 * reports what is done by further inputs. Inputs never throw for what a peer sent; they throw
 * {@link InvariantError} when this node itself can no longer be right, and then it must stop.
 */
export class Raft {
  readonly #raft: RaftState

  static {
    readState = (raft) => raft.#raft
  }

  constructor(init: RaftInit) {
    if (init.options.reads === 'lease' && init.now === undefined)
      throw new RangeError('leases need a clock: tell the time at the start, and ever after')
    this.#raft = createState(init)
    restart(this.#raft, init)
    restartElectionTimer(this.#raft)
    // Whoever decides alone need not wait to see whether anybody else does.
    if (isOnlyVoter(membership(this.#raft), init.id)) campaignNow(this.#raft)
  }

  // Inputs: the world.

  /** What the monotonic clock says, in milliseconds. Leases and pauses are measured by it. */
  clock(now: number): void {
    passTime(this.#raft, now)
  }

  /** One tick of time has passed. */
  tick(): void {
    tickCallers(this.#raft)
    for (const peer of this.#raft.peers) peer.silentTicks += 1
    tick(this.#raft)
  }

  /** A message has arrived. */
  step(message: ProtocolMessage): void {
    step(this.#raft, message)
  }

  /** Messages to this peer are being lost: go back to asking where it stands. */
  peerUnreachable(id: NodeId): void {
    const peer = progressOf(this.#raft, id)
    if (peer?.state === 'replicate') becomeProbe(peer, peer.matchIndex + 1)
  }

  // Inputs: the application.

  /** Appends commands to a leader's log, as many as the quota allows. */
  propose(commands: readonly Uint8Array[]): ProposeOutcome {
    return propose(this.#raft, commands)
  }

  /** Asks from which index on a read that starts now is linearizable. The answer is an effect. */
  readIndex(id: number): void {
    requestRead(this.#raft, id)
  }

  /** Hands leadership over. Answers with the heir, or null if there is none. */
  transferLeadership(to: NodeId | null): NodeId | null {
    return startTransfer(this.#raft, to)
  }

  /**
   * Changes who takes part. `expectedIndex` is the index of the membership that the caller has seen,
   * so that two who change it at once do not undo each other's work; null for whichever it is.
   */
  changeMembership(
    changes: readonly MembershipChange[],
    expectedIndex: LogIndex | null,
  ): MembershipOutcome {
    return changeMembership(this.#raft, changes, expectedIndex)
  }

  /** Starts an election now, if this node has a vote and does not lead. */
  campaign(): void {
    campaignNow(this.#raft)
  }

  /** Follows its leader no longer, and votes again. Answers whether there was one to forget. */
  forgetLeader(): boolean {
    return forgetLeader(this.#raft)
  }

  /** Goes on with other options, which `resolveOptions` or `changeOptions` has checked. */
  reconfigure(options: ProtocolOptions): void {
    const raft = this.#raft
    raft.options = options
    drawElectionTimeout(raft)
    for (const peer of raft.peers) peer.inflight.resize(options.maxInflightMessages)
  }

  // Inputs: what was asked for is done.

  /** The write is durable. */
  appendDone(): void {
    const raft = this.#raft
    const written = finishWrite(raft)
    resumeWriting(raft)
    raft.log.evict(raft.commitIndex, raft.options.maxWindowBytes)
    if (raft.role === 'leader') advanceCommitIndex(raft)
    const isOwnVote = written.term === raft.term && written.votedFor === raft.id
    if (raft.role === 'candidate' && isOwnVote) countOwnVote(raft)
  }

  /** The state machine has applied everything up to `index`. */
  applied(index: LogIndex): void {
    const raft = this.#raft
    assert(index <= raft.commitIndex, 'only what is committed is applied')
    assert(index >= raft.appliedIndex, 'what is applied stays applied')
    raft.appliedIndex = index
    raft.memberships.forgetBefore(index)
    noticeRemoval(raft)
    raft.log.evict(raft.commitIndex, raft.options.maxWindowBytes)
  }

  /** The entries of a fetch, or null if the storage no longer has them. */
  entriesFetched(id: number, entries: readonly Entry[] | null): void {
    handleFetched(this.#raft, id, entries)
  }

  /** The message that opens a snapshot's stream, or null if the follower needs it no longer. */
  announceSnapshot(to: NodeId, meta: SnapshotMeta): InstallSnapshot | null {
    return announceSnapshot(this.#raft, to, meta)
  }

  snapshotSent(to: NodeId, received: boolean): void {
    handleSnapshotSent(this.#raft, to, received)
  }

  /** After `step`: is the announced snapshot to be stored and then passed to `installSnapshot`? */
  wantsSnapshot(message: InstallSnapshot): boolean {
    return wantsSnapshot(this.#raft, message)
  }

  /** The snapshot is stored. Answers whether the state machine must be restored from it. */
  installSnapshot(message: InstallSnapshot): boolean {
    return installSnapshot(this.#raft, message)
  }

  /**
   * Forgets the log up to `index`, less what a snapshot's receiver will need. Answers with the
   * position up to which the storage is to forget it, or null if there is nothing to forget.
   */
  compact(index: LogIndex): Position | null {
    const { log } = this.#raft
    const upTo = Math.min(index, this.#raft.appliedIndex, forgettable(this.#raft))
    return upTo > log.compacted.index ? log.compact(upTo) : null
  }

  // Outputs.

  /** Everything that is to be done now. A leader first sends its followers what they are due. */
  effects(): Effects {
    const raft = this.#raft
    if (raft.role === 'leader') continueChange(raft)
    let more = false
    if (raft.role === 'leader') {
      if (startReadRound(raft)) broadcastHeartbeat(raft)
      for (const peer of raft.peers) replicate(raft, peer)
      more = tellCommitted(raft)
    }
    return takeEffects(raft, { peers: takeReach(raft), more })
  }

  /**
   * Committed entries from `from` on that may be applied: they are on this node's own disk too, so
   * no state is ever ahead of the log it came from. Null if they must be read from the storage.
   */
  committedEntries(from: LogIndex, maxBytes: number): readonly Entry[] | null {
    const { log } = this.#raft
    return from < log.windowStart ? null : log.slice(from, this.applicableIndex + 1, maxBytes)
  }

  /** The last index that may be applied. */
  get applicableIndex(): LogIndex {
    return Math.min(this.#raft.commitIndex, this.#raft.log.stableIndex)
  }

  get id(): NodeId {
    return this.#raft.id
  }

  get role(): Role {
    return this.#raft.role
  }

  get term(): Term {
    return this.#raft.term
  }

  get leader(): NodeId | null {
    return this.#raft.leader
  }

  get commitIndex(): LogIndex {
    return this.#raft.commitIndex
  }

  get appliedIndex(): LogIndex {
    return this.#raft.appliedIndex
  }

  get firstIndex(): LogIndex {
    return this.#raft.log.firstIndex
  }

  get lastIndex(): LogIndex {
    return this.#raft.log.lastIndex
  }

  get durableIndex(): LogIndex {
    return this.#raft.log.stableIndex
  }

  /** Is a leadership transfer under way? Proposals are refused meanwhile. */
  get transferring(): boolean {
    return this.#raft.transfer !== null
  }

  /** The cluster goes on without this node, which has nothing more to do. */
  get isRemoved(): boolean {
    return this.#raft.removedAt !== null && this.#raft.role !== 'leader'
  }

  get membership(): Membership {
    return membership(this.#raft)
  }

  /** Where the membership in effect stands in the log. */
  get membershipIndex(): LogIndex {
    return this.#raft.memberships.currentIndex
  }

  /** The term of an entry of the log, as far as the log reaches. */
  termAt(index: LogIndex): Term {
    return this.#raft.log.termAt(index)
  }

  /** What a snapshot taken now would cover. */
  get snapshotMeta(): SnapshotMeta {
    const raft = this.#raft
    const index = raft.appliedIndex
    return {
      position: { term: raft.log.termAt(index), index },
      membership: raft.memberships.oldest,
      membershipIndex: raft.memberships.oldestIndex,
    }
  }

  /** Does anybody wait for the entries of this fetch? Nobody does once this node leads no more. */
  awaitsFetch(id: number): boolean {
    return this.#raft.peers.some((peer) => peer.fetching === id)
  }

  /** Is this peer's log close enough to the leader's to be promoted? */
  hasCaughtUp(id: NodeId): boolean {
    return hasCaughtUp(this.#raft, id)
  }

  get peers(): readonly PeerStatus[] {
    const current = membership(this.#raft)
    return this.#raft.peers.map((peer) => statusOf(peer, current))
  }
}

function campaignNow(raft: RaftState): void {
  if (raft.role !== 'leader' && mayCampaign(raft) && !owesLease(raft)) campaign(raft)
}
