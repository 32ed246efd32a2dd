/**
 * Sends answers on one connection: within the client's windows, in frames of the size it takes, and
 * no faster than the socket. Streams that wait for the connection take turns.
 */
import type { Duplex } from 'node:stream'
import {
  DEFAULT_FRAME_BYTES,
  DEFAULT_WINDOW_BYTES,
  ErrorCode,
  Flag,
  FrameType,
  Http2Error,
  MAX_WINDOW_BYTES,
} from './frames.ts'
import { HpackEncoder } from './hpack-encoder.ts'
import type { Fields } from './http-response.ts'
import type { Http2Stream } from './http2-stream.ts'
import { PREFIX_BYTES } from './message-reader.ts'
import { Outbox } from './outbox.ts'
import { lengthOf, type OutgoingMessage } from './outgoing-message.ts'
import type { Refusal } from './request-head.ts'
import { encodeStatusMessage, type Status } from './status.ts'
import type { ServerStream } from './stream.ts'

/** Beyond as many times the limit of the socket nothing more is read: it would ask for answers. */
const OVERFULL = 4

export class Sender {
  readonly outbox: Outbox
  readonly encoder: HpackEncoder = new HpackEncoder()
  maxFrameBytes: number = DEFAULT_FRAME_BYTES
  readonly #socket: Duplex
  readonly #maxSocketBytes: number
  #window = DEFAULT_WINDOW_BYTES
  /** Streams that could send if the connection could, the longest waiting first. */
  readonly #waiting = new Set<Http2Stream>()
  #isSending = false
  /** Headers or data have been sent since somebody looked. */
  #wasActive = false

  constructor(socket: Duplex, maxSocketBytes: number) {
    this.outbox = new Outbox(socket)
    this.#socket = socket
    // A socket says that it has drained only if it had more than this.
    this.#maxSocketBytes = Math.max(maxSocketBytes, socket.writableHighWaterMark)
  }

  takeActivity(): boolean {
    const wasActive = this.#wasActive
    this.#wasActive = false
    return wasActive
  }

