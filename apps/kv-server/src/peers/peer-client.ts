/** Asks other members over HTTP/1.1. Every question has an end in time, and every answer in size. */
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { ForwardedAnswer, ForwardedCall } from '@coracle/etcd-api'
import type { ConnectionOptions } from 'node:tls'
import { parseAddress } from '@coracle/raft-core/transport'
import { urlsOfAddress } from './addresses.ts'
import {
  CLUSTER_HEADER,
  type ClusterView,
  FORWARD_PATH,
  HASH_PATH,
  MEMBERS_PATH,
  parseClusterView,
  parseHash,
  parseRefusal,
  type RemoteHash,
} from './protocol.ts'

const MAX_ANSWER_BYTES = 8 << 20

/** There was no connection, so nothing left this member, and another address may be tried. */
class NeverSentError extends Error {
  override readonly name = 'NeverSentError'
}

export interface AskOptions {
  /** In hexadecimal. */
  readonly clusterId: string
  readonly timeoutMs: number
  /** How this member calls others by TLS. Null: it does not. */
  readonly tls: ConnectionOptions | null
}

interface Question extends Omit<AskOptions, 'clusterId'> {
  readonly method: 'GET' | 'POST'
  /** Of a member, as others are told it. */
  readonly base: string
  readonly path: string
  /** Default: `timeoutMs`. */
  readonly connectTimeoutMs?: number
  readonly clusterId?: string
  readonly body?: Uint8Array
}

interface Answer {
  readonly status: number
  readonly body: Uint8Array
}

/** The cluster as the first of these URLs that answers knows it; null if none does. */
export async function askCluster(
  urls: readonly string[],
  options: Omit<AskOptions, 'clusterId'>,
): Promise<ClusterView | null> {
  for (const base of urls) {
    try {
      const { status, body } = await ask({ method: 'GET', base, path: MEMBERS_PATH, ...options })
      const view = status === 200 ? parseClusterView(new TextDecoder().decode(body)) : null
      if (view !== null && view.members.length > 0) return view
    } catch {
      // Another may know.
    }
  }
  return null
}

/**
 * Brings a call to the leader, at the first of its URLs where it is found. Null if it cannot be
 * reached; rejects if it is not known what became of the call.
 */
export async function forwardCall(
  { leader, path, request }: ForwardedCall,
  options: AskOptions,
): Promise<ForwardedAnswer | null> {
  const bases = urlsOfAddress(leader.address)
  // One that does not answer at all must not use up the time of the others.
  const connectTimeoutMs = options.timeoutMs / bases.length
  const question = { method: 'POST', path: FORWARD_PATH + path, body: request } as const
  for (const base of bases) {
    try {
      return outcomeOf(await ask({ ...question, base, connectTimeoutMs, ...options }), base)
    } catch (error) {
      if (!(error instanceof NeverSentError)) throw error
    }
  }
  return null
}

function outcomeOf({ status, body }: Answer, base: string): ForwardedAnswer {
  if (status === 200) return { response: body }
  const refusal = status === 422 ? parseRefusal(new TextDecoder().decode(body)) : null
  if (refusal === null) throw new Error(`${base} answered with status ${status}`)
  return refusal
}

/** What the member at these URLs holds up to `revision`; null if none of them answers. */
export async function askHash(
  urls: readonly string[],
  revision: number,
  options: AskOptions,
): Promise<RemoteHash | null> {
  const body = new TextEncoder().encode(String(revision))
  for (const base of urls) {
    try {
      const answer = await ask({ method: 'POST', base, path: HASH_PATH, body, ...options })
      if (answer.status === 200) return parseHash(new TextDecoder().decode(answer.body))
    } catch {
      // Another may be the right one.
    }
  }
  return null
}

function ask({ method, base, path, clusterId, body, tls, ...times }: Question): Promise<Answer> {
  const address = parseAddress(base)
  if (address === null) return Promise.reject(new Error(`${base} is no address of a member`))
  const { secure, ...place } = address
  if (secure === true && tls === null)
    return Promise.reject(new Error(`${base} asks for TLS, and this member has no certificate`))
  const request = secure === true ? httpsRequest : httpRequest
  const to = 'path' in place ? { socketPath: place.path } : place
  const { timeoutMs, connectTimeoutMs = timeoutMs } = times
  return new Promise((resolve, reject) => {
    const headers = clusterId === undefined ? {} : { [CLUSTER_HEADER]: clusterId }
    const signal = AbortSignal.timeout(timeoutMs)
    // A connection of its own: questions are rare, and one that hangs must not hold up another.
    const how = { ...tls, ...to, path, method, headers, signal, agent: false }
    const asked = request(how, (response) => {
      const chunks: Uint8Array[] = []
      let bytes = 0
      response.on('data', (chunk: Uint8Array) => {
        bytes += chunk.length
        chunks.push(chunk)
        if (bytes > MAX_ANSWER_BYTES) asked.destroy(new Error(`${base} answers without end`))
      })
      response.on('error', reject)
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: new Uint8Array(Buffer.concat(chunks)) }),
      )
    })
    let isConnected = false
    const deadline = setTimeout(
      () => asked.destroy(new Error(`${base} cannot be reached in time`)),
      connectTimeoutMs,
    )
    asked.on('socket', (socket) =>
      socket.once('connect', () => {
        isConnected = true
        clearTimeout(deadline)
      }),
    )
    asked.on('close', () => clearTimeout(deadline))
    asked.on('error', (cause) => {
      if (isConnected) reject(cause)
      else reject(new NeverSentError(cause.message, { cause }))
    })
    asked.end(body)
  })
}
