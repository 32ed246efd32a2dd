/** What etcd serves over HTTP, asked by HTTP/2 as curl and Prometheus ask for it. */
import { once } from 'node:events'
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { certify } from '@coracle/tooling-certificates'
import { type Harness, startHarness } from './harness.ts'
import { base64, http, linesOf } from './http-client.ts'

const identity = certify('server', '127.0.0.1')
const BAR = base64('bar')

let harness: Harness
beforeAll(async () => {
  harness = await startHarness({
    tls: identity,
    listen: ['http://127.0.0.1:0', '127.0.0.1:0'],
    listenMetrics: ['http://127.0.0.1:0'],
    corsOrigins: ['https://here.example'],
  })
})
afterAll(() => harness[Symbol.asyncDispose]())

const sessions: ClientHttp2Session[] = []
afterEach(() => {
  for (const session of sessions.splice(0)) session.destroy()
})

function session(url: string): ClientHttp2Session {
  const opened = connect(url, { ca: identity.cert })
  opened.on('error', () => {})
  sessions.push(opened)
  return opened
}

interface Http2Answer {
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

async function ask(
  on: ClientHttp2Session,
  path: string,
  body?: object | string,
  fields: OutgoingHttpHeaders = {},
): Promise<Http2Answer> {
  const method = body === undefined ? 'GET' : 'POST'
  const asking = on.request({ ':method': method, ':path': path, ...fields }, { endStream: false })
  asking.end(typeof body === 'object' ? JSON.stringify(body) : body)
  const [headers] = (await once(asking, 'response')) as [IncomingHttpHeaders]
  const chunks: Buffer[] = []
  for await (const chunk of asking) chunks.push(chunk as Buffer)
  return { headers, body: Buffer.concat(chunks).toString() }
}

/** Without what is of the moment, or of connections of HTTP/1.1. */
function lasting(headers: IncomingHttpHeaders): object {
  const passing = ['date', 'connection', 'keep-alive']
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !passing.includes(name)))
}

/** The next message of a stream of lines. Rejects if there is none. */
function messagesOf(stream: ClientHttp2Stream): () => Promise<Record<string, unknown>> {
  const lines = linesOf(stream)
  return async () => {
    const { value, done } = await lines.next()
    if (done === true) throw new Error('the stream has ended')
    return JSON.parse(value) as Record<string, unknown>
  }
}