  get #isFull(): boolean {
    return this.outbox.pendingBytes >= this.#maxSocketBytes
  }

  /** The client does not read what it asks for. */
  get isOverfull(): boolean {
    return this.outbox.pendingBytes >= OVERFULL * this.#maxSocketBytes
  }

  /** Until the socket has drained. */
  pauseReading(): void {
    this.outbox.flush()
    if (this.#socket.writableNeedDrain) this.#socket.pause()
  }

  socketDrained(): void {
    if (this.#socket.isPaused()) this.#socket.resume()
    this.#sendWaiting()
  }

  /** A whole answer, headers to trailers, in three frames that follow each other. */
  whole(stream: ServerStream, message: Uint8Array): boolean {
    if (!this.message(stream, message)) return false
    this.end(stream, null)
    return true
  }

  /** A message that fits into a frame; false if it has to wait, for room or for others. */
  message(stream: ServerStream, message: OutgoingMessage): boolean {
    const length = lengthOf(message)
    const size = PREFIX_BYTES + length
    if (size > stream.sendWindow || size > this.#window || size > this.maxFrameBytes) return false
    if (stream.queuedBytes > 0 || this.#waiting.size > 0 || this.#isFull) return false
    const { outbox } = this
    this.#begin(stream)
    outbox.data(stream.id, size, this.maxFrameBytes)
    outbox.byte(0)
    outbox.uint32(length)
    if (message instanceof Uint8Array) outbox.bytes(message)
    else for (const part of message) outbox.bytes(part)
    outbox.flushIfFull()
    stream.sendWindow -= size
    this.#window -= size
    return true
  }

  #begin(stream: Http2Stream): void {
    this.#wasActive = true
    if (stream.hasBegun) return
    stream.hasBegun = true
    const block = this.encoder.responseHeaders()
    this.outbox.frame(FrameType.HEADERS, Flag.END_HEADERS, stream.id, block)
  }

  /** The last frame of an answer; of one without messages the only one. */
  end(stream: ServerStream, status: Status | null): void {
    const flags = Flag.END_HEADERS | Flag.END_STREAM
    if (status === null) {
      this.#begin(stream)
      return this.outbox.frame(FrameType.HEADERS, flags, stream.id, this.encoder.okTrailers())
    }
    this.#wasActive = true
    const { code, message } = status
    const fields = stream.hasBegun
      ? trailers(code, message)
      : trailersOnly({ httpStatus: 200, code, message })
    this.outbox.frame(FrameType.HEADERS, flags, stream.id, this.encoder.fields(fields))
  }

  /** The answer to a request that no handler sees. */
  refusal(streamId: number, refusal: Refusal): void {
    const block = this.encoder.fields(trailersOnly(refusal))
    this.outbox.frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, streamId, block)
  }

  /** The head of an answer over HTTP, which may be longer than a frame; of one without a body, all of it. */
  httpHead(streamId: number, fields: Fields, isAll: boolean): void {
    this.#wasActive = true
    const block = this.encoder.fields(fields)
    let type: number = FrameType.HEADERS
    let flags = isAll ? Flag.END_STREAM : 0
    for (let at = 0; at < block.length; at += this.maxFrameBytes) {
      const end = at + this.maxFrameBytes
      if (end >= block.length) flags |= Flag.END_HEADERS
      this.outbox.frame(type, flags, streamId, block.subarray(at, end))
      type = FrameType.CONTINUATION
      flags = 0
    }
  }

  /** The end of a body: there are no trailers. */
  httpEnd(streamId: number): void {
    this.outbox.header(FrameType.DATA, Flag.END_STREAM, streamId, 0)
  }

  /** The connection's window grows. */
  grow(increment: number): void {
    this.#window += increment
    if (this.#window > MAX_WINDOW_BYTES)
      throw new Http2Error(ErrorCode.FLOW_CONTROL_ERROR, 'a window beyond all bounds')
    this.#sendWaiting()
  }

  /** Sends what the stream may send. */
  send(stream: Http2Stream): void {
    if (!canSend(stream)) return
    this.#waiting.add(stream)
    this.#sendWaiting()
  }

  forget(stream: Http2Stream): void {
    this.#waiting.delete(stream)
  }

  /** A frame of each stream in turn. What is told meanwhile may add streams, and end them. */
  #sendWaiting(): void {
    if (this.#isSending) return
    this.#isSending = true
    try {
      for (const stream of this.#waiting) {
        if (this.#window <= 0 || this.#isFull) return
        this.#waiting.delete(stream)
        this.#sendFrame(stream)
        // At the end of the set, which this loop comes to.
        if (canSend(stream)) this.#waiting.add(stream)
      }
    } finally {
      this.#isSending = false
    }
  }

  #sendFrame(stream: Http2Stream): void {
    const { queue } = stream
    if (queue === null || !canSend(stream)) return
    this.#begin(stream)
    const size = Math.min(queue.bytes, this.maxFrameBytes, stream.sendWindow, this.#window)
    this.outbox.header(FrameType.DATA, 0, stream.id, size)
    const taken = queue.take(size, this.outbox)
    stream.sendWindow -= size
    this.#window -= size
    stream.afterSending(taken)
  }
}

function canSend(stream: Http2Stream): boolean {
  return !stream.isOver && stream.sendWindow > 0 && stream.queuedBytes > 0
}

function trailers(code: number, message: string): Fields {
  return [
    ['grpc-status', String(code)],
    ['grpc-message', encodeStatusMessage(message)],
  ]
}

function trailersOnly(refusal: Refusal): Fields {
  return [
    [':status', String(refusal.httpStatus)],
    ['content-type', 'application/grpc'],
    ...trailers(refusal.code, refusal.message),
  ]
}
