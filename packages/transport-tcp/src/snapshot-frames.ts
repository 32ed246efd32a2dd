/** What passes on a snapshot's connection after the opening message. */
import { Reader, Writer } from '@coracle/raft-core/codec'
import { FRAME_HEADER_BYTES, ProtocolError, seal } from './frame.ts'

/** The first byte of a payload. */
export const CHUNK = 1
export const END = 2

/** Longer chunks are cut, so that a receiver that is slow holds little. */
export const MAX_CHUNK_BYTES: number = 256 << 10

const MAX_REASON_LENGTH = 1_000

export type SnapshotFrame =
  | { readonly kind: 'chunk'; readonly bytes: Uint8Array }
  | { readonly kind: 'end'; readonly totalBytes: number }

/** Throws a CodecError or a ProtocolError. */
export function decodeSnapshotFrame(payload: Uint8Array): SnapshotFrame {
  if (payload[0] === CHUNK) return { kind: 'chunk', bytes: payload.subarray(1) }
  const reader = new Reader(payload)
  if (reader.u8() !== END) throw new ProtocolError('a snapshot holds an unknown kind of frame')
  const totalBytes = reader.u64()
  reader.end()
  return { kind: 'end', totalBytes }
}

/** Null if all of it was kept, or why it was not. */
export function encodeAnswer(answer: string | null): Uint8Array {
  const writer = new Writer()
  writer.raw(new Uint8Array(FRAME_HEADER_BYTES))
  writer.boolean(answer === null)
  writer.bytes(new TextEncoder().encode((answer ?? '').slice(0, MAX_REASON_LENGTH)))
  return seal(writer.finish())
}

export function decodeAnswer(payload: Uint8Array): string | null {
  const reader = new Reader(payload)
  const kept = reader.boolean()
  const reason = reader.string()
  reader.end()
  return kept ? null : reason
}
