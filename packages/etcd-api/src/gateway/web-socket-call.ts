/** Calls over WebSockets: requests and answers are messages, as JSON. */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import type { DuplexCall, Receiver } from '../call.ts'
import { type EtcdError, unexpected } from '../errors.ts'
import { metadataOf } from './http-call.ts'
import { errorBody, errorLine, malformedJson } from './http-errors.ts'
import type { JsonCodec } from './json-codec.ts'
import { jsonRequests } from './json-requests.ts'

/** A WebSocket that is open, and what it came from. */
export interface OpenWebSocket {
  readonly request: IncomingMessage
  readonly socket: Duplex
  readonly webSocket: WebSocket
}

/** How a WebSocket is closed (RFC 6455, 7.4.1) when all has been said. */
export const NORMAL_CLOSURE = 1_000
/** The same when the server stops. */
const GOING_AWAY = 1_001

/**
 * One call has one WebSocket. As in etcd, the messages of the client are one text: a request may come
 * in several of them, and one may hold several requests. That the client sends no more is not told:
 * it closes the WebSocket, and with it the call.
 */
export class WebSocketCall implements DuplexCall<object, object> {
  readonly commonName = undefined
  readonly #open: OpenWebSocket
  readonly #codec: JsonCodec
  readonly #listeners: (() => void)[] = []
  #hasBegun = false
  #isOver = false

  constructor(open: OpenWebSocket, codec: JsonCodec) {
    this.#open = open
    this.#codec = codec
    open.webSocket.once('close', () => this.#finish())
  }

  get cancelled(): boolean {
    return this.#isOver
  }

  /** Pages cannot set headers: their token comes as the protocol that follows `Bearer`. */
  metadata(name: string): string | undefined {
    const { request } = this.#open
    const given = metadataOf(request, name)
    if (given !== undefined || name !== 'authorization') return given
    const protocols = request.headers['sec-websocket-protocol']
    return /^Bearer *, *([^ ,]+)/.exec(protocols ?? '')?.[1]
  }

  onceOver(listener: () => void): void {
    if (this.#isOver) queueMicrotask(listener)
    else this.#listeners.push(listener)
  }

  receive(receiver: Receiver<object>): void {
    const requests = jsonRequests(this.#codec)
    this.#open.webSocket.on('message', (data: Buffer) => {
      if (this.#isOver) return
      try {
        for (const request of requests.push(`${data.toString()}\n`)) {
          receiver.message(request)
          if (this.#isOver) return
        }
      } catch (error) {
        this.end(unexpected(malformedJson(error)))
      }
    })
  }

  pause(): void {
    this.#open.webSocket.pause()
  }

  resume(): void {
    this.#open.webSocket.resume()
  }

  write(message: object, taken?: () => void): boolean {
    return this.#send(`{"result":${this.#codec.encode(message)}}`, taken)
  }

  onRoom(listener: () => void): void {
    this.#open.socket.on('drain', listener)
  }

  /** The one answer of a method that has one. It ends the call. */
  answer(message: object): void {
    this.#send(this.#codec.encode(message))
    this.#close(NORMAL_CLOSURE)
  }

  end(error?: EtcdError): void {
    if (error !== undefined) this.#send(this.#hasBegun ? errorLine(error) : errorBody(error))
    this.#close(NORMAL_CLOSURE)
  }

  /** The server stops, and nothing has been asked for. */
  leave(): void {
    this.#close(GOING_AWAY)
  }

  #send(json: string, taken?: () => void): boolean {
    if (this.#isOver) return true
    this.#hasBegun = true
    const { socket, webSocket } = this.#open
    webSocket.send(json, () => taken?.())
    return !socket.writableNeedDrain
  }

  /** The client may take its time to agree that it is closed. What it still says is not heard. */
  #close(code: number): void {
    if (this.#isOver) return
    this.#open.webSocket.resume()
    this.#open.webSocket.close(code)
    this.#finish()
  }

  #finish(): void {
    if (this.#isOver) return
    this.#isOver = true
    for (const listener of this.#listeners) listener()
  }
}
