import {
  type AppendBatch,
  assert,
  type Entry,
  type HardState,
  INITIAL_HARD_STATE,
  LogOutline,
  type LogIndex,
  type NodeId,
  type Position,
  RaftError,
  type SnapshotMeta,
  type Storage,
  type Stored,
  type StoredSnapshot,
  type Term,
} from '@coracle/raft-core'
import type { DiskView } from './observer.ts'
import type { Random } from './random.ts'
import type { VirtualClock } from './virtual-clock.ts'

/** How a disk behaves. Probabilities are per write. */
export interface DiskWeather {
  readonly meanLatencyMs: number
  readonly stallProbability: number
  readonly stallMs: number
  readonly failureProbability: number
}

/** The disk did what it was told to: fail. */
export class DiskFailure extends Error {
  override readonly name = 'DiskFailure'
}

type Snapshot = { readonly meta: SnapshotMeta; readonly chunks: readonly Uint8Array[] }

/**
 * A disk on virtual time. It keeps to the letter of the storage's contract and no more: whatever
 * the contract leaves open, chance decides. A write becomes durable at some moment between its call
 * and its answer, and a crash before that moment leaves nothing of it.
 */
export class VirtualDisk implements DiskView {
  weather: DiskWeather
  /** Called at the very moment when something has become durable. */
  onDurable: (what: 'batch' | 'snapshot') => void = () => {}
  readonly #clock: VirtualClock
  readonly #random: Random
  readonly #content = new Content()
  #session: Session | null = null

  constructor(clock: VirtualClock, random: Random, weather: DiskWeather) {
    this.#clock = clock
    this.#random = random
    this.weather = weather
  }

  /** `persisted` is called when a write has become durable. */
  open(persisted: (batch: AppendBatch) => void): Storage {
    this.crash()
    const session = new Session(this, this.#content, this.#clock, this.#random, persisted)
    this.#session = session
    return session
  }

  /** Writes that were not durable are lost; whoever used the disk never hears of it again. */
  crash(): void {
    this.#session?.cut()
    this.#session = null
  }

  get term(): Term {
    return this.#content.hardState.term
  }

  get votedFor(): NodeId | null {
    return this.#content.hardState.votedFor
  }

  get lastIndex(): LogIndex {
    return this.#content.outline.lastIndex
  }

  get compactedIndex(): LogIndex {
    return this.#content.outline.compacted.index
  }

  get snapshotIndex(): LogIndex {
    return this.#content.snapshot?.meta.position.index ?? 0
  }

  termAt(index: LogIndex): Term | null {
    const { outline } = this.#content
    if (index <= outline.compacted.index || index > outline.lastIndex) return null
    return outline.termAt(index) ?? null
  }

  entryAt(index: LogIndex): Entry | null {
    return this.#content.entryAt(index)
  }
}

/** What is durable. */
class Content {
  hardState: HardState = INITIAL_HARD_STATE
  readonly outline = new LogOutline()
  snapshot: Snapshot | null = null
  /** The entries after `outline.compacted`. */
  #entries: Entry[] = []

  write(batch: AppendBatch): void {
    const { reset, entries, hardState } = batch
    this.outline.append(batch)
    if (reset !== null) this.#entries = []
    const [first] = entries
    if (first !== undefined) {
      this.#entries.length = first.index - 1 - this.outline.compacted.index
      this.#entries.push(...entries)
    }
    if (hardState !== null) this.hardState = hardState
  }

  entryAt(index: LogIndex): Entry | null {
    return this.#entries[index - 1 - this.outline.compacted.index] ?? null
  }

  read(from: LogIndex, to: LogIndex, maxBytes: number): readonly Entry[] {
    const taken: Entry[] = []
    let bytes = 0
    for (let index = from; index < to; index++) {
      const entry = this.entryAt(index) as Entry
      bytes += entry.data.length
      if (bytes > maxBytes && taken.length > 0) break
      taken.push(entry)
    }
    return taken
  }

  forget(position: Position): void {
    const count = position.index - this.outline.compacted.index
    if (count <= 0) return
    this.outline.compact(position)
    this.#entries.splice(0, count)
  }
}

/** What one life of a node sees of the disk. */
class Session implements Storage {
  readonly #disk: VirtualDisk
  readonly #content: Content
  readonly #clock: VirtualClock
  readonly #random: Random
  readonly #persisted: (batch: AppendBatch) => void
  #isCut = false
  #isLoaded = false
  /** Forgotten, but a crash before the next write brings some of it back. */
  #forgotten: Position | null = null
  #isLogBusy = false
  #isSnapshotBusy = false

  constructor(
    disk: VirtualDisk,
    content: Content,
    clock: VirtualClock,
    random: Random,
    persisted: (batch: AppendBatch) => void,
  ) {
    this.#disk = disk
    this.#content = content
    this.#clock = clock
    this.#random = random
    this.#persisted = persisted
  }

