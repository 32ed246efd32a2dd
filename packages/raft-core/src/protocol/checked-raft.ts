import type { InstallSnapshot } from '../messages.ts'
import type { ProtocolOptions } from '../options.ts'
import type { Entry, LogIndex, MembershipChange, NodeId, Position, SnapshotMeta } from '../types.ts'
import { checkStart, checkState, checkStep, type Glance, glance } from './invariants.ts'
import {
  type Effects,
  type MembershipOutcome,
  type ProposeOutcome,
  type ProtocolMessage,
  Raft,
  type RaftInit,
  stateOf,
} from './raft.ts'

/**
 * The same protocol, which looks at itself after every input: is this a state that a server can be
 * in, and can it have come from the one before? If not, the input throws {@link InvariantError}.
 *
 * For tests and simulations: what is wrong is named where it began, not where it did harm.
 */
export class CheckedRaft extends Raft {
  #before: Glance

  constructor(init: RaftInit) {
    super(init)
    checkState(stateOf(this))
    checkStart(init.stored, stateOf(this))
    this.#before = glance(stateOf(this))
  }

  /** Looks at the state after an input, and answers with what the input did. */
  #checked<Answer>(answer: Answer): Answer {
    const state = stateOf(this)
    checkState(state)
    checkStep(this.#before, state)
    this.#before = glance(state)
    return answer
  }

  override clock(now: number): void {
    this.#checked(super.clock(now))
  }

  override tick(): void {
    this.#checked(super.tick())
  }

  override step(message: ProtocolMessage): void {
    this.#checked(super.step(message))
  }

  override peerUnreachable(id: NodeId): void {
    this.#checked(super.peerUnreachable(id))
  }

  override propose(commands: readonly Uint8Array[]): ProposeOutcome {
    return this.#checked(super.propose(commands))
  }

  override readIndex(id: number): void {
    this.#checked(super.readIndex(id))
  }

  override transferLeadership(to: NodeId | null): NodeId | null {
    return this.#checked(super.transferLeadership(to))
  }

  override changeMembership(
    changes: readonly MembershipChange[],
    expectedIndex: LogIndex | null,
  ): MembershipOutcome {
    return this.#checked(super.changeMembership(changes, expectedIndex))
  }

  override campaign(): void {
    this.#checked(super.campaign())
  }

  override forgetLeader(): boolean {
    return this.#checked(super.forgetLeader())
  }

  override reconfigure(options: ProtocolOptions): void {
    this.#checked(super.reconfigure(options))
  }

  override appendDone(): void {
    this.#checked(super.appendDone())
  }

  override applied(index: LogIndex): void {
    this.#checked(super.applied(index))
  }

  override entriesFetched(id: number, entries: readonly Entry[] | null): void {
    this.#checked(super.entriesFetched(id, entries))
  }

  override announceSnapshot(to: NodeId, meta: SnapshotMeta): InstallSnapshot | null {
    return this.#checked(super.announceSnapshot(to, meta))
  }

  override snapshotSent(to: NodeId, received: boolean): void {
    this.#checked(super.snapshotSent(to, received))
  }

  override wantsSnapshot(message: InstallSnapshot): boolean {
    return this.#checked(super.wantsSnapshot(message))
  }

  override installSnapshot(message: InstallSnapshot): boolean {
    return this.#checked(super.installSnapshot(message))
  }

  override compact(index: LogIndex): Position | null {
    return this.#checked(super.compact(index))
  }

  override effects(): Effects {
    return this.#checked(super.effects())
  }
}
