/** What a snapshot's stream carries after the opening message, and what comes back. */
import type { HeldSnapshot } from '@coracle/raft-core'
import { CodecError, Reader, Writer } from '@coracle/raft-core/codec'
import { FRAME_HEADER_BYTES, seal, unseal } from './frame.ts'

/** The first byte of a payload. */
const CHUNK = 1
const END = 2
const START = 3

/** The first byte of the one payload that comes back. */
const HELD = 1

/** Longer chunks are cut, so that a receiver that is slow holds little. */
export const MAX_CHUNK_BYTES: number = 256 << 10

export type SnapshotFrame =
  | { readonly kind: 'chunk'; readonly bytes: Uint8Array }
  | { readonly kind: 'end'; readonly totalBytes: number }
  | { readonly kind: 'start'; readonly offset: number }

export function encodeChunk(bytes: Uint8Array): Uint8Array {
  const frame = new Uint8Array(FRAME_HEADER_BYTES + 1 + bytes.byteLength)
  frame[FRAME_HEADER_BYTES] = CHUNK
  frame.set(bytes, FRAME_HEADER_BYTES + 1)
  return seal(frame)
}

export function encodeStart(offset: number): Uint8Array {
  return encodeNumber(START, offset)
}

export function encodeEnd(totalBytes: number): Uint8Array {
  return encodeNumber(END, totalBytes)
}

function encodeNumber(kind: number, value: number): Uint8Array {
  const writer = new Writer(FRAME_HEADER_BYTES + 9)
  writer.raw(new Uint8Array(FRAME_HEADER_BYTES))
  writer.u8(kind)
  writer.u64(value)
  return seal(writer.finish())
}

export function encodeHeld(held: HeldSnapshot): Uint8Array {
  const writer = new Writer(FRAME_HEADER_BYTES + 13)
  writer.raw(new Uint8Array(FRAME_HEADER_BYTES))
  writer.u8(HELD)
  writer.u64(held.bytes)
  writer.u32(held.checksum)
  return seal(writer.finish())
}

/** Throws a CodecError. */
export function decodeHeld(frame: Uint8Array): HeldSnapshot {
  const reader = new Reader(unseal(frame))
  if (reader.u8() !== HELD) throw new CodecError('it answers a snapshot by something unknown')
  const held = { bytes: reader.u64(), checksum: reader.u32() }
  reader.end()
  return held
}

/** Throws a CodecError. */
export function decodeSnapshotFrame(frame: Uint8Array): SnapshotFrame {
  const payload = unseal(frame)
  if (payload[0] === CHUNK) return { kind: 'chunk', bytes: payload.subarray(1) }
  const reader = new Reader(payload)
  const kind = reader.u8()
  if (kind !== END && kind !== START)
    throw new CodecError('a snapshot holds an unknown kind of frame')
  const bytes = reader.u64()
  reader.end()
  return kind === END ? { kind: 'end', totalBytes: bytes } : { kind: 'start', offset: bytes }
}
