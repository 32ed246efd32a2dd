import type { StateMachine } from '../contracts/state-machine.ts'
import type { Environment } from '../environment.ts'
import { RaftError } from '../errors.ts'
import type { NodeOptions } from '../options.ts'
import type { Raft } from '../protocol/raft.ts'
import type { Trace } from '../trace.ts'
import type { LogIndex, SnapshotMeta } from '../types.ts'
import { AppliedSizes } from './applied-sizes.ts'
import type { Lifetime } from './lifetime.ts'
import type { Waiting } from './node.ts'
import type { SnapshotReceiver } from './receive-snapshots.ts'
import type { SnapshotSender } from './send-snapshots.ts'
import type { SnapshotStore } from './snapshot-store.ts'
import type { Turns } from './turns.ts'
import type { Writes } from './writes.ts'

/** How far the state has come. */
export interface AppliedState {
  /** The state machine is in the middle of nothing, and its state is the one it will go on from. */
  readonly isIdle: boolean
  /** Data of all commands applied since the node started. */
  readonly bytesApplied: number
}

/** Takes snapshots of this node's own state, and then forgets the log that they cover (§7). */
export class SnapshotTaker {
  readonly #raft: Raft
  readonly #stateMachine: StateMachine
  readonly #applier: AppliedState
  readonly #store: SnapshotStore
  readonly #sender: SnapshotSender
  readonly #receiver: SnapshotReceiver
  readonly #writes: Writes
  readonly #turns: Turns
  readonly #lifetime: Lifetime
  readonly #environment: Environment
  readonly #options: NodeOptions
  readonly #trace: Trace | null
  #bytesAppliedThen = 0
  #takenAtMs: number
  readonly #sizes: AppliedSizes

  constructor(parts: {
    readonly raft: Raft
    readonly stateMachine: StateMachine
    readonly applier: AppliedState
    readonly store: SnapshotStore
    readonly sender: SnapshotSender
    readonly receiver: SnapshotReceiver
    readonly writes: Writes
    readonly turns: Turns
    readonly lifetime: Lifetime
    readonly environment: Environment
    readonly options: NodeOptions
    readonly trace: Trace | null
  }) {
    this.#raft = parts.raft
    this.#stateMachine = parts.stateMachine
    this.#applier = parts.applier
    this.#store = parts.store
    this.#sender = parts.sender
    this.#receiver = parts.receiver
    this.#writes = parts.writes
    this.#turns = parts.turns
    this.#lifetime = parts.lifetime
    this.#environment = parts.environment
    this.#options = parts.options
    this.#trace = parts.trace
    this.#takenAtMs = parts.environment.now()
    this.#sizes = new AppliedSizes(parts.raft.appliedIndex)
  }

  /** Called in every turn. */
  takeIfDue(): void {
    this.#sizes.note(this.#applied, this.#options.keepBytes)
    if (this.#isDue()) this.#lifetime.spawn(this.#take())
  }

  /**
   * The newest one as soon as it covers all that is applied now; one is taken for that unless somebody
   * else's is enough, and waits until nothing else is done with the state, or with a snapshot.
   */
  async takeSoon({ signal }: Waiting): Promise<SnapshotMeta> {
    const { appliedIndex } = this.#raft
    const begun = await this.#turns.eventually(() => {
      if (appliedIndex === 0)
        throw new RaftError('UNAVAILABLE', 'there is nothing to take a snapshot of yet')
      const { newest } = this.#store
      if (newest !== null && newest.position.index >= appliedIndex)
        return { taking: Promise.resolve(newest) }
      if (!this.#canTake) return null
      const taking = this.#take()
      this.#lifetime.spawn(taking)
      // Wrapped, for a promise to be taken is not to be awaited here.
      return { taking }
    }, signal)
    // What fails here is the node's failure first, and the caller learns of that.
    return begun.taking.catch((error: unknown) => {
      throw error instanceof RaftError ? error : this.#lifetime.refusal()
    })
  }

  /** How far the state has come, and by how much. */
  get #applied(): { readonly index: LogIndex; readonly bytes: number } {
    return { index: this.#raft.appliedIndex, bytes: this.#applier.bytesApplied }
  }

  get #canTake(): boolean {
    return this.#applier.isIdle && !this.#store.isWriting && !this.#receiver.isReceiving
  }

  /**
   * Has enough been applied since the last snapshot, in entries or in bytes, or anything at all for
   * long enough? While one is on its way to a follower, or broke off a moment ago, the next is put off
   * until there is twice as much: it would make worthless what the follower holds already.
   */
  #isDue(): boolean {
    const entries = this.#raft.appliedIndex - this.#store.index
    if (entries <= 0 || !this.#canTake) return false
    const { snapshotEntries, snapshotBytes, snapshotAgeMs } = this.#options
    const patience = this.#sender.isNeeded ? 2 : 1
    const bytes = this.#applier.bytesApplied - this.#bytesAppliedThen
    const ageMs = this.#environment.now() - this.#takenAtMs
    return (
      entries >= patience * snapshotEntries ||
      bytes >= patience * snapshotBytes ||
      (snapshotAgeMs > 0 && ageMs >= patience * snapshotAgeMs)
    )
  }

  /**
   * Takes a snapshot of the state as it is at this moment; called in a turn of the loop, between
   * two calls to the state machine. Resolves when it is stored, and the log it covers is forgotten,
   * less a tail for followers that are a little behind.
   */
  async #take(): Promise<SnapshotMeta> {
    const { keepEntries, keepBytes } = this.#options
    const meta = this.#raft.snapshotMeta
    const cut = this.#sizes.cut(this.#applied, keepBytes)
    const chunks = this.#stateMachine.snapshot()
    this.#bytesAppliedThen = this.#applier.bytesApplied
    this.#takenAtMs = this.#environment.now()
    await this.#store.write(meta, chunks, 0)
    const { position } = meta
    this.#trace?.({ type: 'snapshot-taken', node: this.#raft.id, term: this.#raft.term, position })
    await this.#turns.enter(() => {
      const forgotten = this.#raft.compact(Math.max(position.index - keepEntries, cut))
      if (forgotten !== null) this.#writes.compact(forgotten)
    })
    return meta
  }
}
