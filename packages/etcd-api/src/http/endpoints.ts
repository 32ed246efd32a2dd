/** What is served over HTTP beside the gateway: one answer per GET. */
import type { Call } from '../call.ts'
import { HttpCall, type Exchange } from '../gateway/http-call.ts'

export interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
}

export type Endpoint = (asked: {
  readonly query: URLSearchParams
  readonly call: Call
}) => Answer | Promise<Answer>

const TEXT = 'text/plain; charset=utf-8'

export function text(status: number, body: string): Answer {
  return { status, type: TEXT, body }
}

export function json(status: number, body: object): Answer {
  return { status, type: 'application/json', body: JSON.stringify(body) }
}

/** Where a HEAD is answered like a GET, as by Prometheus's handler for Go; etcd's own refuse it. */
const WITH_HEAD: ReadonlySet<string> = new Set(['/metrics'])

const NOT_FOUND = text(404, '404 page not found\n')
const NOT_GET = text(405, 'Method Not Allowed\n')
const BROKEN = text(500, 'Internal Server Error\n')

/** Answers the request: from one of the endpoints, or that there is none. */
export async function serveEndpoint(
  endpoints: ReadonlyMap<string, Endpoint>,
  { pathname, searchParams }: URL,
  exchange: Exchange,
): Promise<void> {
  const { request, response } = exchange
  const endpoint = endpoints.get(pathname)
  const isAllowed =
    request.method === 'GET' || (request.method === 'HEAD' && WITH_HEAD.has(pathname))
  if (endpoint !== undefined && !isAllowed) response.setHeader('Allow', 'GET')
  const answer = await answerOf(endpoint, { query: searchParams, isAllowed, exchange })
  response.writeHead(answer.status, {
    'Content-Type': answer.type,
    'Content-Length': Buffer.byteLength(answer.body),
    'X-Content-Type-Options': 'nosniff',
  })
  response.end(answer.body)
}

interface Asked {
  readonly query: URLSearchParams
  readonly isAllowed: boolean
  readonly exchange: Exchange
}

async function answerOf(
  endpoint: Endpoint | undefined,
  { query, isAllowed, exchange }: Asked,
): Promise<Answer> {
  if (endpoint === undefined) return NOT_FOUND
  if (!isAllowed) return NOT_GET
  try {
    return await endpoint({ query, call: new HttpCall(exchange) })
  } catch {
    return BROKEN
  }
}
