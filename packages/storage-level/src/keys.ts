import type { LogIndex } from '@coracle/raft-core'

/**
 * The layout of a data directory. Numbers in keys are big-endian, so that LevelDB's order is theirs.
 *
 * | key | value |
 * |---|---|
 * | `f` | the format's version |
 * | `b` write | by the number of the newest write: the log's bounds, and the writes that the records are from |
 * | `h` | record: hard state |
 * | `t` | record: term runs |
 * | `m` | record: indexes of the entries that change the membership |
 * | `s` | record: the newest snapshot's generation, chunks, bytes and meta |
 * | `e` index | entries that follow one another, by the index of the last |
 * | `c` generation chunk | a piece of a snapshot |
 *
 * Every value begins with a CRC-32 of its key and of what follows. A record goes on with the number
 * of the write that it is from. The ledger says what the numbers are good for.
 */
export const FORMAT_VERSION = 1

const BOUNDS = letter('b')
const CHUNK = letter('c')
const ENTRY = letter('e')

export const FORMAT_KEY: Uint8Array = Uint8Array.of(letter('f'))
export const HARD_STATE_KEY: Uint8Array = Uint8Array.of(letter('h'))
export const MEMBERSHIPS_KEY: Uint8Array = Uint8Array.of(letter('m'))
export const SNAPSHOT_KEY: Uint8Array = Uint8Array.of(letter('s'))
export const TERM_RUNS_KEY: Uint8Array = Uint8Array.of(letter('t'))

/** A half-open range of keys. */
export interface KeyRange {
  readonly gte: Uint8Array
  readonly lt: Uint8Array
}

export const BOUNDS_KEYS: KeyRange = { gte: Uint8Array.of(BOUNDS), lt: Uint8Array.of(BOUNDS + 1) }
export const CHUNK_KEYS: KeyRange = { gte: Uint8Array.of(CHUNK), lt: Uint8Array.of(CHUNK + 1) }

export function boundsKey(write: number): Uint8Array {
  return numbered(BOUNDS, write)
}

export function entryKey(index: LogIndex): Uint8Array {
  return numbered(ENTRY, index)
}

/** The records whose last entry is in [from, to). The first with one from `from` on may begin before. */
export function entryKeys(from: LogIndex, to: LogIndex = Number.MAX_SAFE_INTEGER): KeyRange {
  return { gte: entryKey(from), lt: entryKey(to) }
}

export function chunkKey(generation: number, chunk: number): Uint8Array {
  return numbered(CHUNK, generation, chunk)
}

/** The chunks of the generations in [from, to). */
export function chunkKeys(from: number, to: number): KeyRange {
  return { gte: numbered(CHUNK, from), lt: numbered(CHUNK, to) }
}

/** The first number in a key, such as an entry's index. */
export function numberIn(key: Uint8Array): number {
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength)
  return key.byteLength < 9 ? 0 : view.getUint32(1) * 2 ** 32 + view.getUint32(5)
}

/** A key for people to read: its letter and its numbers. */
export function keyName(key: Uint8Array): string {
  const numbers = Array.from({ length: (key.byteLength - 1) / 8 }, (_, i) =>
    numberIn(key.subarray(i * 8)),
  )
  return [String.fromCharCode(key[0] ?? 0), ...numbers].join('/')
}

function letter(name: string): number {
  return name.charCodeAt(0)
}

function numbered(prefix: number, ...numbers: readonly number[]): Uint8Array {
  const key = new Uint8Array(1 + 8 * numbers.length)
  const view = new DataView(key.buffer)
  key[0] = prefix
  numbers.forEach((value, i) => {
    view.setUint32(1 + 8 * i, Math.floor(value / 2 ** 32))
    view.setUint32(5 + 8 * i, value >>> 0)
  })
  return key
}
