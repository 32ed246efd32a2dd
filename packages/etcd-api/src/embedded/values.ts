/** What the client in the process takes and gives, in the language's own types. */
import { fromBigInt, type Int64, toBigInt, toSafeInteger } from '../int64.ts'
import type * as wire from '../wire.ts'

/** Text stands for its UTF-8. */
export type Bytes = string | Uint8Array

/** One key, all that begin alike, or all from one (inclusive) to another (exclusive, or no end). */
export type Keys =
  | Bytes
  | { readonly prefix: Bytes }
  | { readonly from: Bytes; readonly to?: Bytes }

export interface Pair {
  readonly key: Uint8Array
  readonly value: Uint8Array
  /** The key as text, if it is UTF-8. */
  readonly keyText: string
  /** The value as text, if it is UTF-8. */
  readonly text: string
  readonly createRevision: number
  readonly modRevision: number
  readonly version: number
  /** 0n: none. */
  readonly lease: bigint
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const ZERO = Uint8Array.of(0)

export function bytesOf(value: Bytes): Uint8Array {
  return typeof value === 'string' ? encoder.encode(value) : value
}

export interface Interval {
  readonly key: Uint8Array
  readonly range_end: Uint8Array
}

export function intervalOf(keys: Keys): Interval {
  if (typeof keys === 'string' || keys instanceof Uint8Array)
    return { key: bytesOf(keys), range_end: new Uint8Array() }
  if ('prefix' in keys) return prefixInterval(bytesOf(keys.prefix))
  const key = bytesOf(keys.from)
  const end = keys.to === undefined ? ZERO : bytesOf(keys.to)
  return { key: key.length === 0 ? ZERO : key, range_end: end }
}

/** The end is the first key after all that begin with the prefix; without one there is no end. */
function prefixInterval(prefix: Uint8Array): Interval {
  for (let last = prefix.length - 1; last >= 0; last--) {
    const byte = prefix[last] ?? 0
    if (byte === 0xff) continue
    const range_end = prefix.slice(0, last + 1)
    range_end[last] = byte + 1
    return { key: prefix, range_end }
  }
  return { key: prefix.length === 0 ? ZERO : prefix, range_end: ZERO }
}

export function pairOf(kv: wire.KeyValue): Pair {
  const key = presentBytes(kv.key)
  const value = presentBytes(kv.value)
  return {
    key,
    value,
    get keyText() {
      return decoder.decode(key)
    },
    get text() {
      return decoder.decode(value)
    },
    createRevision: toSafeInteger(kv.create_revision),
    modRevision: toSafeInteger(kv.mod_revision),
    version: toSafeInteger(kv.version),
    lease: toBigInt(kv.lease),
  }
}

/** The codec shows bytes that were not on the wire as an empty list. */
function presentBytes(bytes: Uint8Array): Uint8Array {
  return bytes.length === 0 ? new Uint8Array() : bytes
}

export function revisionOf(header: wire.ResponseHeader | undefined): number {
  return toSafeInteger(header?.revision ?? 0)
}

export function int64(value: number | bigint | undefined): Int64 {
  return typeof value === 'bigint' ? fromBigInt(value) : (value ?? 0)
}
