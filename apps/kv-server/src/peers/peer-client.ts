/** Asks other members over HTTP/1.1. Every question has an end in time, and every answer in size. */
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { ForwardedAnswer, ForwardedCall } from '@coracle/etcd-api'
import type { ConnectionOptions } from 'node:tls'
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
/** There was no connection, so nothing left this member. */
const NEVER_SENT: ReadonlySet<string> = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENOTFOUND'])

export interface AskOptions {
  /** In hexadecimal. */
  readonly clusterId: string
  readonly timeoutMs: number
  /** How this member calls others by TLS. Null: it does not. */
  readonly tls: ConnectionOptions | null
}

interface Question extends Omit<AskOptions, 'clusterId'> {
  readonly method: 'GET' | 'POST'
  readonly url: string
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
      const { status, body } = await ask({ method: 'GET', url: base + MEMBERS_PATH, ...options })
      const view = status === 200 ? parseClusterView(new TextDecoder().decode(body)) : null
      if (view !== null && view.members.length > 0) return view
    } catch {
      // Another may know.
    }
  }
  return null
}

/** Brings a call to the leader. Null if it cannot be reached; rejects if it is not known what became of it. */
export async function forwardCall(
  { leader, path, request }: ForwardedCall,
  options: AskOptions,
): Promise<ForwardedAnswer | null> {
  const [base] = urlsOfAddress(leader.address)
  const url = `${base}${FORWARD_PATH}${path}`
  const answer = await ask({ method: 'POST', url, body: request, ...options }).catch(
    (error: NodeJS.ErrnoException) => {
      if (NEVER_SENT.has(error.code ?? '')) return null
      throw error
    },
  )
  if (answer === null) return null
  const { status, body } = answer
  if (status === 200) return { response: body }
  const refusal = status === 422 ? parseRefusal(new TextDecoder().decode(body)) : null
  if (refusal === null) throw new Error(`${url} answered with status ${status}`)
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
      const answer = await ask({ method: 'POST', url: base + HASH_PATH, body, ...options })
      if (answer.status === 200) return parseHash(new TextDecoder().decode(answer.body))
    } catch {
      // Another may be the right one.
    }
  }
  return null
}

function ask({ method, url, clusterId, body, timeoutMs, tls }: Question): Promise<Answer> {
  const isSecure = url.startsWith('https:')
  if (isSecure && tls === null)
    return Promise.reject(new Error(`${url} asks for TLS, and this member has no certificate`))
  const request = isSecure ? httpsRequest : httpRequest
  return new Promise((resolve, reject) => {
    const headers = clusterId === undefined ? {} : { [CLUSTER_HEADER]: clusterId }
    const signal = AbortSignal.timeout(timeoutMs)
    // A connection of its own: questions are rare, and one that hangs must not hold up another.
    const asked = request(url, { ...tls, method, headers, signal, agent: false }, (response) => {
      const chunks: Uint8Array[] = []
      let bytes = 0
      response.on('data', (chunk: Uint8Array) => {
        bytes += chunk.length
        chunks.push(chunk)
        if (bytes > MAX_ANSWER_BYTES) asked.destroy(new Error(`${url} answers without end`))
      })
      response.on('error', reject)
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: new Uint8Array(Buffer.concat(chunks)) }),
      )
    })
    asked.on('error', reject)
    asked.end(body)
  })
}
