import type { LogIndex, Position } from '@coracle/raft-core'
import { ORIGIN } from '@coracle/raft-core'
import { type Reader, readPosition, type Writer, writePosition } from '@coracle/raft-core/codec'
import type { Batch, Database, Fill } from './database.ts'
import { BOUNDS_KEYS, boundsKey, numberIn } from './keys.ts'

/** Where the log begins and ends. */
export interface Bounds {
  readonly compacted: Position
  readonly lastIndex: LogIndex
}

/** A batch that may also write records: the few values that are found under fixed keys. */
export interface LedgerBatch extends Batch {
  putRecord(key: Uint8Array, fill: Fill): void
}

/**
 * The one line in which all writes stand, and the proof that none of them is missing.
 *
 * Every write has a number, removes the bounds that the one before it left, and leaves its own;
 * with them the number of the write that each record is from. So a lost write shows: as bounds that
 * nobody removed, as no bounds at all, or as a record that is older than it should be.
 */
export class Ledger {
  readonly #database: Database
  #number: number
  #bounds: Bounds
  /** By the key's letter, the number of the write that the record is from. */
  #records: ReadonlyMap<number, number>
  #last: Promise<void> = Promise.resolve()

  private constructor(database: Database, number: number, page: Page) {
    this.#database = database
    this.#number = number
    this.#bounds = page.bounds
    this.#records = page.records
  }

  static async open(database: Database): Promise<Ledger> {
    const [key, other] = await database.keys(BOUNDS_KEYS, { limit: 2 })
    if (key === undefined) throw database.damage('the bounds of its log are missing')
    if (other !== undefined) throw database.damage('a write is missing between others')
    const page = await database.read(key, readPage)
    if (page === undefined) throw database.damage('the bounds of its log are missing')
    return new Ledger(database, numberIn(key), page)
  }

  /** What a new directory begins with. */
  static create(batch: Batch): void {
    const page = { bounds: { compacted: ORIGIN, lastIndex: 0 }, records: new Map() }
    batch.put(boundsKey(0), (writer) => writePage(writer, page))
  }

  get bounds(): Bounds {
    return this.#bounds
  }

  /** The record under a fixed key, or undefined if it was never written. */
  async readRecord<T>(key: Uint8Array, decode: (reader: Reader) => T): Promise<T | undefined> {
    const expected = this.#records.get(letterOf(key))
    if (expected === undefined) return undefined
    const record = await this.#database.read(key, (reader) => ({
      number: reader.u64(),
      value: decode(reader),
    }))
    if (record?.number !== expected)
      throw this.#database.damage(`record ${String.fromCharCode(letterOf(key))} is an old one`)
    return record.value
  }

  /** Writes one batch after all those before it. The log then has these bounds, or the ones it has. */
  async write(fill: (batch: LedgerBatch) => void, bounds?: Bounds): Promise<void> {
    const write = this.#writeAfter(this.#last, fill, bounds)
    this.#last = write.catch(() => {})
    await write
  }

  /** Resolves when the writes that are under way now are over, however that went. */
  async settled(): Promise<void> {
    await this.#last
  }

  async #writeAfter(
    previous: Promise<void>,
    fill: (batch: LedgerBatch) => void,
    bounds?: Bounds,
  ): Promise<void> {
    await previous
    const number = this.#number + 1
    const records = new Map(this.#records)
    const page = { bounds: bounds ?? this.#bounds, records }
    await this.#database.write((batch) => {
      fill({
        ...batch,
        putRecord(key, fillRecord) {
          records.set(letterOf(key), number)
          batch.put(key, (writer) => {
            writer.u64(number)
            fillRecord(writer)
          })
        },
      })
      batch.delete(boundsKey(number - 1))
      batch.put(boundsKey(number), (writer) => writePage(writer, page))
    })
    this.#number = number
    this.#bounds = page.bounds
    this.#records = records
  }
}

/** What stands under the key of a write. */
interface Page {
  readonly bounds: Bounds
  readonly records: ReadonlyMap<number, number>
}

function writePage(writer: Writer, { bounds, records }: Page): void {
  writePosition(writer, bounds.compacted)
  writer.u64(bounds.lastIndex)
  writer.u32(records.size)
  for (const [letter, number] of records) {
    writer.u8(letter)
    writer.u64(number)
  }
}

function readPage(reader: Reader): Page {
  const bounds = { compacted: readPosition(reader), lastIndex: reader.u64() }
  const records = new Map<number, number>()
  for (let left = reader.count(9); left > 0; left--) records.set(reader.u8(), reader.u64())
  return { bounds, records }
}

function letterOf(key: Uint8Array): number {
  return key[0] ?? 0
}
