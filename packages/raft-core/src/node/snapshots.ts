import type { StateMachine } from '../contracts/state-machine.ts'
import type { Storage } from '../contracts/storage.ts'
import type { OpenSnapshot, Transport } from '../contracts/transport.ts'
import type { Environment } from '../environment.ts'
import type { InstallSnapshot } from '../messages.ts'
import type { NodeOptions } from '../options.ts'
import type { Raft } from '../protocol/raft.ts'
import type { Trace } from '../trace.ts'
import type { LogIndex, NodeId, SnapshotMeta } from '../types.ts'
import type { Lifetime } from './lifetime.ts'
import type { Waiting } from './node.ts'
import { type Restorer, SnapshotReceiver } from './receive-snapshots.ts'
import { SnapshotSender } from './send-snapshots.ts'
import { SnapshotStore } from './snapshot-store.ts'
import type { SnapshotProgress } from './status.ts'
import { type AppliedState, SnapshotTaker } from './take-snapshots.ts'
import type { Ticking } from './ticking.ts'
import type { Turns } from './turns.ts'
import type { Writes } from './writes.ts'

/**
 * Snapshots of one node (§7): takes its own when the log has grown enough, sends the stored one to
 * followers that need entries long gone, and stores those that a leader sends. Only one is written
 * at a time.
 */
export class Snapshots {
  readonly #raft: Raft
  readonly #turns: Turns
  readonly #lifetime: Lifetime
  readonly #store: SnapshotStore
  readonly #sender: SnapshotSender
  readonly #receiver: SnapshotReceiver
  readonly #taker: SnapshotTaker

  constructor(parts: {
    readonly raft: Raft
    readonly storage: Storage
    readonly transport: Transport
    readonly stateMachine: StateMachine
    readonly environment: Environment
    readonly options: NodeOptions
    readonly trace: Trace | null
    readonly turns: Turns
    readonly ticking: Ticking
    readonly lifetime: Lifetime
    readonly writes: Writes
    readonly applier: Restorer & AppliedState
    /** What describes the newest stored snapshot. */
    readonly newest: SnapshotMeta | null
  }) {
    this.#raft = parts.raft
    this.#turns = parts.turns
    this.#lifetime = parts.lifetime
    const { signal } = parts.lifetime
    const store = new SnapshotStore(parts.storage, parts.newest)
    const sender = new SnapshotSender({ ...parts, store, signal })
    const receiver = new SnapshotReceiver({ ...parts, store, restorer: parts.applier, signal })
    this.#taker = new SnapshotTaker({ ...parts, store, sender, receiver })
    this.#store = store
    this.#sender = sender
    this.#receiver = receiver
  }

  /** What the newest stored snapshot covers. */
  get index(): LogIndex {
    return this.#store.index
  }

  /** How much of the snapshot on its way to this follower has left; null if none is. */
  sendingTo(to: NodeId): SnapshotProgress | null {
    return this.#sender.progressOf(to)
  }

  /** A tick has passed. */
  tick(): void {
    const dropping = this.#receiver.tick()
    if (dropping !== null) this.#lifetime.spawn(dropping)
  }

  takeIfDue(): void {
    this.#taker.takeIfDue()
  }

  takeSoon(waiting: Waiting): Promise<SnapshotMeta> {
    return this.#taker.takeSoon(waiting)
  }

  send(to: NodeId): void {
    this.#lifetime.spawn(this.#sender.send(to))
  }

  /** A peer has one to stream. Rejects if the stream broke; what else goes wrong is the node's end. */
  async receive(message: InstallSnapshot, open: OpenSnapshot): Promise<void> {
    const isWanted = await this.#turns.enter(() => {
      this.#raft.step(message)
      return this.#raft.wantsSnapshot(message)
    })
    if (!isWanted) return
    const receiving = this.#receiver.receive(message, open)
    this.#lifetime.spawn(receiving)
    const failed = await receiving
    if (failed !== null) throw failed.failure
  }
}
