import type {
  AppendBatch,
  Entry,
  LogIndex,
  Position,
  SnapshotMeta,
  Storage,
  Stored,
  StoredSnapshot,
} from '@coracle/raft-core'
import { isOfDisk } from './disk-content.ts'
import type { DiskHooks } from './parts.ts'
import type { WatchedDisk } from './watched-disk.ts'

/** A storage under test in one life of its node: what it is told is written down, and what it says compared. */
export class WatchedStorage implements Storage {
  readonly #disk: WatchedDisk
  readonly #inner: Storage
  readonly #hooks: DiskHooks
  #isCut = false
  #batch: AppendBatch | null = null
  #snapshot: SnapshotMeta | null = null
  #changes = 0

  constructor(disk: WatchedDisk, inner: Storage, hooks: DiskHooks) {
    this.#disk = disk
    this.#inner = inner
    this.#hooks = hooks
  }

  /** The power is cut: nobody hears of this storage again. Answers with what was under way. */
  cut(): { readonly batch: AppendBatch | null; readonly snapshot: SnapshotMeta | null } {
    this.#isCut = true
    return { batch: this.#batch, snapshot: this.#snapshot }
  }

  async load(): Promise<Stored> {
    await this.#take()
    const stored = await this.#unlessCut(this.#inner.load())
    this.#disk.settle(stored)
    return stored
  }

  async append(batch: AppendBatch): Promise<void> {
    this.#batch = batch
    this.#changes += 1
    await this.#mustWrite('append', this.#inner.append(batch))
    this.#batch = null
    this.#changes += 1
    this.#disk.ledger.write(batch)
    this.#hooks.persisted(batch)
    this.#disk.onDurable('batch')
    await this.#take()
  }

  async compact(position: Position): Promise<void> {
    this.#changes += 1
    await this.#mustWrite('compact', this.#inner.compact(position))
    this.#changes += 1
    this.#disk.ledger.compact(position)
    await this.#take()
  }

  async entries(
    from: LogIndex,
    to: LogIndex,
    options: { readonly maxBytes: number },
  ): Promise<readonly Entry[]> {
    const { ledger, breach } = this.#disk
    const changes = this.#changes
    // Beside a write, what was there before is as good as what is there after it.
    const before = [ledger.with(null, null), ledger.with(this.#batch, null)]
    try {
      const entries = await this.#unlessCut(this.#inner.entries(from, to, options))
      const isHeld = [...before, ledger, ledger.with(this.#batch, null)].some((some) =>
        some.holds(entries, { from, to }),
      )
      if (!isHeld && this.#changes - changes <= 2)
        breach(`its entries from ${from} to ${to - 1} are not those that it was told to keep`)
      await this.#take()
      return entries
    } catch (error) {
      if (!isOfDisk(error) && from > ledger.compactedIndex && to <= ledger.lastIndex + 1)
        breach(
          `it keeps the entries from ${from} to ${to - 1}, and does not find them: ${String(error)}`,
        )
      throw error
    }
  }

  async writeSnapshot(
    meta: SnapshotMeta,
    chunks: AsyncIterable<Uint8Array>,
    options?: { readonly after?: number },
  ): Promise<void> {
    this.#snapshot = meta
    try {
      await this.#unlessCut(this.#inner.writeSnapshot(meta, chunks, options))
    } catch (error) {
      this.#snapshot = null
      throw error
    }
    this.#snapshot = null
    this.#disk.ledger.snapshot = meta
    this.#disk.onDurable('snapshot')
    await this.#take()
  }

  async dropUnfinished(): Promise<void> {
    await this.#unlessCut(this.#inner.dropUnfinished())
  }

  async readSnapshot(): Promise<StoredSnapshot | null> {
    const stored = await this.#unlessCut(this.#inner.readSnapshot())
    await this.#take()
    return stored
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isCut) await this.#inner[Symbol.asyncDispose]()
  }

  async #take(): Promise<void> {
    await this.#unlessCut(this.#disk.clock.sleep(this.#disk.latency()))
  }

  /** A write may fail as its disk does, and for no other reason. */
  async #mustWrite(call: string, work: Promise<void>): Promise<void> {
    try {
      await this.#unlessCut(work)
    } catch (error) {
      if (!isOfDisk(error)) this.#disk.breach(`its ${call} failed: ${String(error)}`)
      throw error
    }
  }

  /** Who has lost its power hears nothing any more, neither good nor bad. */
  async #unlessCut<Value>(work: Promise<Value>): Promise<Value> {
    try {
      const value = await work
      if (!this.#isCut) return value
    } catch (error) {
      if (!this.#isCut) throw error
    }
    return new Promise<never>(() => {})
  }
}
