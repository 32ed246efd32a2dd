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
  if (endpoint !== undefined && request.method !== 'GET') response.setHeader('Allow', 'GET')
  const answer = await answerOf(endpoint, searchParams, exchange)
  response.writeHead(answer.status, {
    'Content-Type': answer.type,
    'Content-Length': Buffer.byteLength(answer.body),
    'X-Content-Type-Options': 'nosniff',
  })
  response.end(answer.body)
}

async function answerOf(
  endpoint: Endpoint | undefined,
  query: URLSearchParams,
  exchange: Exchange,
): Promise<Answer> {
  if (endpoint === undefined) return NOT_FOUND
  if (exchange.request.method !== 'GET') return NOT_GET
  try {
    return await endpoint({ query, call: new HttpCall(exchange) })
  } catch {
    return BROKEN
  }
}
