/** Plain HTTP/1.1 as a client such as curl speaks it. */
import { type IncomingHttpHeaders, request } from 'node:http'

export interface HttpAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface HttpOptions {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: string | Uint8Array
}

/** The whole answer. Without a keep-alive: each request has its own connection. */
export function http(
  address: string,
  path: string,
  options: HttpOptions = {},
): Promise<HttpAnswer> {
  const { body, method = body === undefined ? 'GET' : 'POST', headers = {} } = options
  return new Promise((resolve, reject) => {
    const asking = request(`http://${address}${path}`, { method, headers, agent: false })
    asking.once('error', reject)
    asking.once('response', (answer) => {
      const chunks: Uint8Array[] = []
      answer.on('data', (chunk: Uint8Array) => chunks.push(chunk)).once('error', reject)
      answer.once('end', () =>
        resolve({
          status: answer.statusCode ?? 0,
          headers: answer.headers,
          body: Buffer.concat(chunks).toString(),
        }),
      )
    })
    asking.end(body)
  })
}

/** POSTs an object; whatever the status, the answer is JSON. */
export async function post(
  address: string,
  path: string,
  body: object | string = {},
  headers: Record<string, string> = {},
): Promise<{ status: number; json: Record<string, unknown> }> {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const answer = await http(address, path, { body: text, headers })
  return { status: answer.status, json: JSON.parse(answer.body) as Record<string, unknown> }
}

export interface HttpStream extends Disposable {
  readonly status: number
  /** The next line. Rejects if there is none. */
  next(): Promise<Record<string, unknown>>
  /** More of the request's body. */
  send(text: string): void
  /** No more of the request's body. */
  endBody(): void
}

/** A request whose answer is read line by line. The body stays open for more unless it is ended. */
export function stream(address: string, path: string, body: string): Promise<HttpStream> {
  return new Promise((resolve, reject) => {
    const asking = request(`http://${address}${path}`, { method: 'POST', agent: false })
    asking.once('error', reject)
    asking.once('response', (answer) => {
      const lines = linesOf(answer)
      resolve({
        status: answer.statusCode ?? 0,
        async next() {
          const { value, done } = await lines.next()
          if (done === true) throw new Error('the stream has ended')
          return JSON.parse(value) as Record<string, unknown>
        },
        send: (text) => void asking.write(text),
        endBody: () => void asking.end(),
        [Symbol.dispose]: () => void asking.destroy(),
      })
    })
    asking.write(body)
  })
}

export async function* linesOf(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<string, undefined> {
  let text = ''
  for await (const chunk of chunks) {
    text += Buffer.from(chunk).toString()
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
      yield text.slice(0, end)
      text = text.slice(end + 1)
    }
  }
  return undefined
}

export function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
