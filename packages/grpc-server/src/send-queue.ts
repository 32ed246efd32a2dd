/** The messages of one stream that wait for the client to have room for them. */
import { PREFIX_BYTES } from './message-reader.ts'
import { lengthOf, type OutgoingMessage } from './outgoing-message.ts'

interface Queued {
  readonly parts: readonly Uint8Array[]
  /** Of all parts. */
  readonly length: number
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
  /** All that waits, in bytes. */
  readonly bytes: number
  /** Moves the next `bytes`. Answers with who is to be told that theirs is gone. */
  take(bytes: number, sink: PayloadSink): readonly (() => void)[]
}

export class SendQueue implements Outgoing {
  readonly #messages: Queued[] = []
  /** How much of the first message is gone, its prefix included. */
  #sent = 0
  /** All that waits, prefixes included. */
  bytes = 0

  push(message: OutgoingMessage, taken: (() => void) | undefined): void {
    const parts = message instanceof Uint8Array ? [message] : message
    const length = lengthOf(message)
    this.#messages.push({ parts, length, taken })
    this.bytes += PREFIX_BYTES + length
  }

  take(bytes: number, sink: PayloadSink): readonly (() => void)[] {
    const taken: (() => void)[] = []
    let gone = 0
    for (let left = bytes; left > 0;) {
      const first = this.#messages[gone] as Queued
      const to = Math.min(this.#sent + left, PREFIX_BYTES + first.length)
      left -= to - this.#sent
      move(first, this.#sent, to, sink)
      this.#sent = to
      if (to < PREFIX_BYTES + first.length) break
      this.#sent = 0
      gone += 1
      if (first.taken !== undefined) taken.push(first.taken)
    }
    this.#messages.splice(0, gone)
    this.bytes -= bytes
    return taken
  }
}

/** The bytes in [start, end) of a message with its prefix. */
function move({ parts, length }: Queued, start: number, end: number, sink: PayloadSink): void {
  let at = start
  if (at === 0 && end >= PREFIX_BYTES) {
    sink.byte(0)
    sink.uint32(length)
    at = PREFIX_BYTES
  }
  for (; at < Math.min(end, PREFIX_BYTES); at += 1)
    sink.byte(at === 0 ? 0 : (length >>> (8 * (PREFIX_BYTES - 1 - at))) & 0xff)
  let from = PREFIX_BYTES
  for (const part of parts) {
    const to = from + part.length
    if (to > at && from < end) {
      const isWhole = from >= at && to <= end
      sink.bytes(
        isWhole ? part : part.subarray(Math.max(at, from) - from, Math.min(end, to) - from),
      )
    }
    from = to
  }
}
