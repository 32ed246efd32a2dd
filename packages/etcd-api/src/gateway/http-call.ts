/** Calls over HTTP/1.1 or HTTP/2: JSON in, JSON out. */
import type { HttpRequest, HttpResponse } from '@coracle/grpc-server'
import { StringDecoder } from 'node:string_decoder'
import type { Call, DuplexCall, Receiver } from '../call.ts'
import { type EtcdError, unexpected } from '../errors.ts'
import { errorBody, errorLine, httpStatusOf, malformedJson } from './http-errors.ts'
import type { JsonCodec } from './json-codec.ts'
import { jsonRequests } from './json-requests.ts'

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
  if (response.headersSent) response.end(`${errorLine(error)}\n`)
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

/** `Authorization` goes by its own name, everything else behind grpc-gateway's prefix. */
export function metadataOf({ headers }: HttpRequest, name: string): string | undefined {
  const value = headers[name === 'authorization' ? name : `grpc-metadata-${name}`]
  return Array.isArray(value) ? value[0] : value
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

  metadata(name: string): string | undefined {
    return metadataOf(this.exchange.request, name)
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
  #hasEnded = false

  constructor(exchange: Exchange, codec: JsonCodec) {
    super(exchange)
    this.#codec = codec
  }

  receive(receiver: Receiver<object>): void {
    const { request } = this.exchange
    const text = new StringDecoder('utf8')
    const requests = jsonRequests(this.#codec)
    request.on('data', (chunk: Uint8Array) =>
      this.#unlessMalformed(() => {
        for (const message of requests.push(text.write(Buffer.from(chunk)))) {
          receiver.message(message)
          if (this.#hasEnded) return
        }
      }),
    )
    request.once('end', () =>
      this.#unlessMalformed(() => {
        requests.finish()
        receiver.end()
      }),
    )
    // A body that breaks off ends the connection, and with it the call.
    request.on('error', () => {})
  }

  #unlessMalformed(take: () => void): void {
    if (this.#hasEnded) return
    try {
      take()
    } catch (error) {
      this.end(unexpected(malformedJson(error)))
    }
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
