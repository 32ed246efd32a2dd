import type { Storage } from '../contracts/storage.ts'
import type { HeldSnapshot, SnapshotRest, Transport } from '../contracts/transport.ts'
import type { InstallSnapshot } from '../messages.ts'
import type { NodeOptions } from '../options.ts'
import type { Raft } from '../protocol/raft.ts'
import type { NodeId, Position } from '../types.ts'
import type { SnapshotStore } from './snapshot-store.ts'
import {
  type Counter,
  isSame,
  NOTHING_HELD,
  sealed,
  skipHeld,
  watchFailure,
  type WatchedStream,
} from './snapshot-stream.ts'
import type { SnapshotProgress } from './status.ts'
import type { Ticking } from './ticking.ts'
import type { Turns } from './turns.ts'

/** A stream to a follower, and how far it has come. */
interface Sending extends Counter {
  readonly position: Position
  totalBytes: number
  /** What is read of it, once the follower has said what it holds. */
  source: Pick<WatchedStream, 'hasFailed' | 'close'>
  /** Nobody reads it any more. */
  isOver: boolean
}

const UNREAD: Sending['source'] = { hasFailed: () => false, close: () => {} }

/** Streams the stored snapshot to followers that need entries long gone (Fig. 13). */
export class SnapshotSender {
  readonly #raft: Raft
  readonly #storage: Storage
  readonly #transport: Transport
  readonly #store: SnapshotStore
  readonly #options: Pick<NodeOptions, 'electionTicks'>
  readonly #turns: Turns
  readonly #ticking: Ticking
  readonly #signal: AbortSignal
  readonly #sending = new Map<NodeId, Sending>()
  #patientUntil = 0

  constructor(parts: {
    readonly raft: Raft
    readonly storage: Storage
    readonly transport: Transport
    readonly store: SnapshotStore
    readonly options: Pick<NodeOptions, 'electionTicks'>
    readonly turns: Turns
    readonly ticking: Ticking
    /** Aborted when the node stops. */
    readonly signal: AbortSignal
  }) {
    this.#raft = parts.raft
    this.#storage = parts.storage
    this.#transport = parts.transport
    this.#store = parts.store
    this.#options = parts.options
    this.#turns = parts.turns
    this.#ticking = parts.ticking
    this.#signal = parts.signal
  }

  /** One is on its way, or broke off a moment ago and may go on. */
  get isNeeded(): boolean {
    return this.#sending.size > 0 || this.#ticking.now < this.#patientUntil
  }

  /** How much of the one on its way to this follower has left; null if none is. */
  progressOf(to: NodeId): SnapshotProgress | null {
    const sending = this.#sending.get(to)
    return sending === undefined
      ? null
      : { index: sending.position.index, sentBytes: sending.bytes, totalBytes: sending.totalBytes }
  }

  /** Sends the newest stored snapshot. Whatever becomes of it, the protocol is told. */
  async send(to: NodeId): Promise<void> {
    const meta = this.#store.newest
    const message = meta === null ? null : this.#raft.announceSnapshot(to, meta)
    const received = message !== null && (await this.#stream(message))
    await this.#turns.enter(() => {
      this.#patientUntil = this.#ticking.now + this.#options.electionTicks
      this.#raft.snapshotSent(to, received)
    })
  }

  /** Did the follower get all of it? A stored snapshot that cannot be read is fatal, as any such read. */
  async #stream(message: InstallSnapshot): Promise<boolean> {
    const { to, meta } = message
    const sending: Sending = {
      position: meta.position,
      totalBytes: 0,
      ...NOTHING_HELD,
      source: UNREAD,
      isOver: false,
    }
    this.#sending.set(to, sending)
    const open = (held: HeldSnapshot): Promise<SnapshotRest> => this.#open(sending, held)
    try {
      await this.#transport.sendSnapshot(message, open, { signal: this.#signal })
      return true
    } catch (error) {
      if (sending.source.hasFailed() && !this.#signal.aborted) throw error
      return false
    } finally {
      this.#sending.delete(to)
      // A stream may break before anybody reads what was opened for it, or while it is opened.
      sending.isOver = true
      sending.source.close()
    }
  }

  /** What the receiver does not hold yet: all of it, if it holds something else. */
  async #open(sending: Sending, held: HeldSnapshot): Promise<SnapshotRest> {
    if (held.bytes > 0) {
      const rest = await skipHeld(await this.#read(sending), held)
      if (rest !== null) {
        Object.assign(sending, held)
        return { offset: held.bytes, chunks: sealed(rest, sending) }
      }
    }
    return { offset: 0, chunks: sealed(await this.#read(sending), sending) }
  }

  async #read(sending: Sending): Promise<AsyncIterable<Uint8Array>> {
    const snapshot = await this.#storage.readSnapshot().catch((error: unknown) => {
      sending.source = { ...UNREAD, hasFailed: () => true }
      throw error
    })
    if (snapshot === null || !isSame(snapshot.meta.position, sending.position))
      throw new Error('the snapshot that was announced is not the newest any more')
    if (sending.isOver) throw new Error('the stream broke while the snapshot was opened')
    const source = watchFailure(snapshot.chunks, this.#signal)
    sending.source = source
    sending.totalBytes = snapshot.bytes
    return source.chunks
  }
}
