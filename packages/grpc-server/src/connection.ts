/** One HTTP/2 connection from the server's side (RFC 9113): frames in, calls out, and back. */
import type { Duplex } from 'node:stream'
import type { Handler } from './call.ts'
import type { Deadlines } from './deadlines.ts'
import { Farewell } from './farewell.ts'
import { FloodGuard } from './flood-guard.ts'
import { DEFAULT_WINDOW_BYTES, ErrorCode, FrameReader, FrameType, Http2Error } from './frames.ts'
import type { HttpHandler } from './http-exchange.ts'
import type { Fields } from './http-response.ts'
import { type ExchangeCarrier, HttpStream } from './http-stream.ts'
import type { Http2Stream } from './http2-stream.ts'
import { IncomingFrames } from './incoming-frames.ts'
import { OpenStreams } from './open-streams.ts'
import type { GrpcLimits } from './options.ts'
import type { OutgoingMessage } from './outgoing-message.ts'
import { QuietTime } from './quiet-time.ts'
import type { RequestHead } from './request-head.ts'
import type { Routes } from './routes.ts'
import { Sender } from './sender.ts'
import { writeSettings } from './settings.ts'
import { Code, type Status } from './status.ts'
import { type CallCarrier, ServerStream } from './stream.ts'

/** What connections share. */
export interface ConnectionContext {
  readonly routes: Routes
  /** Gets what is not gRPC; undefined if that is refused. */
  readonly onHttp2: HttpHandler | undefined
  readonly limits: GrpcLimits
  readonly deadlines: Deadlines
}

export interface Identity {
  readonly peer: string
  readonly commonName: string | undefined
}

const KEEPALIVE_PING = new Uint8Array(8)
const LINGER_MS = 1_000
const CLOSING: Status = { code: Code.UNAVAILABLE, message: 'transport is closing' }

