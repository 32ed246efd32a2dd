/** One HTTP/2 connection from the server's side (RFC 9113): frames in, calls out, and back. */
import type { Duplex } from 'node:stream'
import { Budget } from './budget.ts'
import type { Handler } from './call.ts'
import { CutOffStreams } from './cut-off-streams.ts'
import type { Deadlines } from './deadlines.ts'
import {
  DEFAULT_WINDOW_BYTES,
  ErrorCode,
  Flag,
  FrameReader,
  FrameType,
  Http2Error,
  MAX_WINDOW_BYTES,
  uint31At,
  uint32At,
} from './frames.ts'
import { HeadCache } from './head-cache.ts'
import { HeaderBlocks } from './header-blocks.ts'
import { HpackDecoder } from './hpack-decoder.ts'
import type { GrpcLimits } from './options.ts'
import { PingPolicy } from './ping-policy.ts'
import { areTrailers, type RequestHead, requestHead } from './request-head.ts'
import { QuietTime } from './quiet-time.ts'
import type { Routes } from './routes.ts'
import { Sender } from './sender.ts'
import { readSettings, writeSettings } from './settings.ts'
import type { Status } from './status.ts'
import { ServerStream, type StreamCarrier } from './stream.ts'

/** What connections share. */
export interface ConnectionContext {
  readonly routes: Routes
  readonly limits: GrpcLimits
  readonly deadlines: Deadlines
}

export interface Identity {
  readonly peer: string
  readonly commonName: string | undefined
}

const LAST_STREAM_ID = 0x7fff_ffff
/** What a client may send on all its calls before it hears that it arrived: as much as on four of them. */
const WINDOWS_PER_CONNECTION = 4
/** Frames that ask for work and carry no call: at once, and each second that nothing else happens. */
const CONTROL_BURST = 1_000
const CONTROLS_PER_SECOND = 100
/** Resets at once, in seconds' worth. */
const RESET_BURST_SECONDS = 5
/** The last words of a server that goes: sent twice, with a ping between (section 6.8). */
const GOING_PING = Uint8Array.of(0x67, 0x6f, 0x69, 0x6e, 0x67, 0, 0, 0)
const KEEPALIVE_PING = new Uint8Array(8)
const LINGER_MS = 1_000

export class Connection implements StreamCarrier {
  readonly maxMessageBytes: number
  readonly windowBytes: number
  readonly maxQueuedBytes: number
  readonly #socket: Duplex
  readonly #identify: () => Identity
  readonly #context: ConnectionContext
  readonly #limits: GrpcLimits
  readonly #onClose: () => void
  readonly #reader: FrameReader
  readonly #decoder: HpackDecoder
  readonly #heads = new HeadCache()
  readonly #sender: Sender
  readonly #streams = new Map<number, ServerStream>()
  /** The stream of the last frame: its next one is mostly for it, too. */
  #current: ServerStream | null = null
  #lastStreamId = 0
  readonly #cutOff = new CutOffStreams()
  #hasSettings = false
  readonly #blocks: HeaderBlocks
  #receiveWindow: number
  #uncredited = 0
  #bufferedBytes = 0
  #initialWindow = DEFAULT_WINDOW_BYTES
  readonly #resets: Budget
  readonly #controls = new Budget(CONTROL_BURST, CONTROLS_PER_SECOND)
  readonly #pings: PingPolicy
  #identity: Identity | null = null
  #isGoing = false
  /** Streams from here on came after the last word. */
  #lastServed = LAST_STREAM_ID
  #isClosed = false
  readonly #quiet: QuietTime

