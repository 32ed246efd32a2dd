/** What each frame of a client means, and which are errors (RFC 9113, sections 4 to 6). */
import type { Farewell } from './farewell.ts'
import type { FloodGuard } from './flood-guard.ts'
import {
  DEFAULT_WINDOW_BYTES,
  ErrorCode,
  Flag,
  frameSizeError,
  FrameType,
  Http2Error,
  MAX_WINDOW_BYTES,
  protocolError,
  uint31At,
  uint32At,
} from './frames.ts'
import { HeaderBlocks } from './header-blocks.ts'
import type { Http2Stream } from './http2-stream.ts'
import type { OpenStreams } from './open-streams.ts'
import type { GrpcLimits } from './options.ts'
import { ReceiveWindow } from './receive-window.ts'
import type { RequestHead } from './request-head.ts'
import { RequestHeads } from './request-heads.ts'
import type { Sender } from './sender.ts'
import { readSettings } from './settings.ts'

/** What a client may send on all its calls before it hears that it arrived: as much as on four of them. */
const WINDOWS_PER_CONNECTION = 4
const STREAM_ID_BITS = 0x7fff_ffff

/** What frames lead to, beyond the streams that they are for. */
export interface FrameEvents {
  /** A request begins. */
  onRequest(streamId: number, endsStream: boolean, head: RequestHead): void
  /** A request is none: its stream ends with `code` before it begins. */
  onRefused(streamId: number, code: number): void
  /** The client is going. */
  onClientGoes(): void
  /** The client has heard that the server is going. */
  onHeard(): void
}

/** Throws an {@link Http2Error} for what ends the connection; breaks off the stream for the rest. */
export class IncomingFrames {
  /** What the client may send on all its streams together. */
  readonly windowBytes: number
  readonly #streams: OpenStreams
  readonly #sender: Sender
  readonly #guard: FloodGuard
  readonly #farewell: Farewell
  readonly #events: FrameEvents
  readonly #heads: RequestHeads
  readonly #blocks: HeaderBlocks
  readonly #window: ReceiveWindow
  #hasSettings = false
  #initialWindow = DEFAULT_WINDOW_BYTES