  cut(): void {
    this.#isCut = true
    const { outline } = this.#content
    if (this.#forgotten === null || this.#forgotten.index <= outline.compacted.index) return
    const index = this.#random.whole(outline.compacted.index, this.#forgotten.index)
    const term = outline.termAt(index)
    if (term !== undefined && index > outline.compacted.index) this.#content.forget({ term, index })
  }

  async load(): Promise<Stored> {
    assert(!this.#isLoaded, 'a storage is loaded only once')
    this.#isLoaded = true
    await this.#take(this.#latency())
    const { hardState, snapshot, outline } = this.#content
    return { hardState, snapshot: snapshot?.meta ?? null, ...outline.stored() }
  }

  async append(batch: AppendBatch): Promise<void> {
    assert(!this.#isLogBusy, 'the storage has one append or compact under way at a time')
    this.#content.outline.checkBatch(batch)
    this.#isLogBusy = true
    await this.#write(() => {
      if (this.#forgotten !== null) this.#content.forget(this.#forgotten)
      this.#forgotten = null
      this.#content.write(batch)
      this.#persisted(batch)
      this.#disk.onDurable('batch')
    })
    this.#isLogBusy = false
  }

  async compact(position: Position): Promise<void> {
    assert(!this.#isLogBusy, 'the storage has one append or compact under way at a time')
    assert(
      position.index <= this.#disk.snapshotIndex,
      'the storage forgets only what the newest snapshot covers',
    )
    this.#content.outline.checkCompaction(position)
    this.#isLogBusy = true
    await this.#take(this.#latency())
    if (position.index > (this.#forgotten?.index ?? 0)) this.#forgotten = position
    this.#isLogBusy = false
  }

  /** Beside a write, the answer may be the one from before or the one from after it. */
  async entries(
    from: LogIndex,
    to: LogIndex,
    { maxBytes }: { readonly maxBytes: number },
  ): Promise<readonly Entry[]> {
    const read = (): readonly Entry[] => {
      if (this.#forgotten !== null && from <= this.#forgotten.index)
        throw new RaftError('COMPACTED', `entry ${from} was compacted`)
      this.#content.outline.checkRange(from, to)
      return this.#content.read(from, to, maxBytes)
    }
    return this.#beforeOrAfter(read)
  }

  async writeSnapshot(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    assert(!this.#isSnapshotBusy, 'the storage writes one snapshot at a time')
    this.#isSnapshotBusy = true
    try {
      const kept: Uint8Array[] = []
      for await (const chunk of chunks) {
        await this.#take(this.#random.exponential(this.#disk.weather.meanLatencyMs / 4))
        kept.push(chunk)
      }
      await this.#write(() => {
        this.#content.snapshot = { meta, chunks: kept }
        this.#disk.onDurable('snapshot')
      })
    } finally {
      this.#isSnapshotBusy = false
    }
  }

  async readSnapshot(): Promise<StoredSnapshot | null> {
    const snapshot = await this.#beforeOrAfter(() => this.#content.snapshot)
    return snapshot && { meta: snapshot.meta, chunks: this.#readChunks(snapshot.chunks) }
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async *#readChunks(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
    for (const chunk of chunks) {
      await this.#take(this.#random.exponential(this.#disk.weather.meanLatencyMs / 4))
      const cut = this.#random.whole(0, chunk.length)
      if (cut > 0) yield chunk.subarray(0, cut)
      if (cut < chunk.length) yield chunk.subarray(cut)
    }
  }

  /** Writes at a moment of its choice, and answers later; or fails, and nobody knows if it wrote. */
  async #write(change: () => void): Promise<void> {
    const latency = this.#latency()
    const moment = this.#random.next() * latency
    const fails = this.#random.chance(this.#disk.weather.failureProbability)
    const isLost = fails && this.#random.chance(0.5)
    this.#clock.afterQuietly(moment, () => {
      if (!this.#isCut && !isLost) change()
    })
    await this.#take(latency)
    if (fails) throw new DiskFailure('the disk failed to write')
  }

  async #beforeOrAfter<Value>(read: () => Value): Promise<Value> {
    const before = this.#random.chance(0.5) ? attempt(read) : null
    await this.#take(this.#latency())
    return (before ?? attempt(read))()
  }

  #latency(): number {
    const { meanLatencyMs, stallProbability, stallMs } = this.#disk.weather
    const stall = this.#random.chance(stallProbability) ? this.#random.next() * stallMs : 0
    return this.#random.exponential(meanLatencyMs) + stall
  }

  /** Takes time; for ever, if the power is cut meanwhile. */
  async #take(timeMs: number): Promise<void> {
    if (timeMs === Number.POSITIVE_INFINITY) await never()
    await this.#clock.sleep(timeMs)
    if (this.#isCut) await never()
  }
}

function attempt<Value>(read: () => Value): () => Value {
  try {
    const value = read()
    return () => value
  } catch (error) {
    return () => {
      throw error
    }
  }
}

function never(): Promise<never> {
  return new Promise(() => {})
}
