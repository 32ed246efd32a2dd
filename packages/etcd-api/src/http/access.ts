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

/** Answers whether the request was dealt with: it was a preflight, or is for another host. */
export type AccessControl = (request: HttpRequest, response: HttpResponse) => boolean

/**
 * A page that a browser got from elsewhere can have its own name resolved to this server (DNS
 * rebinding), and then counts as of the same origin: only the `Host` header gives it away.
 */
export function accessControl(options: AccessOptions): AccessControl {
  const origins = setOrAny(options.corsOrigins)
  const hosts = setOrAny(options.hostWhitelist)
  return (request, response) => {
    const host = hostName(request.headers.host ?? '')
    if (hosts !== null && !hosts.has(host)) {
      response.writeHead(421, { 'Content-Type': 'text/plain; charset=utf-8' })
      response.end(`the host ${JSON.stringify(host)} is not in --host-whitelist\n`)
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
  }
}

/** Null for a list that names everybody. As in etcd, an empty one does. */
function setOrAny(names: readonly string[] = []): ReadonlySet<string> | null {
  return names.length === 0 || names.includes('*') ? null : new Set(names)
}

function hostName(host: string): string {
  return host.replace(/:\d+$/, '')
}