export class Connection implements CallCarrier, ExchangeCarrier {
  readonly maxMessageBytes: number
  readonly windowBytes: number
  readonly maxQueuedBytes: number
  readonly #socket: Duplex
  readonly #identify: () => Identity
  readonly #context: ConnectionContext
  readonly #limits: GrpcLimits
  readonly #onClose: () => void
  readonly #sender: Sender
  readonly #streams = new OpenStreams()
  readonly #guard: FloodGuard
  readonly #farewell: Farewell
  readonly #frames: IncomingFrames
  readonly #reader: FrameReader
  readonly #quiet: QuietTime
  #bufferedBytes = 0
  #identity: Identity | null = null
  #isClosed = false

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
    this.#sender = new Sender(socket, limits.maxSocketBytes)
    this.#guard = new FloodGuard(limits)
    this.#farewell = new Farewell(this.#sender.outbox)
    this.#quiet = new QuietTime(limits)
    this.#frames = this.#readFrames()
    this.#reader = new FrameReader((type, flags, streamId, bytes, start, end) => {
      if (!this.#isClosed) this.#frames.take(type, flags, streamId, bytes, start, end)
    })
    this.#greet()
    socket.on('data', (bytes: Uint8Array) => this.read(bytes))
    socket.on('drain', () => this.#sender.socketDrained())
    socket.on('error', () => this.destroy())
    socket.on('end', () => this.destroy())
    socket.on('close', () => this.destroy())
  }

  #readFrames(): IncomingFrames {
    return new IncomingFrames({
      limits: this.#limits,
      streams: this.#streams,
      sender: this.#sender,
      guard: this.#guard,
      farewell: this.#farewell,
      events: {
        onRequest: (streamId, endsStream, head) => this.#request(streamId, endsStream, head),
        onRefused: (streamId, code) => this.#refuse(streamId, code),
        onClientGoes: () => this.goAway(),
        onHeard: () => this.#sayLastWord(),
      },
    })
  }

  #greet(): void {
    const { outbox } = this.#sender
    outbox.frame(FrameType.SETTINGS, 0, 0, writeSettings(this.#limits))
    outbox.windowUpdate(0, this.#frames.windowBytes - DEFAULT_WINDOW_BYTES)
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

  // What clients ask for.

  #request(streamId: number, endsStream: boolean, head: RequestHead): void {
    if (this.#farewell.isTooLate(streamId)) return
    if (this.#streams.size >= this.#limits.maxConcurrentStreams)
      return this.#refuse(streamId, ErrorCode.REFUSED_STREAM)
    this.#open(streamId, endsStream, head)
  }

  #refuse(streamId: number, code: number): void {
    this.#guard.countReset()
    this.#reset(streamId, code)
  }

  /** The one place where gRPC and plain HTTP part. */
  #open(streamId: number, endsStream: boolean, head: RequestHead): void {
    const { onHttp2 } = this.#context
    if (head.http === null || onHttp2 === undefined)
      return this.#openCall(streamId, endsStream, head)
    if (lacksContent(endsStream, head)) return this.#refuse(streamId, ErrorCode.PROTOCOL_ERROR)
    this.#guard.callBegins()
    const stream = new HttpStream(streamId, head, head.http, this, this.#frames.initialWindow)
    this.#startExchange(stream, endsStream, onHttp2)
  }

  #openCall(streamId: number, endsStream: boolean, head: RequestHead): void {
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
    if (lacksContent(endsStream, head)) return this.#refuse(streamId, ErrorCode.PROTOCOL_ERROR)
    this.#guard.callBegins()
    this.#startCall(streamId, endsStream, head, handler)
  }

  #startCall(streamId: number, endsStream: boolean, head: RequestHead, handler: Handler): void {
    const stream = new ServerStream(streamId, head, handler, this, this.#frames.initialWindow)
    this.#streams.add(stream)
    this.#context.deadlines.add(stream)
    stream.open()
    if (endsStream) stream.halfClose()
  }

  #startExchange(stream: HttpStream, endsStream: boolean, handler: HttpHandler): void {
    this.#streams.add(stream)
    // First, or an answer that is complete at once would be followed by a reset.
    if (endsStream) stream.halfClose()
    stream.open(handler)
  }

  #reset(streamId: number, code: number): void {
    this.#sender.outbox.rstStream(streamId, code)
    this.#streams.noteCutOff(streamId)
  }

  // What streams need.

  sendWhole(stream: ServerStream, message: Uint8Array): boolean {
    if (!this.#sender.whole(stream, message)) return false
    this.#end(stream)
    return true
  }

  sendMessage(stream: ServerStream, message: OutgoingMessage): boolean {
    return this.#sender.message(stream, message)
  }

  sendSoon(stream: Http2Stream): void {
    this.#sender.send(stream)
  }

  sendEnd(stream: ServerStream, status: Status | null): void {
    this.#sender.end(stream, status)
    this.#end(stream)
  }

  sendHead(stream: HttpStream, fields: Fields, isAll: boolean): void {
    this.#sender.httpHead(stream.id, fields, isAll)
    if (isAll) this.#end(stream)
  }

  sendBodyEnd(stream: HttpStream): void {
    this.#sender.httpEnd(stream.id)
    this.#end(stream)
  }

  /** The client may still be sending: it is told that there is no need to. */
  #end(stream: Http2Stream): void {
    if (!stream.isHalfClosed) this.#reset(stream.id, ErrorCode.NO_ERROR)
    stream.close()
  }

  sendReset(stream: Http2Stream, code: number): void {
    this.#reset(stream.id, code)
  }

  sendWindowUpdate(stream: Http2Stream, bytes: number): void {
    this.#sender.outbox.windowUpdate(stream.id, bytes)
  }

  takeRoom(bytes: number): boolean {
    if (bytes > 0 && this.#bufferedBytes + bytes > this.#limits.maxBufferedBytes) return false
    this.#bufferedBytes += bytes
    return true
  }

  forget(stream: Http2Stream): void {
    this.#streams.delete(stream)
    this.#sender.forget(stream)
    this.#context.deadlines.remove(stream)
    this.#maybeFinish()
  }

  // How it ends.

  /** Takes no more calls once the client has heard of it, and closes after the last one. */
  goAway(): void {
    if (!this.#isClosed) this.#farewell.begin()
  }

  #sayLastWord(): void {
    this.#farewell.sayLastWord(this.#streams.lastId)
    this.#maybeFinish()
  }

  #maybeFinish(): void {
    if (this.#farewell.isSaid && this.#streams.size === 0 && !this.#isClosed) this.#hangUp()
  }

  /** A connection error: says why, and closes (section 5.4.1). */
  #fail(code: number, message: string): void {
    const { outbox } = this.#sender
    outbox.goAway(this.#streams.lastId, code, message)
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

  /** Time is up: tells all calls that are left, and closes. */
  cutOff(): void {
    for (const stream of this.#streams.values()) stream.cutOff(CLOSING)
    this.#sender.outbox.flush()
    this.#close()
    this.#socket.end(() => this.#socket.destroy())
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

/** The request is over before the content came that it announced. */
function lacksContent(endsStream: boolean, { contentLength }: RequestHead): boolean {
  return endsStream && contentLength !== null && contentLength > 0
}