  constructor(parts: {
    readonly limits: GrpcLimits
    readonly streams: OpenStreams
    readonly sender: Sender
    readonly guard: FloodGuard
    readonly farewell: Farewell
    readonly events: FrameEvents
  }) {
    const { maxHeaderListBytes, windowBytes } = parts.limits
    this.windowBytes = WINDOWS_PER_CONNECTION * windowBytes
    this.#streams = parts.streams
    this.#sender = parts.sender
    this.#guard = parts.guard
    this.#farewell = parts.farewell
    this.#events = parts.events
    this.#heads = new RequestHeads(maxHeaderListBytes)
    this.#blocks = new HeaderBlocks(maxHeaderListBytes, (streamId, endsStream, bytes, start, end) =>
      this.#headerBlock(streamId, endsStream, bytes, start, end),
    )
    this.#window = new ReceiveWindow(this.windowBytes)
  }

  /** What the client lets the server send on a new stream. */
  get initialWindow(): number {
    return this.#initialWindow
  }

  /** Takes one frame, whose payload is `bytes` in [start, end). */
  take(
    type: number,
    flags: number,
    streamId: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    if (this.#blocks.isUnfinished && type !== FrameType.CONTINUATION)
      throw protocolError('a header block is cut by another frame')
    if (!this.#hasSettings && type !== FrameType.SETTINGS)
      throw protocolError('a connection begins with settings')
    switch (type) {
      case FrameType.DATA:
        return this.#data(flags, streamId, bytes, start, end)
      case FrameType.HEADERS:
        return this.#blocks.headers(flags, streamId, bytes, start, end)
      case FrameType.CONTINUATION:
        if (start === end) this.#guard.countControl()
        return this.#blocks.continuation(flags, streamId, bytes, start, end)
      case FrameType.RST_STREAM:
        return this.#rstStream(streamId, end - start)
      case FrameType.SETTINGS:
        return this.#settings(flags, streamId, bytes, start, end)
      case FrameType.PING:
        return this.#ping(flags, streamId, bytes, start, end)
      case FrameType.WINDOW_UPDATE:
        return this.#windowUpdate(streamId, bytes, start, end)
      case FrameType.GOAWAY:
        return this.#goAway(streamId, end - start)
      case FrameType.PRIORITY:
        return this.#priority(streamId, bytes, start, end)
      case FrameType.PUSH_PROMISE:
        throw protocolError('clients cannot push')
      default:
        return this.#guard.countControl()
    }
  }

  #data(flags: number, streamId: number, bytes: Uint8Array, start: number, end: number): void {
    if (streamId === 0) throw protocolError('data of no stream')
    const size = end - start
    this.#countReceived(size)
    const padding = (flags & Flag.PADDED) === 0 ? 0 : 1 + (bytes[start] as number)
    if (padding > size) throw protocolError('more padding than frame')
    const from = padding === 0 ? start : start + 1
    const to = padding === 0 ? end : end - padding + 1
    const endsStream = (flags & Flag.END_STREAM) !== 0
    if (from === to && !endsStream) this.#guard.countControl()
    const stream = this.#streams.find(streamId)
    if (stream === undefined || stream.isHalfClosed) return this.#strayFrame(streamId, stream)
    if (!stream.received.take(size)) return this.#breakOff(stream, ErrorCode.FLOW_CONTROL_ERROR)
    if (!stream.received.countContent(to - from) || (endsStream && !stream.received.hasAllContent))
      return this.#breakOff(stream, ErrorCode.PROTOCOL_ERROR)
    if (to > from) stream.takeData(bytes, from, to)
    if (endsStream) stream.halfClose()
    else if (!stream.isOver) stream.credit()
  }

  /** The whole connection's window is given back at once: what waits is bounded otherwise. */
  #countReceived(bytes: number): void {
    if (!this.#window.take(bytes))
      throw new Http2Error(ErrorCode.FLOW_CONTROL_ERROR, 'more data than the window')
    const credit = this.#window.credit()
    if (credit > 0) this.#sender.outbox.windowUpdate(0, credit)
  }

  /** Data or headers for a stream that cannot have them (section 5.1). */
  #strayFrame(streamId: number, stream?: Http2Stream): void {
    if (stream !== undefined) return this.#breakOff(stream, ErrorCode.STREAM_CLOSED)
    if (this.#streams.isIdle(streamId)) throw protocolError(`stream ${streamId} was never opened`)
    if (this.#streams.mayBeCutOff(streamId)) return
    if (this.#farewell.isTooLate(streamId)) return
    throw new Http2Error(ErrorCode.STREAM_CLOSED, `stream ${streamId} is closed`)
  }

  /** The client has broken the rules on one stream; many of those are an attack. */
  #breakOff(stream: Http2Stream, code: number): void {
    this.#guard.countReset()
    stream.abort(code)
  }

  #headerBlock(
    streamId: number,
    endsStream: boolean,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    if (streamId > this.#streams.lastId) {
      this.#streams.begin(streamId)
      const head = this.#heads.read(bytes, start, end)
      if (typeof head === 'number') this.#events.onRefused(streamId, head)
      else this.#events.onRequest(streamId, endsStream, head)
      return
    }
    // Whatever it is for, the table depends on it.
    const areTrailers = this.#heads.readTrailers(bytes, start, end)
    const stream = this.#streams.find(streamId)
    if (stream === undefined || stream.isHalfClosed) return this.#strayFrame(streamId, stream)
    if (!endsStream || !areTrailers || !stream.received.hasAllContent)
      return this.#breakOff(stream, ErrorCode.PROTOCOL_ERROR)
    stream.halfClose()
  }

  #rstStream(streamId: number, size: number): void {
    if (size !== 4) throw frameSizeError('RST_STREAM')
    if (streamId === 0 || this.#streams.isIdle(streamId))
      throw protocolError('a reset of no stream')
    const stream = this.#streams.find(streamId)
    if (stream === undefined) return this.#guard.countControl()
    this.#guard.countReset()
    stream.cancel()
  }

  #settings(flags: number, streamId: number, bytes: Uint8Array, start: number, end: number): void {
    if (streamId !== 0) throw protocolError('settings of a stream')
    if ((flags & Flag.ACK) !== 0) {
      if (end > start) throw frameSizeError('SETTINGS')
      if (!this.#hasSettings) throw protocolError('a connection begins with settings')
      return
    }
    if (this.#hasSettings) this.#guard.countControl()
    this.#hasSettings = true
    const settings = readSettings(bytes, start, end)
    if (settings.headerTableBytes !== undefined)
      this.#sender.encoder.maxTableBytes = settings.headerTableBytes
    if (settings.maxFrameBytes !== undefined) this.#sender.maxFrameBytes = settings.maxFrameBytes
    if (settings.initialWindowBytes !== undefined) this.#moveWindows(settings.initialWindowBytes)
    this.#sender.outbox.header(FrameType.SETTINGS, Flag.ACK, 0, 0)
  }

  /** A new initial window moves those of all streams by the difference (section 6.9.2). */
  #moveWindows(initialWindow: number): void {
    const difference = initialWindow - this.#initialWindow
    this.#initialWindow = initialWindow
    for (const stream of this.#streams.values()) {
      stream.sendWindow += difference
      if (stream.sendWindow > MAX_WINDOW_BYTES)
        throw new Http2Error(ErrorCode.FLOW_CONTROL_ERROR, 'a window beyond all bounds')
      this.#sender.send(stream)
    }
  }

  #ping(flags: number, streamId: number, bytes: Uint8Array, start: number, end: number): void {
    if (streamId !== 0) throw protocolError('a ping of a stream')
    if (end - start !== 8) throw frameSizeError('PING')
    if ((flags & Flag.ACK) !== 0) {
      if (this.#farewell.isHeard(bytes[start])) this.#events.onHeard()
      return
    }
    this.#guard.countPing(this.#streams.size, this.#sender.takeActivity())
    this.#sender.outbox.frame(FrameType.PING, Flag.ACK, 0, bytes.subarray(start, end))
  }

  #windowUpdate(streamId: number, bytes: Uint8Array, start: number, end: number): void {
    if (end - start !== 4) throw frameSizeError('WINDOW_UPDATE')
    const increment = uint31At(bytes, start)
    if (streamId === 0) {
      if (increment === 0) throw protocolError('a window that grows by nothing')
      return this.#sender.grow(increment)
    }
    const stream = this.#streams.find(streamId)
    if (stream === undefined) {
      if (this.#streams.isIdle(streamId)) throw protocolError(`stream ${streamId} was never opened`)
      return
    }
    if (increment === 0) return this.#breakOff(stream, ErrorCode.PROTOCOL_ERROR)
    stream.sendWindow += increment
    if (stream.sendWindow > MAX_WINDOW_BYTES)
      return this.#breakOff(stream, ErrorCode.FLOW_CONTROL_ERROR)
    this.#sender.send(stream)
  }

  #goAway(streamId: number, size: number): void {
    if (streamId !== 0) throw protocolError('a farewell of a stream')
    if (size < 8) throw frameSizeError('GOAWAY')
    this.#guard.countControl()
    this.#events.onClientGoes()
  }

  /** Nobody has to mind priorities any more, but they must be well formed. */
  #priority(streamId: number, bytes: Uint8Array, start: number, end: number): void {
    if (streamId === 0) throw protocolError('a priority of no stream')
    this.#guard.countControl()
    if (end - start === 5 && (uint32At(bytes, start) & STREAM_ID_BITS) !== streamId) return
    const code = end - start === 5 ? ErrorCode.PROTOCOL_ERROR : ErrorCode.FRAME_SIZE_ERROR
    const stream = this.#streams.find(streamId)
    if (stream !== undefined) return this.#breakOff(stream, code)
    throw new Http2Error(code, 'a priority that is none')
  }
}
