/** HTTP/1.1 on connections that somebody else accepted, and requests of HTTP/2 by the same rules. */
import type { HttpRequest, HttpResponse } from '@coracle/grpc-server'
import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import type { Gateway } from '../gateway/gateway.ts'
import { type AccessOptions, accessControl } from './access.ts'
import { type Endpoint, serveEndpoint } from './endpoints.ts'
import { upgradableRequest } from './upgradable-request.ts'

export interface HttpServerOptions extends AccessOptions {
  /** Paths under `/v3/`. Null: there are none. */
  readonly gateway: Gateway | null
  readonly endpoints: ReadonlyMap<string, Endpoint>
}

export interface HttpServer {
  /** Serves one connection of HTTP/1.1, for as long as it lasts. */
  readonly serve: (socket: Socket) => void
  /** Serves one request, over whichever version it came. */
  readonly answer: (request: HttpRequest, response: HttpResponse) => void
  /** Requests that run go on; connections end when they have none. */
  close(): void
}

/** A client that sends its headers more slowly than this is sent away. */
const HEADERS_TIMEOUT_MS = 10_000

export function httpServer(options: HttpServerOptions): HttpServer {
  const { gateway, endpoints } = options
  const access = accessControl(options)
  let isClosing = false
  const answer = (request: HttpRequest, response: HttpResponse): void => {
    response.on('error', () => {})
    if (isClosing) response.setHeader('Connection', 'close')
    response.once('close', () => {
      if (isClosing) server.closeIdleConnections()
    })
    if (access.refuses(request, response)) return
    const url = urlOf(request)
    const exchange = { request, response }
    if (gateway?.serve(url.pathname, exchange) === true) return
    serveEndpoint(endpoints, url, exchange).catch(() => response.destroy())
  }
  // Bodies may take as long as they like: a watch takes requests for as long as it lasts.
  const limits = { headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: 0 }
  const IncomingMessage = upgradableRequest(
    (request) =>
      gateway?.webSockets.areAskedFor(urlOf(request).pathname, request) === true &&
      access.allowsWebSocket(request),
  )
  const server = createServer({ ...limits, IncomingMessage }, answer)
  if (gateway !== null)
    server.on('upgrade', (request, socket, head) =>
      gateway.webSockets.open(urlOf(request).pathname, request, socket, head),
    )
  // Watching over slow clients begins when a server listens, and this one never does.
  server.emit('listening')
  return {
    answer,
    serve(socket) {
      server.emit('connection', socket)
      socket.resume()
    },
    close() {
      isClosing = true
      // Ends the connections that are idle now; the others end with their requests.
      server.close()
      gateway?.webSockets.close()
    },
  }
}

/** What a client asks for need not be a URL, and is none of ours then. */
function urlOf({ url = '/' }: HttpRequest): URL {
  const base = 'http://localhost'
  return URL.canParse(url, base) ? new URL(url, base) : new URL(base)
}
