import {
  type AppendBatch,
  assert,
  type Entry,
  type LogIndex,
  type Position,
  RaftError,
  type SnapshotMeta,
  type Storage,
  type Stored,
  type StoredSnapshot,
} from '@coracle/raft-core'
import { type Content, DiskCorruption, DiskFailure, type Sealed } from './disk-content.ts'
import type { Fault } from './faults.ts'
import type { DiskHooks } from './parts.ts'
import type { Random } from './random.ts'
import type { VirtualClock } from './virtual-clock.ts'
import type { VirtualDisk } from './virtual-disk.ts'

/** The node waits for what is read, and cannot go on without it. */
const VITAL: { readonly isVital: boolean } = { isVital: true }

/** What one life of a node sees of the disk. */
export class DiskSession implements Storage {
  readonly #disk: VirtualDisk
  readonly #content: Content
  readonly #clock: VirtualClock
  readonly #random: Random
  readonly #hooks: DiskHooks
  readonly #befell: (fault: Fault) => void
  #isCut = false
  #isLoaded = false
  /** Forgotten, but a crash before the next write brings some of it back. */
  #forgotten: Position | null = null
  #isLogBusy = false
  #isSnapshotBusy = false
  /** What a snapshot gave before its chunks failed. */
  #unfinished: Uint8Array[] = []
  /** Not durable yet. */
  #underWay: AppendBatch | null = null
  /** Readers of a snapshot that have been given a chunk, and have neither asked for more nor gone. */
  #idleReaders = 0

  constructor(parts: {
    readonly disk: VirtualDisk
    readonly content: Content
    readonly clock: VirtualClock
    readonly random: Random
    readonly hooks: DiskHooks
    readonly befell: (fault: Fault) => void
  }) {
    this.#disk = parts.disk
    this.#content = parts.content
    this.#clock = parts.clock
    this.#random = parts.random
    this.#hooks = parts.hooks
    this.#befell = parts.befell
  }

