/**
 * etcd's API as JSON over HTTP, in the manner of grpc-gateway: every method of the table is called
 * from here directly, without gRPC in between.
 */
import type { Environment } from '@coracle/raft-core'
import { unexpected } from '../errors.ts'
import type { Rpc } from '../method.ts'
import type { Traffic } from '../metrics/rpc-metrics.ts'
import {
  type Exchange,
  HttpCall,
  HttpDuplexCall,
  sendError,
  sendLine,
  sendMessage,
} from './http-call.ts'
import {
  deadlineExceeded,
  invalidTimeout,
  malformedJson,
  notFound,
  notPost,
} from './http-errors.ts'
import { type JsonCodec, textBytesFor } from './json-codec.ts'
import { gatewayRoutes, isGatewayPath, type Route } from './routes.ts'
import { type WebSockets, webSockets } from './web-sockets.ts'

export interface GatewayOptions {
  readonly rpcs: ReadonlyMap<string, Rpc>
  /** The JSON of requests and answers is added to it. */
  readonly traffic: Traffic
  /** The largest request as protobuf, in bytes. */
  readonly maxMessageBytes: number
  readonly environment: Environment
}

export interface Gateway {
  /** Answers the request if it is one for a path of the gateway; says whether it was. */
  serve(path: string, exchange: Exchange): boolean
  /** The same methods at the same paths, for clients that want more than one answer of a request. */
  readonly webSockets: WebSockets
}

export function jsonGateway(options: GatewayOptions): Gateway {
  const routeOf = gatewayRoutes(options.rpcs, options)
  return {
    webSockets: webSockets({ routeOf, maxTextBytes: textBytesFor(options.maxMessageBytes) }),
    serve(path, exchange) {
      if (!isGatewayPath(path)) return false
      const route = routeOf(path)
      if (route === null) sendError(exchange, notFound)
      else if (exchange.request.method !== 'POST') sendError(exchange, notPost)
      else serveRoute(route, exchange, options)
      return true
    },
  }
}

function serveRoute({ rpc, codec }: Route, exchange: Exchange, options: GatewayOptions): void {
  if (rpc.kind === 'duplex') {
    rpc.call(new HttpDuplexCall(exchange, codec))
    return
  }
  const call = new HttpCall(exchange)
  let stopClock = (): void => {}
  const answer = async (): Promise<void> => {
    stopClock = startClock(call, options.environment)
    const request = codec.decode(await readBody(exchange, codec))
    if (rpc.kind === 'unary') {
      const response = await rpc.call(request, call)
      if (!exchange.response.headersSent) sendMessage(exchange, codec.encode(response))
    } else await sendAll(rpc.call(request, call), call, codec)
  }
  answer()
    .catch((error: unknown) => {
      if (!exchange.response.writableEnded) sendError(exchange, unexpected(malformedJson(error)))
    })
    .finally(() => stopClock())
}

/** The next message is asked for when the client has room for it. */
async function sendAll(
  messages: AsyncIterable<object>,
  call: HttpCall,
  codec: JsonCodec,
): Promise<void> {
  const { exchange } = call
  for await (const message of messages) {
    if (call.cancelled) return
    if (!sendLine(exchange, codec.encode(message))) await roomIn(call)
  }
  exchange.response.end()
}

/** Resolves when the client has taken what was written, or has gone. */
function roomIn({ exchange: { response } }: HttpCall): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done).off('close', done)
      resolve()
    }
    response.once('drain', done).once('close', done)
    if (response.destroyed) done()
  })
}

/** Of one that is too large for any message, no more is read than shows it. */
function readBody({ request, response }: Exchange, codec: JsonCodec): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = []
    let bytes = 0
    request.on('data', (chunk: Uint8Array) => {
      bytes += chunk.length
      if (bytes <= codec.maxTextBytes) {
        chunks.push(chunk)
        return
      }
      // What is left of the body would be taken for the next request.
      response.setHeader('Connection', 'close')
      request.pause()
      reject(codec.tooLarge(bytes))
    })
    request.once('end', () => resolve(Buffer.concat(chunks).toString('utf8')))
    request.once('error', reject)
  })
}

const UNITS_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 0.001,
  n: 0.000_001,
}

/** Ends the call when the time is up that the client gave it (`Grpc-Timeout: 500m`). */
function startClock(call: HttpCall, environment: Environment): () => void {
  const given = call.exchange.request.headers['grpc-timeout']
  if (given === undefined) return () => {}
  const stop = environment.every(timeoutMsOf(String(given)), () => {
    stop()
    call.expire()
    sendError(call.exchange, deadlineExceeded)
  })
  return stop
}

/** At least 1. Throws for what is no time. */
function timeoutMsOf(given: string): number {
  const [, amount, unit = ''] = /^(\d{1,8})([HMSmun])$/.exec(given) ?? []
  if (amount === undefined) throw invalidTimeout(given)
  const timeoutMs = Math.min(Number(amount) * (UNITS_MS[unit] ?? 0), 0x7fff_ffff)
  return Math.max(timeoutMs, 1)
}
