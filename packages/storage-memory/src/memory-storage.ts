import {
  type AppendBatch,
  type Entry,
  type HardState,
  INITIAL_HARD_STATE,
  LogOutline,
  type LogIndex,
  type Position,
  RaftError,
  type SnapshotMeta,
  type Storage,
  type Stored,
  type StoredSnapshot,
} from '@coracle/raft-core'

/** Memory in the place of a disk: it outlives the storages that are opened on it, one at a time. */
export interface MemoryDisk {
  /** Opens what the last storage left. Throws if that one was neither disposed nor cut off. */
  open(): Storage
  /**
   * Cuts the power: writes that were not synced are lost, and the storage that was open is dead.
   * Its calls under way never settle.
   */
  crash(): void
}

export interface MemoryDiskOptions {
  /**
   * Awaited before a write takes effect, as a real disk is: what a crash overtakes here is lost,
   * and what rejects here is how the write fails. Default: at once.
   */
  readonly sync?: () => Promise<void>
}

/** A storage for a node that may forget everything once it is disposed. */
export function memoryStorage(): Storage {
  return memoryDisk().open()
}

/** A disk in memory, for tests that reopen a storage or crash it. */
export function memoryDisk(options: MemoryDiskOptions = {}): MemoryDisk {
  const content = new Content()
  let current: MemoryStorage | null = null
  return {
    open() {
      if (current?.state === 'open') throw new Error('the disk is in use by another storage')
      current = new MemoryStorage(content, options.sync ?? null)
      return current
    },
    crash() {
      current?.crash()
    },
  }
}

/** What is on the disk. Everything in it is durable: a write that is not yet so has not touched it. */
class Content {
  hardState: HardState = INITIAL_HARD_STATE
  readonly outline: LogOutline = new LogOutline()
  snapshot: { readonly meta: SnapshotMeta; readonly chunks: readonly Uint8Array[] } | null = null
  /** The log, behind forgotten entries that have not been cut off yet. */
  readonly #entries: Entry[] = []
  /** The index of the first element of `#entries`. */
  #base: LogIndex = 1

  write(batch: AppendBatch): void {
    const { reset, entries, hardState } = batch
    this.outline.append(batch)
    if (reset !== null) {
      this.#entries.length = 0
      this.#base = reset.index + 1
    }
    const first = entries[0]
    if (first !== undefined) {
      this.#entries.length = first.index - this.#base
      for (const entry of entries) this.#entries.push(entry)
    }
    if (hardState !== null) this.hardState = hardState
  }

  read(from: LogIndex, to: LogIndex, maxBytes: number): readonly Entry[] {
    const start = from - this.#base
    let end = start
    for (let bytes = 0; end < to - this.#base; end++) {
      bytes += this.#entries[end]?.data.byteLength ?? 0
      if (bytes > maxBytes && end > start) break
    }
    return this.#entries.slice(start, end)
  }

  /**
   * Cutting the head off an array moves all that remains. Waiting until no more than that was
   * forgotten makes each forgotten entry pay for moving one, however long the log is.
   */
  forget(position: Position): void {
    this.outline.compact(position)
    const forgotten = this.outline.compacted.index + 1 - this.#base
    if (forgotten * 2 < this.#entries.length) return
    this.#entries.splice(0, forgotten)
    this.#base += forgotten
  }
}

class MemoryStorage implements Storage {
  state: 'open' | 'disposed' | 'crashed' = 'open'
  readonly #content: Content
  readonly #sync: (() => Promise<void>) | null
  #isLoaded = false
  /** What a snapshot gave before its chunks failed. */
  #unfinished: Uint8Array[] = []
  /** A compaction is written down with the next append, so that a crash before that undoes it. */
  #compaction: Position | null = null

  constructor(content: Content, sync: (() => Promise<void>) | null) {
    this.#content = content
    this.#sync = sync
  }

  async load(): Promise<Stored> {
    this.#checkOpen()
    if (this.#isLoaded) throw new TypeError('a storage is loaded only once')
    this.#isLoaded = true
    const { hardState, snapshot, outline } = this.#content
    return { hardState, snapshot: snapshot?.meta ?? null, ...outline.stored() }
  }

  async append(batch: AppendBatch): Promise<void> {
    this.#checkOpen()
    this.#forget()
    this.#content.outline.checkBatch(batch)
    await this.#synced()
    this.#content.write(batch)
  }

  async entries(
    from: LogIndex,
    to: LogIndex,
    { maxBytes }: { readonly maxBytes: number },
  ): Promise<readonly Entry[]> {
    this.#checkOpen()
    this.#content.outline.checkRange(from, to)
    if (this.#compaction !== null && from <= this.#compaction.index)
      throw new RaftError('COMPACTED', `entry ${from} was compacted`)
    return this.#content.read(from, to, maxBytes)
  }

  async compact(position: Position): Promise<void> {
    this.#checkOpen()
    this.#content.outline.checkCompaction(position)
    if (position.index > (this.#compaction?.index ?? 0)) this.#compaction = position
  }

  async writeSnapshot(
    meta: SnapshotMeta,
    chunks: AsyncIterable<Uint8Array>,
    { after = 0 }: { readonly after?: number } = {},
  ): Promise<void> {
    this.#checkOpen()
    const aside = bytesIn(this.#unfinished)
    if (after !== 0 && after !== aside)
      throw new RangeError(`${aside} bytes were set aside, not ${after}`)
    const kept = after === 0 ? [] : this.#unfinished
    this.#unfinished = kept
    for await (const chunk of chunks) kept.push(chunk)
    this.#unfinished = []
    await this.#synced()
    this.#content.snapshot = { meta, chunks: kept }
  }

  async dropUnfinished(): Promise<void> {
    this.#checkOpen()
    this.#unfinished = []
  }

  async readSnapshot(): Promise<StoredSnapshot | null> {
    this.#checkOpen()
    const { snapshot } = this.#content
    if (snapshot === null) return null
    const { meta, chunks } = snapshot
    return { meta, bytes: bytesIn(chunks), chunks: stream(chunks) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.state !== 'open') return
    this.#forget()
    this.state = 'disposed'
  }

  crash(): void {
    if (this.state === 'open') this.state = 'crashed'
  }

  /** Resolves when what is written next is durable; never, if a crash comes first. */
  async #synced(): Promise<void> {
    if (this.#sync !== null) await this.#sync()
    if (this.state === 'crashed') await new Promise<never>(() => {})
  }

  #forget(): void {
    if (this.#compaction !== null) this.#content.forget(this.#compaction)
    this.#compaction = null
  }

  #checkOpen(): void {
    if (this.state !== 'open') throw new RaftError('STOPPED', `the storage was ${this.state}`)
  }
}

function bytesIn(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((bytes, chunk) => bytes + chunk.byteLength, 0)
}

async function* stream(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}
