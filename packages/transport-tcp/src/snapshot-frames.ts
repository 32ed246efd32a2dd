/**
 * What passes on a snapshot's connection after the opening message: the receiver says what it holds,
 * the sender where it starts, then chunks and an end; and the receiver's answer, which may come at
 * any time instead.
 */
import type { HeldSnapshot } from '@coracle/raft-core'
import { Reader, Writer } from '@coracle/raft-core/codec'
import { FRAME_HEADER_BYTES, ProtocolError, seal } from './frame.ts'

/** The first byte of a payload from the sender. */
export const CHUNK = 1
export const END = 2
const START = 3

/** The first byte of a payload from the receiver. */
const REFUSED = 0
const KEPT = 1
const HELD = 2

/** Longer chunks are cut, so that a receiver that is slow holds little. */
export const MAX_CHUNK_BYTES: number = 256 << 10

const MAX_REASON_LENGTH = 1_000

export type SnapshotFrame =
  | { readonly kind: 'chunk'; readonly bytes: Uint8Array }
  | { readonly kind: 'end'; readonly totalBytes: number }
  | { readonly kind: 'start'; readonly offset: number }

export type ReceiverFrame =
  | { readonly kind: 'held'; readonly held: HeldSnapshot }
  | { readonly kind: 'kept' }
  | { readonly kind: 'refused'; readonly why: string }

/** Throws a CodecError or a ProtocolError. */
export function decodeSnapshotFrame(payload: Uint8Array): SnapshotFrame {
  if (payload[0] === CHUNK) return { kind: 'chunk', bytes: payload.subarray(1) }
  const reader = new Reader(payload)
  const kind = reader.u8()
  if (kind !== END && kind !== START)
    throw new ProtocolError('a snapshot holds an unknown kind of frame')
  const bytes = reader.u64()
  reader.end()
  return kind === END ? { kind: 'end', totalBytes: bytes } : { kind: 'start', offset: bytes }
}

export function encodeStart(offset: number): Uint8Array {
  return encodeNumber(START, offset)
}

export function encodeEnd(totalBytes: number): Uint8Array {
  return encodeNumber(END, totalBytes)
}

function encodeNumber(kind: number, value: number): Uint8Array {
  const writer = framed()
  writer.u8(kind)
  writer.u64(value)
  return seal(writer.finish())
}

export function encodeHeld(held: HeldSnapshot): Uint8Array {
  const writer = framed()
  writer.u8(HELD)
  writer.u64(held.bytes)
  writer.u32(held.checksum)
  return seal(writer.finish())
}

/** Null if all of it was kept, or why it was not. */
export function encodeAnswer(answer: string | null): Uint8Array {
  const writer = framed()
  writer.u8(answer === null ? KEPT : REFUSED)
  writer.bytes(new TextEncoder().encode((answer ?? '').slice(0, MAX_REASON_LENGTH)))
  return seal(writer.finish())
}

/** Throws a CodecError or a ProtocolError. */
export function decodeReceiverFrame(payload: Uint8Array): ReceiverFrame {
  const reader = new Reader(payload)
  const kind = reader.u8()
  const frame = readReceiverFrame(kind, reader)
  reader.end()
  return frame
}

function readReceiverFrame(kind: number, reader: Reader): ReceiverFrame {
  if (kind === HELD) return { kind: 'held', held: { bytes: reader.u64(), checksum: reader.u32() } }
  if (kind > HELD) throw new ProtocolError('it answers a snapshot by something unknown')
  const why = reader.string()
  return kind === KEPT ? { kind: 'kept' } : { kind: 'refused', why }
}

function framed(): Writer {
  const writer = new Writer()
  writer.raw(new Uint8Array(FRAME_HEADER_BYTES))
  return writer
}
