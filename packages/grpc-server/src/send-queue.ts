/** The messages of one stream that wait for the client to have room for them. */
import { PREFIX_BYTES } from './message-reader.ts'

interface Queued {
  readonly message: Uint8Array
  readonly taken: (() => void) | undefined
}

/** Where what is taken goes: the payload of a DATA frame, in pieces. */
export interface PayloadSink {
  byte(value: number): void
  uint32(value: number): void
  bytes(bytes: Uint8Array): void
}

/** What waits for the client to have room. */
export interface Outgoing {
  /** What may be in the next frame: no frame holds parts of two. */
  readonly firstBytes: number
  /** Moves the next `bytes` of the first. Answers with who is to be told if it is gone. */
  take(bytes: number, sink: PayloadSink): (() => void) | undefined
}

export class SendQueue implements Outgoing {
  readonly #messages: Queued[] = []
  /** How much of the first message is gone, its prefix included. */
  #sent = 0
  /** All that waits, prefixes included. */
  bytes = 0

  push(message: Uint8Array, taken: (() => void) | undefined): void {
    this.#messages.push({ message, taken })
    this.bytes += PREFIX_BYTES + message.length
  }

  /** What is left of the first message and its prefix; 0 if there is none. */
  get firstBytes(): number {
    const first = this.#messages[0]
    return first === undefined ? 0 : PREFIX_BYTES + first.message.length - this.#sent
  }

  take(bytes: number, sink: PayloadSink): (() => void) | undefined {
    const first = this.#messages[0] as Queued
    let from = this.#sent
    const to = from + bytes
    this.#sent = to
    this.bytes -= bytes
    if (from === 0 && to >= PREFIX_BYTES) {
      sink.byte(0)
      sink.uint32(first.message.length)
      from = PREFIX_BYTES
    }
    for (; from < Math.min(to, PREFIX_BYTES); from += 1)
      sink.byte(from === 0 ? 0 : (first.message.length >>> (8 * (PREFIX_BYTES - 1 - from))) & 0xff)
    if (to > PREFIX_BYTES)
      sink.bytes(first.message.subarray(from - PREFIX_BYTES, to - PREFIX_BYTES))
    if (to < PREFIX_BYTES + first.message.length) return undefined
    this.#messages.shift()
    this.#sent = 0
    return first.taken
  }
}