describe.each([
  ['with prior knowledge', () => `http://${harness.server.addresses[0]}`],
  ['by TLS', () => `https://${harness.server.addresses[1]}`],
])('HTTP/2 %s', (_how, url) => {
  let client: ClientHttp2Session
  beforeEach(() => {
    client = session(url())
  })

  test.each(['/health', '/version', '/livez', '/nothing', '/v3/nothing'])(
    'gives the same for %s as HTTP/1.1 does',
    async (path) => {
      const [overHttp1, overHttp2] = [await http(harness.address, path), await ask(client, path)]
      expect(overHttp2.body).toBe(overHttp1.body)
      expect(overHttp2.headers[':status']).toBe(overHttp1.status)
      const { ':status': _status, ...fields } = overHttp2.headers
      expect(lasting(fields)).toEqual(lasting(overHttp1.headers))
    },
  )

  test('gives metrics', async () => {
    const { headers, body } = await ask(client, '/metrics')
    expect(headers).toMatchObject({
      ':status': 200,
      'content-type': 'text/plain; version=0.0.4; charset=utf-8',
    })
    expect(body).toContain('etcd_server_has_leader 1\n')
  })

  test('refuses to head and to delete what is to be got', async () => {
    for (const method of ['HEAD', 'DELETE']) {
      const { headers } = await ask(client, '/health', undefined, { ':method': method })
      expect(headers).toMatchObject({ ':status': 405, allow: 'GET' })
    }
  })

  test('puts and reads through the gateway', async () => {
    const key = base64(`put ${_how}`)
    const put = await ask(client, '/v3/kv/put', { key, value: BAR })
    expect(put.headers).toMatchObject({
      ':status': 200,
      'content-type': 'application/json',
      'grpc-metadata-content-type': 'application/grpc',
    })
    expect(JSON.parse(put.body)).toMatchObject({ header: { raft_term: '2' } })
    const range = await ask(client, '/v3/kv/range', { key }, { 'content-type': 'application/json' })
    expect(JSON.parse(range.body)).toMatchObject({ kvs: [{ key, value: BAR }] })
  })

  test('refuses a body beyond the limit, and goes on', async () => {
    const large = await ask(client, '/v3/kv/put', { key: BAR, value: 'A'.repeat(5 << 20) })
    expect(large.headers[':status']).toBe(429)
    expect(JSON.parse(large.body)).toMatchObject({ code: 8 })
    expect((await ask(client, '/version')).headers[':status']).toBe(200)
  })

  test('streams a watch, which takes requests as long as it lasts', async () => {
    const key = base64(`watch ${_how}`)
    const watch = client.request({ ':method': 'POST', ':path': '/v3/watch' })
    const next = messagesOf(watch)
    watch.write(JSON.stringify({ create_request: { key } }))
    expect(await next()).toMatchObject({ result: { created: true } })
    for (const value of ['one', 'two'].map(base64)) {
      await ask(client, '/v3/kv/put', { key, value })
      expect(await next()).toMatchObject({ result: { events: [{ kv: { key, value } }] } })
    }
    watch.write('{"cancel_request":{"watch_id":0}}')
    expect(await next()).toMatchObject({ result: { canceled: true } })
    watch.end('{"create_request":7}')
    expect(await next()).toMatchObject({ error: { grpc_code: 3 } })
    await expect(next()).rejects.toThrow('ended')
  })

  test('ends a watch whose stream its client resets', async () => {
    const watchers = async (): Promise<string> => {
      const { body } = await ask(client, '/metrics')
      return /^etcd_debugging_mvcc_watcher_total .*$/m.exec(body)?.[0] ?? ''
    }
    const before = await watchers()
    const watch = client.request({ ':method': 'POST', ':path': '/v3/watch' })
    watch.on('error', () => {})
    watch.write(JSON.stringify({ create_request: { key: BAR } }))
    expect(await messagesOf(watch)()).toMatchObject({ result: { created: true } })
    expect(await watchers()).not.toBe(before)
    watch.close(constants.NGHTTP2_CANCEL)
    await expect.poll(watchers).toBe(before)
  })

  test('lets pages of other origins in, and no others', async () => {
    const { headers } = await ask(client, '/v3/kv/range', undefined, {
      ':method': 'OPTIONS',
      origin: 'https://here.example',
    })
    expect(headers).toMatchObject({
      ':status': 200,
      'access-control-allow-origin': 'https://here.example',
    })
    const other = await ask(client, '/version', undefined, { origin: 'https://there.example' })
    expect(other.headers['access-control-allow-origin']).toBeUndefined()
  })
})

test('the port for metrics has them over HTTP/2, and no gateway', async () => {
  const client = session(`http://${harness.server.metricsAddresses[0]}`)
  expect((await ask(client, '/health')).headers[':status']).toBe(200)
  expect((await ask(client, '/v3/kv/range', {})).headers[':status']).toBe(404)
})

test('hosts are known by their :authority', async () => {
  await using guarded = await startHarness({ hostWhitelist: ['etcd.example'] })
  const client = session(`http://${guarded.address}`)
  const statusFor = async (authority: string): Promise<unknown> => {
    const { headers } = await ask(client, '/version', undefined, { ':authority': authority })
    return headers[':status']
  }
  expect(await statusFor('etcd.example:2379')).toBe(200)
  expect(await statusFor('evil.example')).toBe(421)
})

test('where HTTP has addresses of its own, that is where it is over HTTP/2, too', async () => {
  await using split = await startHarness({ listenHttp: ['127.0.0.1:0'] })
  const statusAt = async (address?: string): Promise<unknown> =>
    (await ask(session(`http://${address}`), '/health')).headers[':status']
  expect(await statusAt(split.server.httpAddresses[0])).toBe(200)
  expect(await statusAt(split.address)).toBe(415)
})
