import type { HeldSnapshot, OpenSnapshot, SnapshotRest } from '../contracts/transport.ts'
import type { InstallSnapshot } from '../messages.ts'
import type { NodeOptions } from '../options.ts'
import type { Raft } from '../protocol/raft.ts'
import type { LogIndex, SnapshotMeta } from '../types.ts'
import type { SnapshotStore } from './snapshot-store.ts'
import {
  type Counter,
  isSame,
  NOTHING_HELD,
  rejectionOf,
  verified,
  watchFailure,
} from './snapshot-stream.ts'
import type { Ticking } from './ticking.ts'
import type { Turns } from './turns.ts'

/** Why a stream ended early: not this node's fault. */
export interface StreamFailure {
  readonly failure: unknown
}

/** Who takes a received snapshot over into the state machine. */
export interface Restorer {
  /** A snapshot that is stored is still to be taken over. */
  readonly isRestoring: boolean
  restoreUpTo(index: LogIndex): void
}

/** Stores and installs the snapshots that a leader sends (Fig. 13), one at a time. */
export class SnapshotReceiver {
  readonly #raft: Raft
  readonly #store: SnapshotStore
  readonly #restorer: Restorer
  readonly #options: Pick<NodeOptions, 'partialSnapshotTicks'>
  readonly #turns: Turns
  readonly #ticking: Ticking
  readonly #signal: AbortSignal
  /** Streams that are being received or wait for their turn. */
  #count = 0
  #last: Promise<unknown> = Promise.resolve()

  constructor(parts: {
    readonly raft: Raft
    readonly store: SnapshotStore
    readonly restorer: Restorer
    readonly options: Pick<NodeOptions, 'partialSnapshotTicks'>
    readonly turns: Turns
    readonly ticking: Ticking
    /** Aborted when the node stops. */
    readonly signal: AbortSignal
  }) {
    this.#raft = parts.raft
    this.#store = parts.store
    this.#restorer = parts.restorer
    this.#options = parts.options
    this.#turns = parts.turns
    this.#ticking = parts.ticking
    this.#signal = parts.signal
  }

  /** No snapshot of this node's own is taken meanwhile. */
  get isReceiving(): boolean {
    return this.#count > 0
  }

  /** A tick has passed: what arrived of a snapshot is dropped if nobody has gone on with it. */
  tick(): Promise<void> | null {
    const { unfinished, isWriting } = this.#store
    if (unfinished === null || isWriting || this.isReceiving) return null
    const isNeeded = unfinished.position.index > this.#raft.commitIndex
    return isNeeded && this.#ticking.now < unfinished.keptUntil ? null : this.#store.drop()
  }

  /**
   * Stores and installs a snapshot, unless the log here reaches as far by now, or the leader is none
   * any more. Answers with the failure of the stream, if that is what ended it: only the storage's own
   * failure is fatal.
   */
  async receive(message: InstallSnapshot, open: OpenSnapshot): Promise<StreamFailure | null> {
    this.#count += 1
    try {
      // A leader that starts again may do so before the stream it broke off has ended here.
      const receiving = this.#last.then(() => this.#receiveNext(message, open))
      this.#last = Promise.allSettled([receiving])
      return await receiving
    } finally {
      this.#count -= 1
    }
  }

  async #receiveNext(message: InstallSnapshot, open: OpenSnapshot): Promise<StreamFailure | null> {
    await this.#store.idle()
    // Until the state machine has read the snapshot that is stored now, no other may take its place:
    // it would be taken for the first, and what lies between the two applied twice.
    const { isWanted } = await this.#turns.eventually(() =>
      this.#restorer.isRestoring ? null : { isWanted: this.#raft.wantsSnapshot(message) },
    )
    if (!isWanted) return null
    const failure = await this.#write(message.meta, open)
    if (failure !== null) return failure
    await this.#turns.enter(() => {
      if (this.#raft.installSnapshot(message))
        this.#restorer.restoreUpTo(message.meta.position.index)
    })
    return null
  }

  /** Stores what the leader sends, behind what is here of the same snapshot. */
  async #write(meta: SnapshotMeta, open: OpenSnapshot): Promise<StreamFailure | null> {
    const held = this.#heldOf(meta)
    const rest = await this.#opened(open, held)
    if ('failure' in rest) return rest
    const { offset } = rest
    if (offset !== 0 && offset !== held.bytes)
      return {
        failure: new Error(`the stream starts at byte ${offset}, and ${held.bytes} are here`),
      }
    const counter: Counter = offset === 0 ? { ...NOTHING_HELD } : { ...held }
    const stream = watchFailure(verified(rest.chunks, counter), this.#signal)
    try {
      await this.#store.write(meta, stream.chunks, offset)
      return null
    } catch (failure) {
      if (!stream.hasFailed()) throw failure
      if (counter.bytes > 0) this.#keep(meta, counter)
      else await this.#store.drop()
      return { failure }
    }
  }

  #heldOf({ position }: SnapshotMeta): HeldSnapshot {
    const { unfinished } = this.#store
    if (unfinished === null || !isSame(unfinished.position, position)) return NOTHING_HELD
    return { bytes: unfinished.bytes, checksum: unfinished.checksum }
  }

  async #opened(open: OpenSnapshot, held: HeldSnapshot): Promise<SnapshotRest | StreamFailure> {
    const stopped = rejectionOf(this.#signal)
    try {
      return await Promise.race([open(held), stopped.rejection])
    } catch (failure) {
      return { failure }
    } finally {
      stopped.forget()
    }
  }

  #keep({ position }: SnapshotMeta, counter: Counter): void {
    const keptUntil = this.#ticking.now + this.#options.partialSnapshotTicks
    this.#store.keep({ position, keptUntil, ...counter })
  }
}
