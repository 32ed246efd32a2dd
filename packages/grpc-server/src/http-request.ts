/** The client's side of an exchange over HTTP: what it asks for, and the body as it comes. */
import type { IncomingHttpHeaders } from 'node:http'
import { Readable } from 'node:stream'
import type { HttpRequest } from './http-exchange.ts'
import type { HttpHead } from './request-head.ts'

/** Of these the first counts, as in node:http; others of one name are joined. */
const SINGLE: ReadonlySet<string> = new Set([
  'authorization',
  'content-length',
  'content-type',
  'host',
  'user-agent',
])

/**
 * From here on what has arrived waits for the handler. Less than half of the smallest window, at which a
 * window is given back: nothing is, before somebody takes what came.
 */
const HIGH_WATER_MARK = 16 << 10

export class Http2Request extends Readable implements HttpRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders

  /** `more` is called when the body is waited for. */
  constructor(path: string, head: HttpHead, more: () => void) {
    super({ highWaterMark: HIGH_WATER_MARK, read: more })
    this.method = head.method
    this.url = path
    this.headers = headersOf(head)
    // That the client breaks off is no failure of a handler that does not look.
    this.on('error', () => {})
  }
}

function headersOf({ authority, fields }: HttpHead): IncomingHttpHeaders {
  // Without a prototype: any name may come.
  const headers = Object.create(null) as Record<string, string>
  if (authority !== '') headers['host'] = authority
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] as string
    const value = fields[at + 1] as string
    const before = headers[name]
    if (before === undefined) headers[name] = value
    else if (!SINGLE.has(name)) headers[name] = before + (name === 'cookie' ? '; ' : ', ') + value
  }
  return headers
}
