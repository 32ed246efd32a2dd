/** Frames: u32 length, u32 CRC-32, payload, all little-endian. A frame of length 0 says "still here". */
import { crc32 } from 'node:zlib'

export const FRAME_HEADER_BYTES = 8

/** The first bytes in each direction, so that nobody takes anything else for a peer. */
export const MAGIC: Uint8Array = new TextEncoder().encode('CORACLE\n')

export const BEAT: Uint8Array = new Uint8Array(FRAME_HEADER_BYTES)

/** What arrived is not what a peer sends. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
}

/** Fills in the header, for which the first {@link FRAME_HEADER_BYTES} of `frame` were left free. */
export function seal(frame: Uint8Array): Uint8Array {
  const payload = frame.subarray(FRAME_HEADER_BYTES)
  const view = new DataView(frame.buffer, frame.byteOffset, FRAME_HEADER_BYTES)
  view.setUint32(0, payload.byteLength, true)
  view.setUint32(4, crc32(payload), true)
  return frame
}

/** The header and first byte of a frame whose other bytes are written after it, uncopied. */
export function sealHead(kind: number, rest: Uint8Array): Uint8Array {
  const head = new Uint8Array(FRAME_HEADER_BYTES + 1)
  const view = new DataView(head.buffer)
  head[FRAME_HEADER_BYTES] = kind
  view.setUint32(0, rest.byteLength + 1, true)
  view.setUint32(4, crc32(rest, crc32(head.subarray(FRAME_HEADER_BYTES))), true)
  return head
}

const FIRST_CAPACITY_BYTES = 64 << 10

/**
 * Carves frames out of a stream of chunks that may be cut anywhere. Memory grows with what has
 * arrived, never with what a header claims.
 */
export class FrameParser {
  /** Frames that claim more are refused before anything is kept of them. */
  maxFrameBytes: number
  #magicLeft = MAGIC.byteLength
  /** The beginning of a frame whose rest is still to come: header and payload. */
  #partial: Uint8Array = new Uint8Array(0)
  #filled = 0
  /** How long the partial frame will be, or 0 while its header is incomplete. */
  #wanted = 0

  constructor(maxFrameBytes: number) {
    this.maxFrameBytes = maxFrameBytes
  }

  /** Calls `onPayload` with each payload that `chunk` completes, as long as it answers true. */
  push(chunk: Uint8Array, onPayload: (payload: Uint8Array) => boolean): void {
    let rest = chunk
    if (this.#magicLeft > 0) rest = this.#takeMagic(rest)
    if (this.#filled > 0) {
      rest = this.#fill(rest)
      if (this.#wanted === 0 || this.#filled < this.#wanted) return
      const payload = this.#partial.subarray(FRAME_HEADER_BYTES, this.#filled)
      const expected = viewOf(this.#partial).getUint32(4, true)
      this.#reset()
      if (!deliver(payload, expected, onPayload)) return
    }
    this.#carve(rest, onPayload)
  }

  #takeMagic(chunk: Uint8Array): Uint8Array {
    const at = MAGIC.byteLength - this.#magicLeft
    const length = Math.min(this.#magicLeft, chunk.byteLength)
    for (let i = 0; i < length; i++)
      if (chunk[i] !== MAGIC[at + i]) throw new ProtocolError(strangerIn(chunk))
    this.#magicLeft -= length
    return chunk.subarray(length)
  }

  /** Frames that lie within one chunk: the path that nearly all of them take. */
  #carve(chunk: Uint8Array, onPayload: (payload: Uint8Array) => boolean): void {
    const view = viewOf(chunk)
    let at = 0
    while (chunk.byteLength - at >= FRAME_HEADER_BYTES) {
      const length = view.getUint32(at, true)
      this.#check(length)
      const start = at + FRAME_HEADER_BYTES
      if (length > chunk.byteLength - start) break
      const payload = new Uint8Array(chunk.buffer, chunk.byteOffset + start, length)
      // A view keeps the whole chunk in memory for as long as any of its entries lives: worth it
      // only for a frame that is most of the chunk.
      const own = length * 2 < chunk.byteLength ? new Uint8Array(payload) : payload
      if (!deliver(own, view.getUint32(at + 4, true), onPayload)) return
      at = start + length
    }
    if (at < chunk.byteLength) this.#fill(chunk.subarray(at))
  }

  /** Adds to the partial frame what belongs to it, and gives back what does not. */
  #fill(chunk: Uint8Array): Uint8Array {
    const rest = this.#wanted === 0 ? this.#take(chunk, FRAME_HEADER_BYTES) : chunk
    if (this.#wanted === 0 && this.#filled === FRAME_HEADER_BYTES) {
      const length = viewOf(this.#partial).getUint32(0, true)
      this.#check(length)
      this.#wanted = FRAME_HEADER_BYTES + length
    }
    return this.#wanted === 0 ? rest : this.#take(rest, this.#wanted)
  }

  #take(chunk: Uint8Array, until: number): Uint8Array {
    const length = Math.min(until - this.#filled, chunk.byteLength)
    const filled = this.#filled + length
    if (filled > this.#partial.byteLength) this.#grow(filled, until)
    this.#partial.set(chunk.subarray(0, length), this.#filled)
    this.#filled = filled
    return chunk.subarray(length)
  }

  #grow(least: number, most: number): void {
    const doubled = Math.max(least, this.#partial.byteLength * 2, FIRST_CAPACITY_BYTES)
    const larger = new Uint8Array(Math.min(doubled, most))
    larger.set(this.#partial.subarray(0, this.#filled))
    this.#partial = larger
  }

  #reset(): void {
    this.#partial = new Uint8Array(0)
    this.#filled = 0
    this.#wanted = 0
  }

  #check(length: number): void {
    if (length > this.maxFrameBytes)
      throw new ProtocolError(`a frame of ${length} bytes, and ${this.maxFrameBytes} are allowed`)
  }
}

function deliver(
  payload: Uint8Array,
  expected: number,
  onPayload: (payload: Uint8Array) => boolean,
): boolean {
  if (crc32(payload) !== expected) throw new ProtocolError('a frame fails its checksum')
  return onPayload(payload)
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

const TLS_HANDSHAKE = 0x16
const TLS_MAJOR_VERSION = 3

/** Guesses from its first words who called the wrong port. */
function strangerIn(chunk: Uint8Array): string {
  const words = new TextDecoder('latin1').decode(chunk.subarray(0, 16))
  if (/^(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|CONNECT) /.test(words)) return 'it speaks HTTP'
  if (words.startsWith('PRI * HTTP/2')) return 'it speaks HTTP/2'
  if (words.startsWith('HTTP/')) return 'it is an HTTP server'
  if (chunk[0] === TLS_HANDSHAKE && chunk[1] === TLS_MAJOR_VERSION)
    return 'it speaks TLS, and this node does not'
  return 'it does not speak the protocol of Coracle nodes'
}
