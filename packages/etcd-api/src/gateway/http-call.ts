/** Calls over HTTP/1.1 or HTTP/2: JSON in, JSON out. */
import type { HttpRequest, HttpResponse } from '@coracle/grpc-server'
import { StringDecoder } from 'node:string_decoder'
import type { Call, DuplexCall, Receiver } from '../call.ts'
import { type EtcdError, requestTooLarge, unexpected } from '../errors.ts'
import { errorBody, errorLine, httpStatusOf, malformedJson } from './http-errors.ts'
import { type JsonSplitter, jsonSplitter } from './json-text.ts'

/** Between JSON and the messages of one method. */
export interface JsonCodec {
  /** Throws for text that is no such message; see {@link malformedJson}. */
  decode(text: string): object
  /** Takes a message, or the bytes of one. */
  encode(message: object): string
}

/** What one HTTP request is part of. */
export interface Exchange {
  readonly request: HttpRequest
  readonly response: HttpResponse
}

const HEADERS = {
  'Content-Type': 'application/json',
  'Grpc-Metadata-Content-Type': 'application/grpc',
}

/** Answers with one message. */
export function sendMessage({ response }: Exchange, json: string): void {
  send(response, 200, json)
}

/** Answers with an error; as the last line, if the answer has begun. */
export function sendError({ response }: Exchange, error: EtcdError): void {
  if (response.headersSent) response.end(errorLine(error))
  else {
    const status = httpStatusOf(error)
    if (status === 401) response.setHeader('WWW-Authenticate', visible(error.message))
    send(response, status, errorBody(error))
  }
}

function send(response: HttpResponse, status: number, json: string): void {
  response.writeHead(status, { ...HEADERS, 'Content-Length': Buffer.byteLength(json) }).end(json)
}

/** One message of a stream: whether there is room for more. The first one begins the answer. */
export function sendLine({ response }: Exchange, json: string, taken?: () => void): boolean {
  if (!response.headersSent) response.writeHead(200, HEADERS)
  return response.write(`{"result":${json}}\n`, () => taken?.())
}

function visible(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?')
}

/** The call as the services see it. The caller of the gateway has no certificate that counts. */
export class HttpCall implements Call {
  readonly commonName = undefined
  readonly exchange: Exchange
  #isOver = false

  constructor(exchange: Exchange) {
    this.exchange = exchange
    exchange.response.once('close', () => {
      this.#isOver = true
    })
  }

  get cancelled(): boolean {
    return this.#isOver
  }

  /** `Authorization` goes by its own name, everything else behind grpc-gateway's prefix. */
  metadata(name: string): string | undefined {
    const { headers } = this.exchange.request
    const value = headers[name === 'authorization' ? name : `grpc-metadata-${name}`]
    return Array.isArray(value) ? value[0] : value
  }

  onceOver(listener: () => void): void {
    if (this.#isOver) queueMicrotask(listener)
    else this.exchange.response.once('close', listener)
  }

  /** Nobody is waited for any more, although the connection is still there. */
  expire(): void {
    this.#isOver = true
  }
}

/**
 * The request's body is a sequence of JSON objects, the answer's one of lines. That the body has
 * come to its end says no more than that there are no further requests.
 */
export class HttpDuplexCall extends HttpCall implements DuplexCall<object, object> {
  readonly #codec: JsonCodec
  readonly #maxBytes: number
  #hasEnded = false

  constructor(exchange: Exchange, codec: JsonCodec, maxBytes: number) {
    super(exchange)
    this.#codec = codec
    this.#maxBytes = maxBytes
  }

  receive(receiver: Receiver<object>): void {
    const { request } = this.exchange
    const text = new StringDecoder('utf8')
    const splitter = jsonSplitter()
    request.on('data', (chunk: Uint8Array) => {
      if (this.#hasEnded) return
      try {
        this.#take(splitter, text.write(Buffer.from(chunk)), receiver)
      } catch (error) {
        this.end(unexpected(malformedJson(error)))
      }
    })
    request.once('end', () => {
      if (this.#hasEnded) return
      try {
        if (splitter.rest.trim() !== '') this.#codec.decode(splitter.rest)
        receiver.end()
      } catch (error) {
        this.end(unexpected(malformedJson(error)))
      }
    })
    // A body that breaks off ends the connection, and with it the call.
    request.on('error', () => {})
  }

  #take(splitter: JsonSplitter, text: string, receiver: Receiver<object>): void {
    for (const value of splitter.push(text)) {
      if (this.#hasEnded) return
      receiver.message(this.#codec.decode(value))
    }
    if (splitter.rest.length > this.#maxBytes) throw requestTooLarge
  }

  pause(): void {
    this.exchange.request.pause()
  }

  resume(): void {
    this.exchange.request.resume()
  }

  write(message: object, taken?: () => void): boolean {
    if (this.#hasEnded || this.cancelled) return true
    return sendLine(this.exchange, this.#codec.encode(message), taken)
  }

  onRoom(listener: () => void): void {
    this.exchange.response.on('drain', listener)
  }

  end(error?: EtcdError): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    if (error !== undefined) return sendError(this.exchange, error)
    if (!this.exchange.response.headersSent) this.exchange.response.writeHead(200, HEADERS)
    this.exchange.response.end()
  }
}
