/**
 * etcd's API as JSON over HTTP, in the manner of grpc-gateway: every method of the table is called
 * from here directly, without gRPC in between.
 */
import type { Environment } from '@coracle/raft-core'
import { isEncoded, joined } from '../encoded.ts'
import { requestTooLarge, unexpected } from '../errors.ts'
import type { Rpc } from '../method.ts'
import { codecOf, type MethodSchema } from '../schema.ts'
import {
  type Exchange,
  HttpCall,
  HttpDuplexCall,
  type JsonCodec,
  sendError,
  sendLine,
  sendMessage,
} from './http-call.ts'
import { deadlineExceeded, malformedJson, notFound, notPost } from './http-errors.ts'
import { jsonDecoder } from './json-decode.ts'
import { jsonEncoder } from './json-encode.ts'
import { parseFirst } from './json-text.ts'
import { gatewayPaths, withoutBeta } from './paths.ts'

export interface GatewayOptions {
  readonly rpcs: ReadonlyMap<string, Rpc>
  /** The largest request as JSON, in bytes. */
  readonly maxBodyBytes: number
  readonly environment: Environment
}

export interface Gateway {
  /** Answers the request if it is one for a path of the gateway; says whether it was. */
  serve(path: string, exchange: Exchange): boolean
}

interface Route {
  readonly rpc: Rpc
  readonly codec: JsonCodec
}

export function jsonGateway(options: GatewayOptions): Gateway {
  const routes = new Map<string, Route>()
  for (const [path, name] of gatewayPaths()) {
    const rpc = options.rpcs.get(name)
    if (rpc !== undefined) routes.set(path, { rpc, codec: jsonCodec(rpc.schema) })
  }
  return {
    serve(asked, exchange) {
      const path = withoutBeta(asked)
      if (!path.startsWith('/v3/')) return false
      const route = routes.get(path)
      if (route === undefined) sendError(exchange, notFound)
      else if (exchange.request.method !== 'POST') sendError(exchange, notPost)
      else serveRoute(route, exchange, options)
      return true
    },
  }
}

function jsonCodec({ requestType, responseType }: MethodSchema): JsonCodec {
  const decode = jsonDecoder<object>(requestType)
  const encode = jsonEncoder<object>(responseType)
  const responses = codecOf<object>(responseType)
  return {
    decode: (text) => decode(text.trim() === '' ? {} : parseFirst(text)),
    encode: (message) => encode(isEncoded(message) ? responses.decode(joined(message)) : message),
  }
}

function serveRoute({ rpc, codec }: Route, exchange: Exchange, options: GatewayOptions): void {
  if (rpc.kind === 'duplex') {
    rpc.call(new HttpDuplexCall(exchange, codec, options.maxBodyBytes))
    return
  }
  const call = new HttpCall(exchange)
  const stopClock = startClock(call, options.environment)
  const answer = async (): Promise<void> => {
    const request = codec.decode(await readBody(exchange, options.maxBodyBytes))
    if (rpc.kind === 'unary') {
      const response = await rpc.call(request, call)
      if (!exchange.response.headersSent) sendMessage(exchange, codec.encode(response))
    } else await sendAll(rpc.call(request, call), call, codec)
  }
  answer()
    .catch((error: unknown) => {
      if (!exchange.response.writableEnded) sendError(exchange, unexpected(malformedJson(error)))
    })
    .finally(stopClock)
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

/** Rejects with "request is too large" and reads no further. */
function readBody({ request, response }: Exchange, maxBytes: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = []
    let bytes = 0
    request.on('data', (chunk: Uint8Array) => {
      bytes += chunk.length
      if (bytes <= maxBytes) {
        chunks.push(chunk)
        return
      }
      // What is left of the body would be taken for the next request.
      response.setHeader('Connection', 'close')
      request.pause()
      reject(requestTooLarge)
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
  const [, amount, unit] = /^(\d{1,8})([HMSmun])$/.exec(String(given ?? '')) ?? []
  if (amount === undefined || unit === undefined) return () => {}
  const timeoutMs = Math.min(Number(amount) * (UNITS_MS[unit] ?? 0), 0x7fff_ffff)
  const stop = environment.every(Math.max(timeoutMs, 1), () => {
    stop()
    call.expire()
    sendError(call.exchange, deadlineExceeded)
  })
  return stop
}
