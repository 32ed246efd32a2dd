/** HTTP/2 frames as bytes (RFC 9113, sections 4 and 6): their names, and how they are told apart. */

export const FrameType = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const

export const Flag = {
  ACK: 0x1,
  END_STREAM: 0x1,
  END_HEADERS: 0x4,
  PADDED: 0x8,
  PRIORITY: 0x20,
} as const

/** Why a stream or a connection ended (section 7). */
export const ErrorCode = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  SETTINGS_TIMEOUT: 4,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  CONNECT_ERROR: 10,
  ENHANCE_YOUR_CALM: 11,
  INADEQUATE_SECURITY: 12,
  HTTP_1_1_REQUIRED: 13,
} as const

export const FRAME_HEADER_BYTES = 9
/** What every peer must take, and all that this server takes (section 4.2). */
export const DEFAULT_FRAME_BYTES = 16_384
/** The window of a stream and of a connection before anybody says otherwise (section 6.9.2). */
export const DEFAULT_WINDOW_BYTES = 65_535
export const MAX_WINDOW_BYTES = 0x7fff_ffff

/** A connection error (section 5.4.1): thrown where it is found, ends in a GOAWAY with this code. */
export class Http2Error extends Error {
  override readonly name = 'Http2Error'
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

export function protocolError(message: string): Http2Error {
  return new Http2Error(ErrorCode.PROTOCOL_ERROR, message)
}

export function frameSizeError(frame: string): Http2Error {
  return new Http2Error(ErrorCode.FRAME_SIZE_ERROR, `a ${frame} of the wrong size`)
}

/** Gets one frame: its payload is `bytes` in [start, end). */
export type FrameSink = (
  type: number,
  flags: number,
  streamId: number,
  bytes: Uint8Array,
  start: number,
  end: number,
) => void

/**
 * Cuts what arrives into frames, however it was split. Whole frames are handed on where they lie;
 * only one that a read has cut in two is put together in a buffer of its own, which is never used
 * again: messages may be views of it.
 */
export class FrameReader {
  readonly #sink: FrameSink
  #held: Uint8Array = new Uint8Array(0)
  #heldBytes = 0

  constructor(sink: FrameSink) {
    this.#sink = sink
  }

  /** Throws what the sink throws, and FRAME_SIZE_ERROR as soon as a frame says that it is too large. */
  read(bytes: Uint8Array): void {
    let at = this.#heldBytes === 0 ? 0 : this.#complete(bytes)
    while (bytes.length - at >= FRAME_HEADER_BYTES) {
      const end = at + FRAME_HEADER_BYTES + lengthAt(bytes, at)
      if (end > bytes.length) break
      this.#emit(bytes, at, end)
      at = end
    }
    if (at < bytes.length) this.#hold(bytes, at)
  }

  #emit(bytes: Uint8Array, at: number, end: number): void {
    const type = bytes[at + 3] as number
    const flags = bytes[at + 4] as number
    this.#sink(type, flags, uint31At(bytes, at + 5), bytes, at + FRAME_HEADER_BYTES, end)
  }

  #hold(bytes: Uint8Array, at: number): void {
    const rest = bytes.length - at
    const size = rest < FRAME_HEADER_BYTES ? 0 : lengthAt(bytes, at)
    this.#held = new Uint8Array(FRAME_HEADER_BYTES + size)
    this.#held.set(bytes.subarray(at))
    this.#heldBytes = rest
  }

  /** Adds to what is held. Answers with the place behind what was taken. */
  #complete(bytes: Uint8Array): number {
    let at = 0
    if (this.#heldBytes < FRAME_HEADER_BYTES) {
      at = this.#fill(bytes, 0, FRAME_HEADER_BYTES)
      if (this.#heldBytes < FRAME_HEADER_BYTES) return at
      const header = this.#held
      this.#held = new Uint8Array(FRAME_HEADER_BYTES + lengthAt(header, 0))
      this.#held.set(header)
    }
    at = this.#fill(bytes, at, this.#held.length)
    if (this.#heldBytes < this.#held.length) return at
    this.#heldBytes = 0
    this.#emit(this.#held, 0, this.#held.length)
    return at
  }

  #fill(bytes: Uint8Array, from: number, upTo: number): number {
    const to = Math.min(bytes.length, from + upTo - this.#heldBytes)
    this.#held.set(bytes.subarray(from, to), this.#heldBytes)
    this.#heldBytes += to - from
    return to
  }
}

function lengthAt(bytes: Uint8Array, at: number): number {
  const length =
    ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number)
  if (length > DEFAULT_FRAME_BYTES)
    throw new Http2Error(ErrorCode.FRAME_SIZE_ERROR, `a frame of ${length} bytes`)
  return length
}

/** 31 bits: the highest one is reserved and ignored. */
export function uint31At(bytes: Uint8Array, at: number): number {
  return uint32At(bytes, at) & 0x7fff_ffff
}

export function uint32At(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
  const low = ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)
  return ((high << 16) | low) >>> 0
}
