/**
 * The gateway for pages, which can do no more than one answer per request otherwise: a WebSocket at
 * any of its paths is a call of the method there, as etcd has it by way of grpc-websocket-proxy.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { WebSocketServer } from 'ws'
import { unexpected } from '../errors.ts'
import type { Rpc } from '../method.ts'
import { errorBody, notFound } from './http-errors.ts'
import { isGatewayPath, type RouteOf } from './routes.ts'
import { NORMAL_CLOSURE, type OpenWebSocket, WebSocketCall } from './web-socket-call.ts'

export interface WebSocketsOptions {
  readonly routeOf: RouteOf
  /** The largest message of a client, in bytes. */
  readonly maxTextBytes: number
}

export interface WebSockets {
  /** Whether the request at this path asks for a WebSocket. */
  areAskedFor(path: string, request: IncomingMessage): boolean
  /** Takes the connection over. */
  open(path: string, request: IncomingMessage, socket: Duplex, head: Buffer): void
  /** Calls that run go on; clients that have asked for nothing yet are sent away. */
  close(): void
}

export function webSockets({ routeOf, maxTextBytes }: WebSocketsOptions): WebSockets {
  const waiting = new Set<WebSocketCall>()
  let isClosing = false
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    // What is compressed could be anything once it is not.
    perMessageDeflate: false,
    maxPayload: maxTextBytes,
    // A page that offers a token is to hear that it was understood, but not the token.
    handleProtocols: (protocols) => protocols.has('Bearer') && 'Bearer',
  })
  const serve = (path: string, open: OpenWebSocket): void => {
    // A client that breaks the rules is cut off, and the call is over then.
    open.webSocket.on('error', () => {})
    const route = routeOf(path)
    if (route === null) {
      open.webSocket.send(errorBody(notFound))
      open.webSocket.close(NORMAL_CLOSURE)
      return
    }
    const call = new WebSocketCall(open, route.codec)
    if (route.rpc.kind === 'duplex') return route.rpc.call(call)
    waiting.add(call)
    call.onceOver(() => waiting.delete(call))
    serveFirst(route.rpc, call, () => waiting.delete(call))
    if (isClosing) call.leave()
  }
  return {
    areAskedFor: (path, { method, headers: { upgrade = '' } }) =>
      method === 'GET' && upgrade.toLowerCase() === 'websocket' && isGatewayPath(path),
    open(path, request, socket, head) {
      server.handleUpgrade(request, socket, head, (webSocket) =>
        serve(path, { request, socket, webSocket }),
      )
    },
    close() {
      isClosing = true
      for (const call of waiting) call.leave()
    },
  }
}

/** The first request is answered, with one message or with many; others are not looked at. */
function serveFirst(
  rpc: Exclude<Rpc, { kind: 'duplex' }>,
  call: WebSocketCall,
  onAsked: () => void,
): void {
  let isAsked = false
  const serve = async (request: object): Promise<void> => {
    if (rpc.kind === 'unary') call.answer(await rpc.call(request, call))
    else await sendAll(rpc.call(request, call), call)
  }
  call.receive({
    message(request) {
      if (isAsked) return
      isAsked = true
      onAsked()
      serve(request).catch((error: unknown) => call.end(unexpected(error)))
    },
    end() {},
  })
}

/** The next message is asked for when the client has room for it. */
async function sendAll(messages: AsyncIterable<object>, call: WebSocketCall): Promise<void> {
  let wake = (): void => {}
  call.onRoom(() => wake())
  call.onceOver(() => wake())
  for await (const message of messages) {
    if (call.cancelled) return
    if (call.write(message) || call.cancelled) continue
    await new Promise<void>((resolve) => {
      wake = resolve
    })
  }
  call.end()
}
