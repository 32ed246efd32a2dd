/** Who may ask over HTTP: pages of other origins (CORS), and hosts by other names. */
import type { HttpRequest, HttpResponse } from '@coracle/grpc-server'

export interface AccessOptions {
  /** Origins whose pages may use the answers, as etcd's `--cors`. Default: any (`*`). */
  readonly corsOrigins?: readonly string[]
  /** Names in the `Host` header that are served, as etcd's `--host-whitelist`. Default: any (`*`). */
  readonly hostWhitelist?: readonly string[]
}

const CORS_HEADERS = {
  'Access-Control-Allow-Methods': 'POST, GET, OPTIONS, PUT, DELETE',
  'Access-Control-Allow-Headers': 'accept, content-type, authorization',
}

export interface AccessControl {
  /** Answers whether the request was dealt with: it was a preflight, or may not be answered. */
  refuses(request: HttpRequest, response: HttpResponse): boolean
  /** Whether who asks for a WebSocket may have one. If not, the request is one to refuse. */
  allowsWebSocket(request: HttpRequest): boolean
}

type Refusal = readonly [status: number, reason: string]

/**
 * A page that a browser got from elsewhere can have its own name resolved to this server (DNS
 * rebinding), and then counts as of the same origin: only the `Host` header gives it away. Browsers
 * keep answers from pages of other origins, but not what comes over a WebSocket: that is up to us.
 */
export function accessControl(options: AccessOptions): AccessControl {
  const origins = setOrAny(options.corsOrigins)
  const hosts = setOrAny(options.hostWhitelist)
  const refusalOf = ({ headers }: HttpRequest): Refusal | null => {
    const { origin, upgrade = '' } = headers
    const host = hostName(headers.host ?? '')
    if (hosts !== null && !hosts.has(host))
      return [421, `the host ${JSON.stringify(host)} is not in --host-whitelist`]
    if (origins === null || origin === undefined || origins.has(origin)) return null
    if (upgrade.toLowerCase() !== 'websocket') return null
    return [403, `the origin ${JSON.stringify(origin)} is not in --cors`]
  }
  return {
    allowsWebSocket: (request) => refusalOf(request) === null,
    refuses(request, response) {
      const [status, reason] = refusalOf(request) ?? []
      if (status !== undefined) {
        response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' })
        response.end(`${reason}\n`)
        return true
      }
      const { origin } = request.headers
      const allowed = origins === null ? '*' : origin !== undefined && origins.has(origin) && origin
      if (allowed !== false) {
        response.setHeader('Access-Control-Allow-Origin', allowed)
        for (const [name, value] of Object.entries(CORS_HEADERS)) response.setHeader(name, value)
        if (allowed !== '*') response.setHeader('Vary', 'Origin')
      }
      if (request.method !== 'OPTIONS') return false
      response.writeHead(200, { 'Content-Length': 0 }).end()
      return true
    },
  }
}

/** Null for a list that names everybody. As in etcd, an empty one does. */
function setOrAny(names: readonly string[] = []): ReadonlySet<string> | null {
  return names.length === 0 || names.includes('*') ? null : new Set(names)
}

function hostName(host: string): string {
  return host.replace(/:\d+$/, '')
}
