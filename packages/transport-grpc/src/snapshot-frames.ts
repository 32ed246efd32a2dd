/** What a snapshot's stream carries after the opening message. */
import { CodecError, Reader, Writer } from '@coracle/raft-core/codec'
import { FRAME_HEADER_BYTES, seal, unseal } from './frame.ts'

/** The first byte of a payload. */
const CHUNK = 1
const END = 2

/** Longer chunks are cut, so that a receiver that is slow holds little. */
export const MAX_CHUNK_BYTES: number = 256 << 10

export type SnapshotFrame =
  | { readonly kind: 'chunk'; readonly bytes: Uint8Array }
  | { readonly kind: 'end'; readonly totalBytes: number }

export function encodeChunk(bytes: Uint8Array): Uint8Array {
  const frame = new Uint8Array(FRAME_HEADER_BYTES + 1 + bytes.byteLength)
  frame[FRAME_HEADER_BYTES] = CHUNK
  frame.set(bytes, FRAME_HEADER_BYTES + 1)
  return seal(frame)
}

export function encodeEnd(totalBytes: number): Uint8Array {
  const writer = new Writer(FRAME_HEADER_BYTES + 9)
  writer.raw(new Uint8Array(FRAME_HEADER_BYTES))
  writer.u8(END)
  writer.u64(totalBytes)
  return seal(writer.finish())
}

/** Throws a CodecError. */
export function decodeSnapshotFrame(frame: Uint8Array): SnapshotFrame {
  const payload = unseal(frame)
  if (payload[0] === CHUNK) return { kind: 'chunk', bytes: payload.subarray(1) }
  const reader = new Reader(payload)
  if (reader.u8() !== END) throw new CodecError('a snapshot holds an unknown kind of frame')
  const totalBytes = reader.u64()
  reader.end()
  return { kind: 'end', totalBytes }
}
