import type { BytePool } from './byte-pool.ts'
import type { KeyInterval } from './types.ts'

/**
 * Keys are bytes outside and strings of one character per byte (latin1) inside. Bytewise order is
 * then string order, and the engine compares and hashes them natively: measured on 65-byte keys
 * with a common prefix of 52, comparing takes 23 ns as strings and 172 ns as byte arrays.
 */
export type Key = string

/** An interval of keys as the tree wants it: [from, to), without an end if `to` is null. */
export interface Bounds {
  readonly from: Key
  readonly to: Key | null
  /** Exactly the one key `from`. */
  readonly single: boolean
}

/** Longer keys are put together from pieces: a call cannot take arguments without limit. */
const PIECE = 4096

const ascii = new TextDecoder()

export function keyOf(bytes: Uint8Array): Key {
  let any = 0
  for (let at = 0; at < bytes.length; at++) any |= bytes[at] as number
  // Where all bytes are ASCII, UTF-8 and latin1 agree, and TextDecoder is four times faster.
  if (any < 0x80) return ascii.decode(bytes)
  let key = ''
  for (let at = 0; at < bytes.length; at += PIECE) {
    key += String.fromCharCode(...bytes.subarray(at, at + PIECE))
  }
  return key
}

export function boundsOf(interval: KeyInterval): Bounds {
  const { key, rangeEnd } = interval
  const from = keyOf(key)
  if (rangeEnd.length === 0) return { from, to: `${from}\0`, single: true }
  if (rangeEnd.length === 1 && rangeEnd[0] === 0) return { from, to: null, single: false }
  return { from, to: keyOf(rangeEnd), single: false }
}

/** Turns a key back into bytes, in memory from a pool. */
export function bytesOf(key: Key, pool: BytePool): Uint8Array {
  const bytes = pool.take(key.length)
  for (let at = 0; at < key.length; at++) bytes[at] = key.charCodeAt(at)
  return bytes
}
