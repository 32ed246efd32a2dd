/** One request of plain HTTP and its answer, on a stream of HTTP/2. */
import { ErrorCode } from './frames.ts'
import type { HttpHandler } from './http-exchange.ts'
import { Http2Request } from './http-request.ts'
import { type Fields, Http2Response } from './http-response.ts'
import type { Http2Stream, StreamCarrier } from './http2-stream.ts'
import { ReceiveWindow } from './receive-window.ts'
import { viewOf } from './message-reader.ts'
import type { HttpHead, RequestHead } from './request-head.ts'
import type { Outgoing, PayloadSink } from './send-queue.ts'

/** What an exchange needs of its connection. */
export interface ExchangeCarrier extends StreamCarrier {
  /** Sends the head of the answer; of one without a body, all of it. */
  sendHead(stream: HttpStream, fields: Fields, isAll: boolean): void
  /** Ends the answer after its body. */
  sendBodyEnd(stream: HttpStream): void
}

export class HttpStream implements Http2Stream {
  readonly id: number
  readonly received: ReceiveWindow
  /** What limits a request in time is its handler's affair. */
  readonly deadline = null
  sendWindow: number
  /** Nothing waits in the queue before the head is sent. */
  readonly hasBegun = true
  isHalfClosed = false
  isOver = false
  /** One piece at a time: the answer's stream keeps the others. */
  queue: Piece | null = null
  readonly #carrier: ExchangeCarrier
  readonly #request: Http2Request
  readonly #response: Http2Response
  /** The body is waited for. */
  #isWanted = true
  /** Of the body: what has arrived, and was not taken when somebody looked. */
  #heldBytes = 0

  constructor(
    id: number,
    head: RequestHead,
    http: HttpHead,
    carrier: ExchangeCarrier,
    sendWindow: number,
  ) {
    this.id = id
    this.#carrier = carrier
    this.sendWindow = sendWindow
    this.received = new ReceiveWindow(carrier.windowBytes, head.contentLength)
    this.#request = new Http2Request(head.path, http, () => this.#wantMore())
    this.#response = new Http2Response(
      {
        head: (fields, isAll) => carrier.sendHead(this, fields, isAll),
        piece: (bytes, taken) => {
          this.queue = new Piece(bytes, taken)
          carrier.sendSoon(this)
        },
        end: () => carrier.sendBodyEnd(this),
        destroyed: () => this.abort(ErrorCode.INTERNAL_ERROR),
      },
      { isHead: http.method === 'HEAD', highWaterMark: carrier.maxQueuedBytes },
    )
  }

  open(handler: HttpHandler): void {
    // Whoever asks before it sends the body need not have asked.
    if (this.#request.headers.expect?.toLowerCase() === '100-continue')
      this.#carrier.sendHead(this, [[':status', '100']], false)
    this.#run(() => handler(this.#request, this.#response))
  }

  /** A handler that throws is a defect, and not to harm the connection. */
  #run(step: () => void): void {
    try {
      step()
    } catch {
      this.abort(ErrorCode.INTERNAL_ERROR)
    }
  }

  takeData(bytes: Uint8Array, start: number, end: number): void {
    if (this.isOver || this.#request.destroyed) return
    this.#run(() => {
      this.#isWanted = this.#request.push(viewOf(bytes, start, end))
    })
    if (!this.#hold()) this.abort(ErrorCode.ENHANCE_YOUR_CALM)
  }

  /** Makes what is held of the connection's memory as much as waits in the request. */
  #hold(): boolean {
    if (this.isOver) return true
    const { readableLength } = this.#request
    if (!this.#carrier.takeRoom(readableLength - this.#heldBytes)) return false
    this.#heldBytes = readableLength
    return true
  }

  #wantMore(): void {
    this.#isWanted = true
    this.#hold()
    this.credit()
  }

  credit(): void {
    if (!this.#isWanted || this.isHalfClosed || this.isOver || this.#request.destroyed) return
    const credit = this.received.credit()
    if (credit > 0) this.#carrier.sendWindowUpdate(this, credit)
  }

  halfClose(): void {
    this.isHalfClosed = true
    if (!this.isOver) this.#run(() => this.#request.push(null))
  }

  get queuedBytes(): number {
    return this.queue?.bytes ?? 0
  }

  afterSending(taken: readonly (() => void)[]): void {
    if (taken.length === 0) return
    this.queue = null
    for (const tell of taken) tell()
  }

  expire(): void {
    this.cutOff()
  }

  cutOff(): void {
    this.abort(ErrorCode.CANCEL)
  }

  abort(code: number): void {
    if (this.isOver) return
    this.#carrier.sendReset(this, code)
    this.cancel()
  }

  cancel(): void {
    this.#letGo(new Error('the client has broken off'))
  }

  close(): void {
    this.#letGo()
  }

  /** The answer closes by itself when its end is sent. */
  #letGo(error?: Error): void {
    if (this.isOver) return
    this.isOver = true
    this.queue = null
    this.#carrier.takeRoom(-this.#heldBytes)
    this.#carrier.forget(this)
    this.#request.destroy(error)
    if (error !== undefined) this.#response.destroy()
  }
}

class Piece implements Outgoing {
  readonly #taken: () => void
  #left: Uint8Array

  constructor(bytes: Uint8Array, taken: () => void) {
    this.#left = bytes
    this.#taken = taken
  }

  get bytes(): number {
    return this.#left.length
  }

  take(bytes: number, sink: PayloadSink): readonly (() => void)[] {
    sink.bytes(this.#left.subarray(0, bytes))
    this.#left = this.#left.subarray(bytes)
    return this.#left.length === 0 ? [this.#taken] : []
  }
}