  cut(): void {
    this.#isCut = true
    if (this.#isSnapshotBusy) this.#befell('snapshot write cut short')
    if (this.#underWay !== null) this.#loseOrTear(this.#underWay)
    const { outline } = this.#content
    if (this.#forgotten === null || this.#forgotten.index <= outline.compacted.index) return
    this.#befell('compaction undone by a crash')
    const index = this.#random.whole(outline.compacted.index, this.#forgotten.index)
    const term = outline.termAt(index)
    if (term !== undefined && index > outline.compacted.index) this.#content.forget({ term, index })
  }

  /** Of a write that was not durable nothing is left, or bytes that are worth nothing. */
  #loseOrTear(batch: AppendBatch): void {
    this.#befell('unsynced write lost')
    if (this.#random.chance(0.5)) return
    this.#befell('write torn')
    this.#content.tear(batch, this.#random)
  }

  async load(): Promise<Stored> {
    assert(!this.#isLoaded, 'a storage is loaded only once')
    this.#isLoaded = true
    await this.#take(this.#latency())
    this.#content.dropTorn()
    return this.#read(() => ({ ...this.#content.load(), ...this.#content.outline.stored() }))
  }

  async append(batch: AppendBatch): Promise<void> {
    assert(!this.#isLogBusy, 'the storage has one append or compact under way at a time')
    this.#content.outline.checkBatch(batch)
    this.#isLogBusy = true
    this.#underWay = batch
    await this.#write(() => {
      this.#underWay = null
      if (this.#forgotten !== null) this.#content.forget(this.#forgotten)
      this.#forgotten = null
      this.#content.write(batch)
      this.#hooks.persisted(batch)
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

  async writeSnapshot(
    meta: SnapshotMeta,
    chunks: AsyncIterable<Uint8Array>,
    { after = 0 }: { readonly after?: number } = {},
  ): Promise<void> {
    assert(!this.#isSnapshotBusy, 'the storage writes one snapshot at a time')
    if (after === 0) this.#unfinished = []
    assert(after === bytesIn(this.#unfinished), 'a snapshot goes on where it broke off')
    this.#isSnapshotBusy = true
    try {
      const kept = this.#unfinished
      for await (const chunk of chunks) {
        await this.#take(this.#random.exponential(this.#disk.weather.meanLatencyMs / 4))
        kept.push(chunk)
      }
      this.#unfinished = []
      await this.#write(() => {
        this.#content.writeSnapshot(meta, kept)
        this.#disk.onDurable('snapshot')
      })
    } finally {
      this.#isSnapshotBusy = false
    }
  }

  async dropUnfinished(): Promise<void> {
    assert(!this.#isSnapshotBusy, 'what is set aside is not dropped while it is added to')
    this.#unfinished = []
  }

  async readSnapshot(): Promise<StoredSnapshot | null> {
    const snapshot = await this.#beforeOrAfter(() => this.#content.snapshot, { isVital: false })
    if (snapshot === null) return null
    const { meta, chunks } = snapshot
    return { meta, bytes: bytesIn(chunks), chunks: this.#readChunks(chunks) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    assert(this.#idleReaders === 0, 'whoever disposes a storage has let go of all that it read')
  }

  async *#readChunks(chunks: readonly Sealed[]): AsyncGenerator<Uint8Array> {
    for (const [at, sealed] of chunks.entries()) {
      await this.#take(this.#random.exponential(this.#disk.weather.meanLatencyMs / 4))
      const open = (): Uint8Array => sealed.open(`chunk ${at} of the snapshot`)
      const chunk = this.#read(open, { isVital: false })
      const cut = this.#random.whole(0, chunk.length)
      if (cut > 0) yield* this.#lend(chunk.subarray(0, cut))
      if (cut < chunk.length) yield* this.#lend(chunk.subarray(cut))
    }
  }

  *#lend(chunk: Uint8Array): Generator<Uint8Array> {
    this.#idleReaders += 1
    try {
      yield chunk
    } finally {
      this.#idleReaders -= 1
    }
  }

  /** Writes at a moment of its choice, and answers later; or fails, and nobody knows if it wrote. */
  async #write(change: () => void): Promise<void> {
    const latency = this.#latency()
    const moment = this.#random.next() * latency
    const fails = this.#random.chance(this.#disk.weather.failureProbability)
    if (fails) this.#befell('write failed')
    const isLost = fails && this.#random.chance(0.5)
    this.#clock.afterQuietly(moment, () => {
      if (!this.#isCut && !isLost) change()
    })
    await this.#take(latency)
    if (fails) throw new DiskFailure('the disk failed to write')
  }

  async #beforeOrAfter<Value>(read: () => Value, { isVital } = VITAL): Promise<Value> {
    const before = this.#random.chance(0.5) ? attempt(read) : null
    await this.#take(this.#latency())
    return this.#read(before ?? read, { isVital })
  }

  /**
   * What a checksum gives away is an error, never an answer. A snapshot may be read for a stream that
   * is over by then, and nobody cares.
   */
  #read<Value>(read: () => Value, { isVital } = VITAL): Value {
    try {
      if (this.#random.chance(this.#disk.weather.corruption)) {
        this.#befell('read corrupted')
        throw new DiskCorruption('what was read is not what was written')
      }
      return read()
    } catch (error) {
      if (error instanceof DiskCorruption && isVital) this.#hooks.corrupted()
      throw error
    }
  }

  #latency(): number {
    const { meanLatencyMs, stallProbability, stallMs } = this.#disk.weather
    const time = this.#random.exponential(meanLatencyMs)
    if (!this.#random.chance(stallProbability)) return time
    this.#befell('write stalled')
    return time + this.#random.next() * stallMs
  }

  /** Takes time; for ever, if the power is cut meanwhile. */
  async #take(timeMs: number): Promise<void> {
    if (timeMs === Number.POSITIVE_INFINITY) await never()
    await this.#clock.sleep(timeMs)
    if (this.#isCut) await never()
  }
}

function bytesIn(chunks: readonly { readonly length: number }[]): number {
  return chunks.reduce((bytes, chunk) => bytes + chunk.length, 0)
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