  constructor(
    socket: Duplex,
    context: ConnectionContext,
    identify: () => Identity,
    onClose: () => void,
  ) {
    const { limits } = context
    this.#socket = socket
    this.#context = context
    this.#limits = limits
    this.#identify = identify
    this.#onClose = onClose
    this.maxMessageBytes = limits.maxMessageBytes
    this.windowBytes = limits.windowBytes
    this.maxQueuedBytes = limits.maxQueuedBytes
    this.#decoder = new HpackDecoder(limits.maxHeaderListBytes)
    this.#blocks = new HeaderBlocks(
      limits.maxHeaderListBytes,
      (streamId, endsStream, bytes, start, end) =>
        this.#headerBlock(streamId, endsStream, bytes, start, end),
    )
    this.#quiet = new QuietTime(limits)
    this.#resets = new Budget(
      limits.maxResetsPerSecond * RESET_BURST_SECONDS,
      limits.maxResetsPerSecond,
    )
    this.#pings = new PingPolicy(limits.keepaliveMinTimeMs)
    this.#reader = new FrameReader((type, flags, streamId, bytes, start, end) =>
      this.#frame(type, flags, streamId, bytes, start, end),
    )
    this.#sender = new Sender(socket, limits.maxSocketBytes)
    this.#receiveWindow = WINDOWS_PER_CONNECTION * limits.windowBytes
    this.#greet()
    socket.on('data', (bytes: Uint8Array) => this.read(bytes))
    socket.on('drain', () => this.#sender.socketDrained())
    socket.on('error', () => this.destroy())
    socket.on('end', () => this.destroy())
    socket.on('close', () => this.destroy())
  }

  #greet(): void {
    const { outbox } = this.#sender
    outbox.frame(FrameType.SETTINGS, 0, 0, writeSettings(this.#limits))
    outbox.windowUpdate(0, this.#receiveWindow - DEFAULT_WINDOW_BYTES)
  }

  get peer(): string {
    return (this.#identity ??= this.#identify()).peer
  }

  get commonName(): string | undefined {
    return (this.#identity ??= this.#identify()).commonName
  }

  /** Takes what has arrived, without the preface. */
  read(bytes: Uint8Array): void {
    if (this.#isClosed) return
    this.#quiet.read()
    try {
      this.#reader.read(bytes)
    } catch (error) {
      const { code, message } =
        error instanceof Http2Error
          ? error
          : { code: ErrorCode.INTERNAL_ERROR, message: 'internal error' }
      this.#fail(code, message)
    }
    if (this.#sender.isOverfull) this.#sender.pauseReading()
  }

  #frame(
    type: number,
    flags: number,
    streamId: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    if (this.#isClosed) return
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
        if (start === end) this.#countControl()
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
        return this.#clientGoes(streamId, end - start)
      case FrameType.PRIORITY:
        return this.#priority(streamId, bytes, start, end)
      case FrameType.PUSH_PROMISE:
        throw protocolError('clients cannot push')
      default:
        return this.#countControl()
    }
  }

  #countControl(): void {
    if (!this.#controls.take())
      throw new Http2Error(ErrorCode.ENHANCE_YOUR_CALM, 'too many control frames')
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
    if (from === to && !endsStream) this.#countControl()
    const stream = this.#find(streamId)
    if (stream === undefined || stream.isHalfClosed) return this.#strayFrame(streamId, stream)
    if (!stream.countReceived(size)) return this.#breakOff(stream, ErrorCode.FLOW_CONTROL_ERROR)
    if (!stream.countContent(to - from) || (endsStream && !stream.hasAllContent))
      return this.#breakOff(stream, ErrorCode.PROTOCOL_ERROR)
    if (to > from) stream.takeData(bytes, from, to)
    if (endsStream) stream.halfClose()
    else if (!stream.isOver) stream.credit()
  }

  /** The whole connection's window is given back at once: what waits is bounded otherwise. */
  #countReceived(bytes: number): void {
    this.#receiveWindow -= bytes
    if (this.#receiveWindow < 0)
      throw new Http2Error(ErrorCode.FLOW_CONTROL_ERROR, 'more data than the window')
    this.#uncredited += bytes
    if (this.#uncredited < (WINDOWS_PER_CONNECTION * this.windowBytes) / 2) return
    this.#sender.outbox.windowUpdate(0, this.#uncredited)
    this.#receiveWindow += this.#uncredited
    this.#uncredited = 0
  }

  #find(streamId: number): ServerStream | undefined {
    if (this.#current?.id === streamId) return this.#current
    return this.#streams.get(streamId)
  }

  /** Data or headers for a stream that cannot have them (section 5.1). */
  #strayFrame(streamId: number, stream?: ServerStream): void {
    if (stream !== undefined) return this.#breakOff(stream, ErrorCode.STREAM_CLOSED)
    if (this.#isIdle(streamId)) throw protocolError(`stream ${streamId} was never opened`)
    if (this.#cutOff.mayHave(streamId)) return
    if (streamId > this.#lastServed) return
    throw new Http2Error(ErrorCode.STREAM_CLOSED, `stream ${streamId} is closed`)
  }

  #isIdle(streamId: number): boolean {
    return streamId > this.#lastStreamId || streamId % 2 === 0
  }

  /** The client has broken the rules on one stream; many of those are an attack. */
  #breakOff(stream: ServerStream, code: number): void {
    this.#countReset()
    stream.abort(code)
  }

  #countReset(): void {
    if (!this.#resets.take())
      throw new Http2Error(ErrorCode.ENHANCE_YOUR_CALM, 'too many streams reset')
  }

  #headerBlock(
    streamId: number,
    endsStream: boolean,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    if (streamId > this.#lastStreamId) return this.#request(streamId, endsStream, bytes, start, end)
    // Whatever it is for, the table depends on it.
    const { fields, isTooLarge } = this.#decoder.decode(bytes, start, end)
    const stream = this.#streams.get(streamId)
    if (stream === undefined || stream.isHalfClosed) return this.#strayFrame(streamId, stream)
    if (!endsStream || isTooLarge || !areTrailers(fields) || !stream.hasAllContent)
      return this.#breakOff(stream, ErrorCode.PROTOCOL_ERROR)
    stream.halfClose()
  }

  #request(
    streamId: number,
    endsStream: boolean,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    this.#lastStreamId = streamId
    const { generation } = this.#decoder
    let head = this.#heads.find(bytes, start, end, generation)
    if (head === null) {
      const { fields, isTooLarge } = this.#decoder.decode(bytes, start, end)
      head = isTooLarge ? null : requestHead(fields)
      if (head === null) {
        const code = isTooLarge ? ErrorCode.ENHANCE_YOUR_CALM : ErrorCode.PROTOCOL_ERROR
        return this.#refuse(streamId, code)
      }
      if (this.#decoder.generation === generation)
        this.#heads.add(bytes.subarray(start, end), generation, head)
    }
    // What comes after the last word is as if it had never been sent.
    if (streamId > this.#lastServed) return
    if (this.#streams.size >= this.#limits.maxConcurrentStreams)
      return this.#refuse(streamId, ErrorCode.REFUSED_STREAM)
    this.#open(streamId, endsStream, head)
  }

  #refuse(streamId: number, code: number): void {
    this.#countReset()
    this.#sender.outbox.rstStream(streamId, code)
    this.#cutOff.add(streamId)
  }

  #open(streamId: number, endsStream: boolean, head: RequestHead): void {
    const handler = this.#context.routes.find(head.path)
    if (head.refusal !== null || handler === undefined) {
      const refusal = head.refusal ?? {
        httpStatus: 200,
        ...this.#context.routes.refusal(head.path),
      }
      this.#sender.refusal(streamId, refusal)
      if (!endsStream) this.#reset(streamId, ErrorCode.NO_ERROR)
      return
    }
    if (endsStream && (head.contentLength ?? 0) > 0)
      return this.#refuse(streamId, ErrorCode.PROTOCOL_ERROR)
    this.#controls.refill()
    this.#start(streamId, endsStream, head, handler)
  }

  #start(streamId: number, endsStream: boolean, head: RequestHead, handler: Handler): void {
    const stream = new ServerStream(streamId, head, handler, this, this.#initialWindow)
    this.#streams.set(streamId, stream)
    this.#current = stream
    this.#context.deadlines.add(stream)
    stream.open()
    if (endsStream) stream.halfClose()
  }

  #reset(streamId: number, code: number): void {
    this.#sender.outbox.rstStream(streamId, code)
    this.#cutOff.add(streamId)
  }

  #rstStream(streamId: number, size: number): void {
    if (size !== 4) throw frameSizeError('RST_STREAM')
    if (streamId === 0 || this.#isIdle(streamId)) throw protocolError('a reset of no stream')
    const stream = this.#streams.get(streamId)
    if (stream === undefined) return this.#countControl()
    this.#countReset()
    stream.cancel()
  }

  #settings(flags: number, streamId: number, bytes: Uint8Array, start: number, end: number): void {
    if (streamId !== 0) throw protocolError('settings of a stream')
    if ((flags & Flag.ACK) !== 0) {
      if (end > start) throw frameSizeError('SETTINGS')
      if (!this.#hasSettings) throw protocolError('a connection begins with settings')
      return
    }
    if (this.#hasSettings) this.#countControl()
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
      if (this.#isGoing && bytes[start] === GOING_PING[0]) this.#sayLastWord()
      return
    }
    this.#countControl()
    if (this.#sender.takeActivity()) this.#pings.isForgiven = true
    if (!this.#pings.allows(this.#streams.size))
      throw new Http2Error(ErrorCode.ENHANCE_YOUR_CALM, 'too_many_pings')
    this.#sender.outbox.frame(FrameType.PING, Flag.ACK, 0, bytes.subarray(start, end))
  }

  #windowUpdate(streamId: number, bytes: Uint8Array, start: number, end: number): void {
    if (end - start !== 4) throw frameSizeError('WINDOW_UPDATE')
    const increment = uint31At(bytes, start)
    if (streamId === 0) {
      if (increment === 0) throw protocolError('a window that grows by nothing')
      return this.#sender.grow(increment)
    }
    const stream = this.#find(streamId)
    if (stream === undefined) {
      if (this.#isIdle(streamId)) throw protocolError(`stream ${streamId} was never opened`)
      return
    }
    if (increment === 0) return this.#breakOff(stream, ErrorCode.PROTOCOL_ERROR)
    stream.sendWindow += increment
    if (stream.sendWindow > MAX_WINDOW_BYTES)
      return this.#breakOff(stream, ErrorCode.FLOW_CONTROL_ERROR)
    this.#sender.send(stream)
  }

  #clientGoes(streamId: number, size: number): void {
    if (streamId !== 0) throw protocolError('a farewell of a stream')
    if (size < 8) throw frameSizeError('GOAWAY')
    this.#countControl()
    this.goAway()
  }

  /** Nobody has to mind priorities any more, but they must be well formed. */
  #priority(streamId: number, bytes: Uint8Array, start: number, end: number): void {
    if (streamId === 0) throw protocolError('a priority of no stream')
    this.#countControl()
    if (end - start === 5 && (uint32At(bytes, start) & LAST_STREAM_ID) !== streamId) return
    const code = end - start === 5 ? ErrorCode.PROTOCOL_ERROR : ErrorCode.FRAME_SIZE_ERROR
    const stream = this.#streams.get(streamId)
    if (stream !== undefined) return this.#breakOff(stream, code)
    throw new Http2Error(code, 'a priority that is none')
  }

  // What streams need.

  sendWhole(stream: ServerStream, message: Uint8Array): boolean {
    if (!this.#sender.whole(stream, message)) return false
    this.#end(stream)
    return true
  }

  sendMessage(stream: ServerStream, message: Uint8Array): boolean {
    return this.#sender.message(stream, message)
  }

  sendSoon(stream: ServerStream): void {
    this.#sender.send(stream)
  }

  sendEnd(stream: ServerStream, status: Status | null): void {
    this.#sender.end(stream, status)
    this.#end(stream)
  }

  /** The client may still be sending: it is told that there is no need to. */
  #end(stream: ServerStream): void {
    if (!stream.isHalfClosed) this.#reset(stream.id, ErrorCode.NO_ERROR)
    stream.close()
  }

  sendReset(stream: ServerStream, code: number): void {
    this.#reset(stream.id, code)
  }

  sendWindowUpdate(stream: ServerStream, bytes: number): void {
    this.#sender.outbox.windowUpdate(stream.id, bytes)
  }

  takeRoom(bytes: number): boolean {
    if (bytes > 0 && this.#bufferedBytes + bytes > this.#limits.maxBufferedBytes) return false
    this.#bufferedBytes += bytes
    return true
  }

  forget(stream: ServerStream): void {
    this.#streams.delete(stream.id)
    this.#sender.forget(stream)
    if (this.#current === stream) this.#current = null
    this.#context.deadlines.remove(stream)
    if (this.#isGoing && this.#streams.size === 0) this.#finish()
  }

  // How it ends.

  /** Takes no more calls once the client has heard of it, and closes after the last one. */
  goAway(): void {
    if (this.#isGoing || this.#isClosed) return
    this.#isGoing = true
    const { outbox } = this.#sender
    outbox.goAway(LAST_STREAM_ID, ErrorCode.NO_ERROR)
    outbox.frame(FrameType.PING, 0, 0, GOING_PING)
  }

  /** Calls that were on their way when the client heard of it have arrived by now. */
  #sayLastWord(): void {
    if (this.#lastServed !== LAST_STREAM_ID) return
    this.#lastServed = this.#lastStreamId
    this.#sender.outbox.goAway(this.#lastStreamId, ErrorCode.NO_ERROR)
    if (this.#streams.size === 0) this.#finish()
  }

  #finish(): void {
    if (this.#isClosed || this.#lastServed === LAST_STREAM_ID) return
    this.#hangUp()
  }

  /** A connection error: says why, and closes (section 5.4.1). */
  #fail(code: number, message: string): void {
    const { outbox } = this.#sender
    outbox.goAway(this.#lastStreamId, code, message)
    this.#hangUp()
  }

  /** Whoever does not take the last words, or does not close its side after them, is cut off. */
  #hangUp(): void {
    this.#close()
    this.#sender.outbox.flush()
    this.#socket.end()
    const timer = setTimeout(() => this.#socket.destroy(), LINGER_MS)
    timer.unref()
    this.#socket.once('close', () => clearTimeout(timer))
  }

  /** Cuts it off. */
  destroy(): void {
    this.#close()
    this.#socket.destroy()
  }

  #close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const stream of this.#streams.values()) stream.cancel()
    this.#onClose()
  }

  /** Called every now and then: looks whether the client is still there, and still wanted. */
  look(now: number): void {
    switch (this.#quiet.due(now, this.#streams.size === 0)) {
      case 'ping':
        return this.#sender.outbox.frame(FrameType.PING, 0, 0, KEEPALIVE_PING)
      case 'go-away':
        return this.goAway()
      case 'destroy':
        return this.destroy()
      case 'nothing':
    }
  }
}

function protocolError(message: string): Http2Error {
  return new Http2Error(ErrorCode.PROTOCOL_ERROR, message)
}

function frameSizeError(frame: string): Http2Error {
  return new Http2Error(ErrorCode.FRAME_SIZE_ERROR, `a ${frame} of the wrong size`)
}
