import type { SnapshotMeta, StoredSnapshot } from '@coracle/raft-core'
import {
  type Reader,
  readSnapshotMeta,
  type Writer,
  writeSnapshotMeta,
} from '@coracle/raft-core/codec'
import type { Database } from './database.ts'
import { CHUNK_KEYS, chunkKey, chunkKeys, numberIn, SNAPSHOT_KEY } from './keys.ts'
import type { Ledger } from './ledger.ts'
import type { Sweeper } from './sweeper.ts'

/** Large enough that the synced write per chunk costs little, small enough to delay no append for long. */
const CHUNK_BYTES = 256 << 10

interface StoredMeta {
  readonly meta: SnapshotMeta
  readonly generation: number
  readonly chunkCount: number
  readonly bytes: number
}

/**
 * Snapshots, of which the newest counts. Each is written in full under a generation number of its
 * own; one write of a small record then makes it the newest, and the chunks of the one before it
 * are removed as soon as nobody reads them any more.
 */
export class SnapshotStore {
  readonly #database: Database
  readonly #ledger: Ledger
  readonly #sweeper: Sweeper
  #newest: StoredMeta | null
  #nextGeneration: number
  /** What a snapshot gave before its chunks failed. */
  #unfinished: Draft | null = null
  /** How many readers a generation has. */
  readonly #readers = new Map<number, number>()
  /** A reader that was handed out and never used counts until it is garbage. */
  readonly #dropped = new FinalizationRegistry<() => void>((release) => release())

  private constructor(
    parts: { readonly database: Database; readonly ledger: Ledger; readonly sweeper: Sweeper },
    newest: StoredMeta | null,
    nextGeneration: number,
  ) {
    this.#database = parts.database
    this.#ledger = parts.ledger
    this.#sweeper = parts.sweeper
    this.#newest = newest
    this.#nextGeneration = nextGeneration
  }

  /** Finds the newest snapshot, and has what a crash left of others removed. */
  static async open(database: Database, ledger: Ledger, sweeper: Sweeper): Promise<SnapshotStore> {
    const newest = (await ledger.readRecord(SNAPSHOT_KEY, readStoredMeta)) ?? null
    const [last] = await database.keys(CHUNK_KEYS, { limit: 1, reverse: true })
    const used = Math.max(last === undefined ? 0 : numberIn(last), newest?.generation ?? 0)
    const kept = newest?.generation ?? 0
    sweeper.add(chunkKeys(0, kept))
    sweeper.add(chunkKeys(kept + 1, used + 1))
    return new SnapshotStore({ database, ledger, sweeper }, newest, used + 1)
  }

  get newest(): SnapshotMeta | null {
    return this.#newest?.meta ?? null
  }

  /** Writes the chunks behind the first `after` bytes, and then makes all of it the newest snapshot. */
  async write(
    meta: SnapshotMeta,
    chunks: AsyncIterable<Uint8Array>,
    { after }: { readonly after: number },
  ): Promise<void> {
    const aside = this.#unfinished?.bytes ?? 0
    if (after !== 0 && after !== aside)
      throw new RangeError(`${aside} bytes were set aside, not ${after}`)
    if (after === 0) this.dropUnfinished()
    const draft = this.#unfinished ?? new Draft(this.#database, this.#nextGeneration++)
    this.#unfinished = draft
    for await (const chunk of chunks) await draft.add(chunk)
    const stored = { meta, ...(await draft.finish()) }
    this.#unfinished = null
    await this.#ledger.write((batch) =>
      batch.putRecord(SNAPSHOT_KEY, (writer) => writeStoredMeta(writer, stored)),
    )
    const old = this.#newest
    this.#newest = stored
    if (old !== null) this.#removeUnlessRead(old.generation)
  }

  /** Has what was set aside removed. */
  dropUnfinished(): void {
    if (this.#unfinished === null) return
    const { generation } = this.#unfinished
    this.#unfinished = null
    this.#sweeper.add(chunkKeys(generation, generation + 1))
  }

  read(): StoredSnapshot | null {
    const stored = this.#newest
    if (stored === null) return null
    const { generation } = stored
    this.#readers.set(generation, (this.#readers.get(generation) ?? 0) + 1)
    let held = true
    const release = (): void => {
      if (!held) return
      held = false
      this.#readers.set(generation, (this.#readers.get(generation) ?? 0) - 1)
      this.#removeUnlessRead(generation)
    }
    const chunks = { [Symbol.asyncIterator]: () => this.#chunks(stored, release) }
    this.#dropped.register(chunks, release)
    return { meta: stored.meta, bytes: stored.bytes, chunks }
  }

  async *#chunks(stored: StoredMeta, release: () => void): AsyncGenerator<Uint8Array> {
    try {
      let bytes = 0
      for (let chunk = 0; chunk < stored.chunkCount; chunk++) {
        const key = chunkKey(stored.generation, chunk)
        const piece = await this.#database.read(key, (reader) => reader.raw(reader.remaining))
        if (piece === undefined)
          throw this.#database.damage(`chunk ${chunk} of the snapshot is missing`)
        bytes += piece.byteLength
        yield piece
      }
      if (bytes !== stored.bytes)
        throw this.#database.damage(`the snapshot has ${bytes} bytes instead of ${stored.bytes}`)
    } finally {
      release()
    }
  }

  #removeUnlessRead(generation: number): void {
    if (generation === this.#newest?.generation || (this.#readers.get(generation) ?? 0) > 0) return
    this.#readers.delete(generation)
    this.#sweeper.add(chunkKeys(generation, generation + 1))
  }
}

/** A snapshot on its way to the disk, in pieces of one size but for the last. */
class Draft {
  readonly generation: number
  /** How many bytes it has been given. */
  bytes = 0
  readonly #database: Database
  #chunkCount = 0
  #piece: Uint8Array = new Uint8Array(CHUNK_BYTES)
  #filled = 0

  constructor(database: Database, generation: number) {
    this.#database = database
    this.generation = generation
  }

  async add(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.byteLength;) {
      const part = chunk.subarray(at, at + CHUNK_BYTES - this.#filled)
      this.#piece.set(part, this.#filled)
      at += part.byteLength
      this.#filled += part.byteLength
      if (this.#filled === CHUNK_BYTES) await this.#write()
    }
    this.bytes += chunk.byteLength
  }

  /** Writes what does not fill a piece. */
  async finish(): Promise<Omit<StoredMeta, 'meta'>> {
    if (this.#filled > 0) await this.#write()
    return { generation: this.generation, chunkCount: this.#chunkCount, bytes: this.bytes }
  }

  /**
   * Synced, because LevelDB may change to a new journal before the commit, whose sync covers only
   * the journal it goes to.
   */
  async #write(): Promise<void> {
    const key = chunkKey(this.generation, this.#chunkCount++)
    const piece = this.#piece.subarray(0, this.#filled)
    this.#piece = new Uint8Array(CHUNK_BYTES)
    this.#filled = 0
    await this.#database.write((batch) =>
      batch.put(key, (writer) => writer.raw(piece), piece.byteLength),
    )
  }
}

function writeStoredMeta(writer: Writer, stored: StoredMeta): void {
  writer.u64(stored.generation)
  writer.u64(stored.chunkCount)
  writer.u64(stored.bytes)
  writeSnapshotMeta(writer, stored.meta)
}

function readStoredMeta(reader: Reader): StoredMeta {
  const generation = reader.u64()
  const chunkCount = reader.u64()
  const bytes = reader.u64()
  return { generation, chunkCount, bytes, meta: readSnapshotMeta(reader) }
}
