import { crc32 } from 'node:zlib'
import { CodecError, Reader, Writer } from '@coracle/raft-core/codec'
import type { ClassicLevel } from 'classic-level'
import { REPLACE, StorageError } from './errors.ts'
import { type KeyRange, keyName } from './keys.ts'

/** LevelDB with bytes for keys and values. */
export type Engine = ClassicLevel<Uint8Array, Uint8Array>

/** Fills in what a value holds. */
export type Fill = (writer: Writer) => void

/** Several writes that happen together or not at all. */
export interface Batch {
  put(key: Uint8Array, fill: Fill, capacityBytes?: number): void
  delete(key: Uint8Array): void
}

/**
 * LevelDB with a checksum of our own around every value, and errors that name the directory and the
 * key. LevelDB's checksums do not do: it reads tables without verifying them, and what is damaged
 * in its journal it passes over.
 */
export class Database {
  readonly location: string
  readonly #engine: Engine
  readonly #sync: boolean
  #failure: StorageError | null = null

  constructor(location: string, engine: Engine, options: { readonly sync: boolean }) {
    this.location = location
    this.#engine = engine
    this.#sync = options.sync
  }

  /** The decoded value, or undefined if there is none. */
  async read<T>(key: Uint8Array, decode: (reader: Reader) => T): Promise<T | undefined> {
    const value = await this.#attempt(() => this.#engine.get(key))
    return value === undefined ? undefined : this.#open(key, value, decode)
  }

  /**
   * Decodes the values under these keys in order, for as long as there are any and `wantsMore` says
   * so. What is read is the state at the moment of the call. `maxBytes` is about what is wanted.
   */
  async visit<T>(
    keys: KeyRange,
    visitor: {
      readonly decode: (reader: Reader) => T
      readonly wantsMore: (value: T) => boolean
      readonly maxBytes: number
    },
  ): Promise<void> {
    const highWaterMarkBytes = Math.min(Math.max(visitor.maxBytes, 16 << 10), 1 << 20)
    const iterator = this.#engine.iterator({ ...keys, highWaterMarkBytes })
    try {
      for (;;) {
        const sealed = await this.#attempt(() => iterator.nextv(1_000))
        if (sealed.length === 0) return
        for (const [key, value] of sealed)
          if (!visitor.wantsMore(this.#open(key, value, visitor.decode))) return
      }
    } finally {
      await iterator.close()
    }
  }

  /** The keys in a range, or some of them, from its start or from its end. */
  keys(
    range: KeyRange,
    options: { limit?: number; reverse?: boolean } = {},
  ): Promise<Uint8Array[]> {
    return this.#attempt(() => this.#engine.keys({ ...range, ...options }).all())
  }

  /** Writes everything that `fill` puts into the batch as one, and resolves when it is durable. */
  async write(fill: (batch: Batch) => void): Promise<void> {
    if (this.#failure !== null) throw this.#failure
    const batch = this.#engine.batch()
    fill({
      put: (key, write, capacityBytes) => batch.put(key, seal(key, write, capacityBytes)),
      delete: (key) => batch.del(key),
    })
    try {
      await this.#attempt(() => batch.write({ sync: this.#sync }))
    } catch (error) {
      this.fail(error)
      throw error
    }
  }

  /**
   * Takes no write any more. After one that failed nobody knows what is on the disk, and whatever
   * came after it in LevelDB's journal would make half a write look like damage.
   */
  fail(error: unknown): void {
    if (error instanceof StorageError) this.#failure ??= error
  }

  /** Has LevelDB rewrite its tables, without what was deleted or replaced. */
  async rewrite(): Promise<void> {
    await this.#attempt(() => this.#engine.compactRange(Uint8Array.of(0), Uint8Array.of(0xff)))
  }

  async close(): Promise<void> {
    await this.#engine.close()
  }

  /** An error that says what is wrong with this directory's content. */
  damage(what: string, cause?: unknown): StorageError {
    return new StorageError('CORRUPT', `is damaged: ${what}; ${REPLACE}`, {
      location: this.location,
      cause,
    })
  }

  /** Checks and decodes a value that is known to be under `key`. */
  #open<T>(key: Uint8Array, value: Uint8Array, decode: (reader: Reader) => T): T {
    try {
      const reader = new Reader(value)
      const checksum = reader.u32()
      if (checksum !== crc32(value.subarray(4), crc32(key)))
        throw new CodecError('the checksum does not match')
      const decoded = decode(reader)
      reader.end()
      return decoded
    } catch (cause) {
      throw this.damage(`the record ${keyName(key)} cannot be read`, cause)
    }
  }

  /** Gives the engine's errors the directory's name and our code. */
  async #attempt<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (cause) {
      if ((cause as { code?: unknown }).code === 'LEVEL_CORRUPTION')
        throw this.damage('LevelDB cannot read it', cause)
      throw new StorageError('IO_FAILED', `cannot be read or written: ${String(cause)}`, {
        location: this.location,
        cause,
      })
    }
  }
}

function seal(key: Uint8Array, fill: Fill, capacityBytes: number = 60): Uint8Array {
  const writer = new Writer(4 + capacityBytes)
  writer.u32(0)
  fill(writer)
  writer.patchU32(0, crc32(writer.since(4), crc32(key)))
  return writer.finish()
}
