/** gRPC's messages in a stream of bytes: a flag, a length, and as many bytes, cut in any way. */
import { uint32At } from './frames.ts'
import { Code, GrpcError } from './status.ts'

export const PREFIX_BYTES = 5
const FIRST_CAPACITY = 1_024

/** What it costs to wait for the rest of a message. False if there is no room for it. */
export type TakeRoom = (bytes: number) => boolean

/**
 * A message that lies whole in the bytes is a view of them. One that does not is put together in a
 * buffer that grows with what arrives, and not with what was announced.
 */
export class MessageReader {
  readonly #maxBytes: number
  readonly #takeRoom: TakeRoom
  #prefix = new Uint8Array(PREFIX_BYTES)
  #prefixBytes = 0
  #body: Uint8Array | null = null
  #bodyBytes = 0
  #length = 0

  constructor(maxBytes: number, takeRoom: TakeRoom) {
    this.#maxBytes = maxBytes
    this.#takeRoom = takeRoom
  }

  /** Memory that an unfinished message takes. */
  get heldBytes(): number {
    return this.#body?.length ?? 0
  }

  /** Nothing of another message has arrived. */
  get isAtBoundary(): boolean {
    return this.#prefixBytes === 0
  }

  /** Gives every message that is complete. Throws a GrpcError for one that cannot be taken. */
  read(bytes: Uint8Array, start: number, end: number, take: (message: Uint8Array) => void): void {
    let at = start
    while (at < end) {
      if (this.#prefixBytes < PREFIX_BYTES) {
        at = this.#readPrefix(bytes, at, end)
        if (this.#prefixBytes < PREFIX_BYTES) return
      }
      if (this.#body === null && end - at >= this.#length) {
        this.#prefixBytes = 0
        const { length } = { length: this.#length }
        take(viewOf(bytes, at, at + length))
        at += length
        continue
      }
      at = this.#gather(bytes, at, end, take)
    }
  }

  #readPrefix(bytes: Uint8Array, start: number, end: number): number {
    let at = start
    for (; at < end && this.#prefixBytes < PREFIX_BYTES; at += 1) {
      this.#prefix[this.#prefixBytes] = bytes[at] as number
      this.#prefixBytes += 1
    }
    if (this.#prefixBytes === PREFIX_BYTES)
      this.#length = messageLength(this.#prefix, 0, this.#maxBytes)
    return at
  }

  #gather(
    bytes: Uint8Array,
    start: number,
    end: number,
    take: (message: Uint8Array) => void,
  ): number {
    const to = Math.min(end, start + this.#length - this.#bodyBytes)
    const body = this.#grow(this.#bodyBytes + to - start)
    body.set(bytes.subarray(start, to), this.#bodyBytes)
    this.#bodyBytes += to - start
    if (this.#bodyBytes < this.#length) return to
    this.#body = null
    this.#bodyBytes = 0
    this.#prefixBytes = 0
    this.#takeRoom(-body.length)
    take(body.length === this.#length ? body : body.subarray(0, this.#length))
    return to
  }

  #grow(needed: number): Uint8Array {
    const body = this.#body
    if (body !== null && body.length >= needed) return body
    const capacity = Math.min(this.#length, Math.max(FIRST_CAPACITY, 2 * needed))
    if (!this.#takeRoom(capacity - (body?.length ?? 0)))
      throw new GrpcError(Code.RESOURCE_EXHAUSTED, 'grpc: too many unfinished messages')
    const grown = new Uint8Array(capacity)
    if (body !== null) grown.set(body.subarray(0, this.#bodyBytes))
    this.#body = grown
    return grown
  }
}

/** The length in a prefix, checked. Throws a GrpcError. */
export function messageLength(bytes: Uint8Array, at: number, maxBytes: number): number {
  const flag = bytes[at] as number
  if (flag === 1)
    throw new GrpcError(Code.INTERNAL, 'grpc: compressed flag set with identity or empty encoding')
  if (flag !== 0)
    throw new GrpcError(Code.INTERNAL, `grpc: received unexpected payload format ${flag}`)
  const length = uint32At(bytes, at + 1)
  if (length > maxBytes)
    throw new GrpcError(
      Code.RESOURCE_EXHAUSTED,
      `grpc: received message larger than max (${length} vs. ${maxBytes})`,
    )
  return length
}

/** A plain view: a Buffer must not reach a handler. */
export function viewOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start)
}
