/**
 * A request over HTTP/2 that is not one of gRPC, and its answer. They are what handlers for node:http
 * use of `IncomingMessage` and `ServerResponse`, so that one handler serves both versions.
 */
import type { IncomingHttpHeaders, OutgoingHttpHeader, OutgoingHttpHeaders } from 'node:http'
import type { Readable, Writable } from 'node:stream'

/** Its stream is the body; it is destroyed with an error if the client breaks off. */
export interface HttpRequest extends Readable {
  readonly method?: string | undefined
  readonly url?: string | undefined
  /** By names in lower case. `host` is HTTP/2's `:authority` if there is one. */
  readonly headers: IncomingHttpHeaders
}

/** Its stream is the body; it closes when all is sent, or when nobody waits for it any more. */
export interface HttpResponse extends Writable {
  /** `writeHead` was called, or the body has begun. */
  readonly headersSent: boolean
  setHeader(name: string, value: OutgoingHttpHeader): unknown
  writeHead(status: number, headers?: OutgoingHttpHeaders): this
}

export type HttpHandler = (request: HttpRequest, response: HttpResponse) => void
