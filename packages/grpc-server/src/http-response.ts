/** The server's side of an exchange over HTTP: a head, then a body that is sent as it is written. */
import {
  type OutgoingHttpHeader,
  type OutgoingHttpHeaders,
  validateHeaderName,
  validateHeaderValue,
} from 'node:http'
import { Writable } from 'node:stream'
import type { HttpResponse } from './http-exchange.ts'

export type Fields = readonly (readonly [name: string, value: string])[]

/** Where an answer goes. */
export interface ResponseSink {
  head(fields: Fields, isAll: boolean): void
  /** Calls back when the client has had room for all of the piece. */
  piece(bytes: Uint8Array, taken: () => void): void
  end(): void
  /** Destroyed: by the handler, unless it has been over before. */
  destroyed(): void
}

/** Fields about a connection of HTTP/1.1, which are malformed here (RFC 9113, section 8.2.2). */
const OF_CONNECTIONS: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
])

export class Http2Response extends Writable implements HttpResponse {
  headersSent = false
  readonly #sink: ResponseSink
  readonly #isHead: boolean
  readonly #headers = new Map<string, OutgoingHttpHeader>()
  #status = 200
  #hasBegun = false

  constructor(sink: ResponseSink, options: { isHead: boolean; highWaterMark: number }) {
    super({ highWaterMark: options.highWaterMark })
    this.#sink = sink
    this.#isHead = options.isHead
    // That nobody is there to read it is no failure of its handler.
    this.on('error', () => {})
  }

  setHeader(name: string, value: OutgoingHttpHeader): this {
    if (this.headersSent) throw new Error('the headers have been sent')
    validateHeaderName(name)
    for (const each of [value].flat()) validateHeaderValue(name, String(each))
    this.#headers.set(name.toLowerCase(), value)
    return this
  }

  writeHead(status: number, headers: OutgoingHttpHeaders = {}): this {
    for (const [name, value] of Object.entries(headers))
      if (value !== undefined) this.setHeader(name, value)
    this.#status = status
    this.headersSent = true
    return this
  }

  override _write(bytes: Uint8Array, _encoding: string, taken: () => void): void {
    if (!this.#hasBody) return taken()
    this.#begin(false)
    if (bytes.length === 0) taken()
    else this.#sink.piece(bytes, taken)
  }

  override _final(done: () => void): void {
    if (this.#hasBegun) this.#sink.end()
    else this.#begin(true)
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#sink.destroyed()
    done(error)
  }

  get #hasBody(): boolean {
    return !this.#isHead && this.#status !== 204 && this.#status !== 304
  }

  #begin(isAll: boolean): void {
    if (this.#hasBegun) return
    this.#hasBegun = true
    this.headersSent = true
    this.#sink.head(this.#fields(), isAll)
  }

  #fields(): Fields {
    const fields: [string, string][] = [[':status', String(this.#status)]]
    if (!this.#headers.has('date')) fields.push(['date', new Date().toUTCString()])
    for (const [name, value] of this.#headers)
      if (!OF_CONNECTIONS.has(name))
        for (const each of [value].flat()) fields.push([name, String(each)])
    return fields
  }
}
