import type { Storage } from '../contracts/storage.ts'
import type { LogIndex, Position, SnapshotMeta } from '../types.ts'
import type { Counter } from './snapshot-stream.ts'

/** The first part of a snapshot whose stream broke: the storage keeps it, for the leader to go on. */
export interface Unfinished extends Readonly<Counter> {
  readonly position: Position
  /** The tick at which it is dropped. */
  readonly keptUntil: number
}

/** The snapshots in the storage of one node, which does one thing with them at a time (§7). */
export class SnapshotStore {
  readonly #storage: Storage
  #newest: SnapshotMeta | null
  #unfinished: Unfinished | null = null
  /** What is under way. It never rejects. */
  #writing: Promise<unknown> | null = null

  constructor(storage: Storage, newest: SnapshotMeta | null) {
    this.#storage = storage
    this.#newest = newest
  }

  /** What describes the newest one. */
  get newest(): SnapshotMeta | null {
    return this.#newest
  }

  /** What the newest one covers. */
  get index(): LogIndex {
    return this.#newest?.position.index ?? 0
  }

  get unfinished(): Unfinished | null {
    return this.#unfinished
  }

  get isWriting(): boolean {
    return this.#writing !== null
  }

  /** Resolves when what is under way has ended, well or not. */
  async idle(): Promise<void> {
    await this.#writing
  }

  /** Stores one behind the first `after` bytes of it that are here. What else is unfinished is gone. */
  async write(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>, after: number): Promise<void> {
    this.#unfinished = null
    await this.#exclusively(this.#storage.writeSnapshot(meta, chunks, { after }))
    this.#newest = meta
  }

  /** What came before the failure of the last write is of use. */
  keep(unfinished: Unfinished): void {
    this.#unfinished = unfinished
  }

  /** It is of none. */
  drop(): Promise<void> {
    this.#unfinished = null
    return this.#exclusively(this.#storage.dropUnfinished())
  }

  async #exclusively(work: Promise<void>): Promise<void> {
    this.#writing = Promise.allSettled([work])
    try {
      await work
    } finally {
      this.#writing = null
    }
  }
}
