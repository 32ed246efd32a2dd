/**
 * What leaves on one connection. What is written in one turn of the event loop goes into one write,
 * for a socket costs as much for ten bytes as for ten thousand; what is much more than that does not
 * wait for the turn to end, so that the client works on it meanwhile.
 */
import type { Duplex } from 'node:stream'
import { ErrorCode, FRAME_HEADER_BYTES, FrameType } from './frames.ts'

const FIRST_BYTES = 1_024
/** A longer piece is written from where it lies. */
const COPY_BYTES = 4_096
/** Fewer are copied one by one: to call somebody for them takes longer. */
const BY_HAND_BYTES = 8
/** As much is enough for one write. */
const FULL_BYTES = 16_384
/** A scratch that grew beyond this in a busy turn is not kept. */
const KEPT_BYTES = 65_536

const waiting: Outbox[] = []

/**
 * On the queue of `process.nextTick`, which comes when no promise is left to settle: the answers to all
 * that arrived together, or that one commit settled, have been written by then.
 */
function flushAll(): void {
  for (const outbox of waiting) outbox.flush()
  waiting.length = 0
}

export class Outbox {
  readonly #socket: Duplex
  #scratch = Buffer.allocUnsafeSlow(FIRST_BYTES)
  #used = 0
  #pieces: Uint8Array[] = []
  #pieceBytes = 0
  #isWaiting = false
  /** The DATA frame that was written last, as long as nothing stands behind it. */
  #openStream = 0
  #openAt = 0
  #openBytes = 0

  constructor(socket: Duplex) {
    this.#socket = socket
  }

  /** What was written and has not left this process. */
  get pendingBytes(): number {
    return this.#used + this.#pieceBytes + this.#socket.writableLength
  }

  /** A frame of which the payload is at hand. */
  frame(type: number, flags: number, streamId: number, payload: Uint8Array): void {
    this.header(type, flags, streamId, payload.length)
    this.bytes(payload)
  }

  /**
   * Makes room for so many bytes of a stream's DATA: in the frame before, if that is of the same
   * stream and stays within `maxBytes`, for a frame costs a client about as much as what is in it.
   */
  data(streamId: number, length: number, maxBytes: number): void {
    if (streamId !== this.#openStream || this.#openBytes + length > maxBytes) {
      this.header(FrameType.DATA, 0, streamId, length)
      this.#openStream = streamId
      this.#openAt = this.#used - FRAME_HEADER_BYTES
      this.#openBytes = length
      return
    }
    this.#openBytes += length
    this.#length(this.#openAt, this.#openBytes)
  }

  #length(at: number, length: number): void {
    const scratch = this.#scratch
    scratch[at] = length >>> 16
    scratch[at + 1] = length >>> 8
    scratch[at + 2] = length
  }

  /** The first nine bytes of a frame. */
  header(type: number, flags: number, streamId: number, length: number): void {
    this.#reserve(FRAME_HEADER_BYTES)
    this.#openStream = 0
    const scratch = this.#scratch
    const at = this.#used
    this.#length(at, length)
    scratch[at + 3] = type
    scratch[at + 4] = flags
    this.#used = at + 5
    this.uint32(streamId)
  }

  /** Part of a frame. Must not change until it has left. */
  bytes(bytes: Uint8Array): void {
    if (bytes.length > COPY_BYTES) {
      this.#cut()
      this.#pieces.push(bytes)
      this.#pieceBytes += bytes.length
      return
    }
    this.#reserve(bytes.length)
    if (bytes.length < BY_HAND_BYTES)
      for (let at = 0; at < bytes.length; at += 1)
        this.#scratch[this.#used + at] = bytes[at] as number
    else this.#scratch.set(bytes, this.#used)
    this.#used += bytes.length
  }

  byte(value: number): void {
    this.#reserve(1)
    this.#scratch[this.#used] = value
    this.#used += 1
  }

  uint32(value: number): void {
    this.#reserve(4)
    const scratch = this.#scratch
    const at = this.#used
    scratch[at] = value >>> 24
    scratch[at + 1] = value >>> 16
    scratch[at + 2] = value >>> 8
    scratch[at + 3] = value
    this.#used = at + 4
  }

  rstStream(streamId: number, code: number): void {
    this.header(FrameType.RST_STREAM, 0, streamId, 4)
    this.uint32(code)
  }

  windowUpdate(streamId: number, bytes: number): void {
    this.header(FrameType.WINDOW_UPDATE, 0, streamId, 4)
    this.uint32(bytes)
  }

  goAway(lastStreamId: number, code: number, debug = ''): void {
    const text = Buffer.from(code === ErrorCode.NO_ERROR ? '' : debug, 'latin1')
    this.header(FrameType.GOAWAY, 0, 0, 8 + text.length)
    this.uint32(lastStreamId)
    this.uint32(code)
    this.bytes(text)
  }

  /** Between two frames: makes a write of what has gathered if it is enough for one. */
  flushIfFull(): void {
    if (this.#used + this.#pieceBytes >= FULL_BYTES) this.#write()
  }

  flush(): void {
    this.#isWaiting = false
    this.#write()
    if (this.#scratch.length > KEPT_BYTES) this.#scratch = Buffer.allocUnsafeSlow(FIRST_BYTES)
  }

  #write(): void {
    const socket = this.#socket
    if (this.#pieces.length === 0) {
      if (this.#used > 0) socket.write(this.#copy())
    } else {
      this.#cut()
      socket.cork()
      for (const piece of this.#pieces) socket.write(piece)
      socket.uncork()
      this.#pieces = []
      this.#pieceBytes = 0
    }
  }

  /** Makes a piece of what is in the scratch, so that another can follow it. */
  #cut(): void {
    if (this.#used === 0) return
    const piece = this.#copy()
    this.#pieces.push(piece)
    this.#pieceBytes += piece.length
  }

  /** The socket keeps what it is given, but the scratch goes on being used. */
  #copy(): Buffer {
    const copy = Buffer.allocUnsafe(this.#used)
    copy.set(this.#scratch.subarray(0, this.#used))
    this.#used = 0
    this.#openStream = 0
    return copy
  }

  #reserve(bytes: number): void {
    if (!this.#isWaiting) {
      this.#isWaiting = true
      if (waiting.push(this) === 1) process.nextTick(flushAll)
    }
    const needed = this.#used + bytes
    if (needed <= this.#scratch.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#scratch.length))
    grown.set(this.#scratch.subarray(0, this.#used))
    this.#scratch = grown
  }
}
