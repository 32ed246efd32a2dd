import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer as createHttpServer, request as httpRequest } from 'node:http'
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
} from 'node:http2'
import { connect as connectPlain, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectSecure } from 'node:tls'
import { afterEach, describe, expect, test } from 'vitest'
import { FrameType } from '../src/frames.ts'
import { type Call, type GrpcLimits, type GrpcServer, grpcServer } from '../src/index.ts'
import { certify } from '@coracle/tooling-certificates'
import { bytes, data, frame, headers, message, rawClient } from './raw-client.ts'
import { until } from './until.ts'

const servers: GrpcServer[] = []
const sessions: ClientHttp2Session[] = []
afterEach(async () => {
  for (const session of sessions.splice(0)) session.destroy()
  for (const server of servers.splice(0)) await server[Symbol.asyncDispose]()
})

interface Shared {
  written: number
  queuedBytes: number
  calls: Call[]
  answer: (bytes: Uint8Array) => void
}

async function startServer(
  limits: Partial<GrpcLimits> = {},
  more: Partial<Parameters<typeof grpcServer>[0]> = {},
): Promise<{ server: GrpcServer; shared: Shared }> {
  const shared: Shared = { written: 0, queuedBytes: 0, calls: [], answer: () => {} }
  const server = await grpcServer({
    listen: ['127.0.0.1:0'],
    limits: { shutdownTimeoutMs: 100, ...limits },
    services: {
      '/test.Test/Echo': { kind: 'unary', handle: (request) => request },
      '/test.Test/Who': {
        kind: 'unary',
        handle: (_request, call) => bytes(call.commonName ?? 'nobody'),
      },
      '/test.Test/Wait': {
        kind: 'unary',
        handle: (_request, call) => {
          shared.calls.push(call)
          return new Promise((resolve) => {
            shared.answer = resolve
          })
        },
      },
      '/test.Test/Flood': {
        kind: 'server-stream',
        handle(_request, call) {
          const content = new Uint8Array(10_000)
          const more = (): void => {
            do shared.written += 1
            while (!call.cancelled && call.write(content))
            shared.queuedBytes = Math.max(shared.queuedBytes, call.queuedBytes)
          }
          call.onRoom(more)
          more()
        },
      },
    },
    ...more,
  })
  servers.push(server)
  return { server, shared }
}

function session(server: GrpcServer, options: object = {}): ClientHttp2Session {
  const scheme = 'ca' in options ? 'https' : 'http'
  const opened = connect(`${scheme}://${server.addresses[0]}`, options)
  opened.on('error', () => {})
  sessions.push(opened)
  return opened
}

function open(
  on: ClientHttp2Session,
  method: string,
  headers: IncomingHttpHeaders = {},
): ClientHttp2Stream {
  const stream = on.request({
    ':method': 'POST',
    ':path': `/test.Test/${method}`,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  })
  stream.on('error', () => {})
  return stream
}

interface Answer {
  readonly status: number
  readonly code: string | undefined
  readonly text: string | undefined
  readonly body: Buffer
}

async function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
  const fields: IncomingHttpHeaders = {}
  stream.on('response', (headers) => Object.assign(fields, headers))
  stream.on('trailers', (headers) => Object.assign(fields, headers))
  const pieces: Buffer[] = []
  stream.on('data', (piece: Buffer) => pieces.push(piece))
  await once(stream, 'close')
  return {
    status: Number(fields[':status']),
    code: fields['grpc-status'] as string | undefined,
    text: fields['grpc-message'] as string | undefined,
    body: Buffer.concat(pieces),
  }
}

function ask(
  on: ClientHttp2Session,
  method: string,
  body: Uint8Array,
  headers?: IncomingHttpHeaders,
): Promise<Answer> {
  const stream = open(on, method, headers)
  stream.end(body)
  return answerOf(stream)
}

const hello = message(bytes('hello'))

describe('a client on node:http2', () => {
  test('gets the same answers whatever it does with header compression', async () => {
    const { server } = await startServer()
    for (const headerTableSize of [4_096, 0, 100, 150, 65_536]) {
      const client = session(server, { settings: { headerTableSize } })
      for (let at = 0; at < 3; at += 1) {
        expect(await ask(client, 'Echo', hello)).toMatchObject({
          status: 200,
          code: '0',
          body: Buffer.from(hello),
        })
        expect(await ask(client, 'Nothing', hello)).toMatchObject({ code: '12' })
      }
      client.settings({ headerTableSize: 50 })
      await until(() => client.localSettings.headerTableSize === 50)
      expect(await ask(client, 'Echo', hello)).toMatchObject({ code: '0' })
      client.settings({ headerTableSize: 8_192 })
      await until(() => client.localSettings.headerTableSize === 8_192)
      expect(await ask(client, 'Echo', hello)).toMatchObject({ code: '0' })
    }
  })

  test.each([
    [
      'no gRPC',
      { 'content-type': 'text/plain' },
      415,
      '3',
      'invalid gRPC request content-type "text/plain"',
    ],
    [
      'no POST',
      { ':method': 'PUT' },
      405,
      '13',
      'Received a HEADERS frame with :method "PUT" which should be POST',
    ],
    ['a bad deadline', { 'grpc-timeout': '1x' }, 400, '13', 'malformed grpc-timeout: "1x"'],
    [
      'bytes that are no base64',
      { 'a-bin': '%' },
      400,
      '13',
      'malformed binary metadata "%25" in header "a-bin"',
    ],
    [
      'an unknown encoding',
      { 'grpc-encoding': 'gzip' },
      200,
      '12',
      'grpc: Decompressor is not installed for grpc-encoding "gzip"',
    ],
  ])('is refused what is %s, as grpc-go refuses it', async (_what, headers, status, code, text) => {
    const { server } = await startServer()
    expect(await ask(session(server), 'Echo', hello, headers)).toMatchObject({ status, code, text })
  })

  test.each([
    ['a message that is cut', message(new Uint8Array(9)).subarray(0, 8), '13', 'unexpected EOF'],
    ['no message', new Uint8Array(0), '13', 'grpc: no message where one is expected'],
    [
      'two messages',
      Buffer.concat([hello, hello]),
      '13',
      'grpc: a second message where one is expected',
    ],
    [
      'a compressed message',
      Buffer.from([1, 0, 0, 0, 0]),
      '13',
      'grpc: compressed flag set with identity or empty encoding',
    ],
  ])('is refused %s', async (_what, body, code, text) => {
    const { server } = await startServer()
    expect(await ask(session(server), 'Echo', body)).toMatchObject({ status: 200, code, text })
  })

  test('may cut a message anywhere', async () => {
    const { server } = await startServer()
    const client = session(server)
    const body = message(new Uint8Array(300).map((_, at) => at))
    const stream = open(client, 'Echo')
    for (const byte of body) stream.write(Uint8Array.of(byte))
    stream.end()
    expect((await answerOf(stream)).body.equals(body)).toBe(true)
  })

  test('that does not read takes memory up to the limits, and gets all when it reads', async () => {
    const { server, shared } = await startServer({ maxQueuedBytes: 50_000 })
    const client = session(server)
    const stream = open(client, 'Flood')
    stream.pause()
    stream.end(hello)
    await until(() => shared.queuedBytes > 0)
    await ask(client, 'Echo', hello)
    // The window of HTTP/2, what may wait, and the message that went beyond.
    expect(shared.written * 10_005).toBeLessThanOrEqual(65_535 + 50_000 + 10_005)
    expect(shared.queuedBytes).toBeLessThan(60_010)
    const stuck = shared.written
    stream.resume()
    await until(() => shared.written > stuck + 100)
    stream.close()
  })

  test('has as much unfinished as it may, and no more', async () => {
    const { server } = await startServer({ maxBufferedBytes: 100_000 })
    const client = session(server)
    const start = message(new Uint8Array(90_000)).subarray(0, 60_000)
    const first = open(client, 'Echo')
    first.write(start)
    const second = open(client, 'Echo')
    second.write(start)
    expect(await answerOf(second)).toMatchObject({
      code: '8',
      text: 'grpc: too many unfinished messages',
    })
    first.end(new Uint8Array(30_005))
    expect((await answerOf(first)).body).toHaveLength(90_005)
    expect(await ask(client, 'Echo', message(new Uint8Array(90_000)))).toMatchObject({ code: '0' })
  })

  test('is told when the deadline has passed, though it does not mind it itself', async () => {
    const { server, shared } = await startServer()
    const late = await ask(session(server), 'Wait', hello, { 'grpc-timeout': '30m' })
    expect(late).toMatchObject({ code: '4', text: 'context deadline exceeded' })
    expect(shared.calls[0]).toMatchObject({ cancelled: true })
  })
})

describe('a server that stops', () => {
  test('lets calls come to their end, and takes no more', async () => {
    const { server, shared } = await startServer({ shutdownTimeoutMs: 5_000 })
    const client = session(server)
    const running = ask(client, 'Wait', hello)
    await until(() => shared.calls.length === 1)
    const goingAway = once(client, 'goaway')
    const stopped = server[Symbol.asyncDispose]()
    await goingAway
    shared.answer(bytes('done'))
    expect((await running).body.subarray(5).toString()).toBe('done')
    await stopped
    expect(client.closed).toBe(true)
    await expect(once(connect(`http://${server.addresses[0]}`), 'connect')).rejects.toThrow(
      'ECONNREFUSED',
    )
  })

  test('cuts off calls that do not end, and tells their handlers', async () => {
    const { server, shared } = await startServer({ shutdownTimeoutMs: 20 })
    const client = session(server)
    const running = ask(client, 'Wait', hello)
    await until(() => shared.calls.length === 1)
    await Promise.all([server[Symbol.asyncDispose](), server[Symbol.asyncDispose]()])
    expect(shared.calls[0]).toMatchObject({ cancelled: true })
    expect(await running).toMatchObject({ code: '14' })
  })
})

describe('a connection on which nothing happens', () => {
  test('is pinged, and stays if the client is there', async () => {
    const { server } = await startServer({ keepaliveIntervalMs: 20, keepaliveTimeoutMs: 2_000 })
    const client = session(server)
    for (let at = 0; at < 3; at += 1) await once(client, 'ping')
    expect(await ask(client, 'Echo', hello)).toMatchObject({ code: '0' })
  })

  test('is closed if the client does not answer', async () => {
    const { server } = await startServer({ keepaliveIntervalMs: 20, keepaliveTimeoutMs: 20 })
    using client = await rawClient(server.addresses[0]!)
    await client.frame(({ type, flags }) => type === FrameType.PING && flags === 0)
    await until(() => client.socket.closed)
  })

  test('is closed when it has been idle for long enough, if so wished', async () => {
    const { server } = await startServer({ maxIdleMs: 30 })
    const client = session(server)
    expect(await ask(client, 'Echo', hello)).toMatchObject({ code: '0' })
    await until(() => client.closed)
  })

  test('is closed when the client pings too often', async () => {
    const { server } = await startServer({ keepaliveMinTimeMs: 60_000 })
    using client = await rawClient(server.addresses[0]!)
    const ping = frame(FrameType.PING, 0, 0, new Uint8Array(8))
    client.send(ping, ping, ping, ping)
    expect(await client.failure()).toEqual({ code: 11, text: 'too_many_pings' })
  })

  test('may be pinged as often as it answers: clients measure their bandwidth so', async () => {
    const { server } = await startServer({ keepaliveMinTimeMs: 60_000 })
    using client = await rawClient(server.addresses[0]!)
    for (let id = 1; id < 40; id += 2) {
      client.send(headers(id), data(id, hello))
      await client.frame(({ type, streamId }) => type === FrameType.DATA && streamId === id)
      await client.answered()
    }
  })
})

describe('one port for two protocols', () => {
  test('HTTP/1.1 goes to whoever wants it, from its first byte', async () => {
    const http = createHttpServer((request, response) =>
      response.end(`you asked for ${request.url}`),
    )
    const { server } = await startServer(
      {},
      { onHttp1: (socket) => void http.emit('connection', socket) },
    )
    const [host, port] = server.addresses[0]!.split(':')
    const asked = httpRequest({ host, port, path: '/health', agent: false }).end()
    const [response] = (await once(asked, 'response')) as [NodeJS.ReadableStream]
    const [body] = (await once(response, 'data')) as [Buffer]
    expect(body.toString()).toBe('you asked for /health')
    expect(await ask(session(server), 'Echo', hello)).toMatchObject({ code: '0' })
  })

  test('and is turned away if nobody does', async () => {
    const { server } = await startServer()
    const [host, port] = server.addresses[0]!.split(':')
    await expect(once(httpRequest({ host, port }).end(), 'response')).rejects.toThrow(
      /ECONNRESET|hang up/,
    )
  })

  test('a client that says nothing is sent away', async () => {
    const { server } = await startServer({ handshakeTimeoutMs: 20 })
    const [host, port] = server.addresses[0]!.split(':')
    const { connect: connectSocket } = await import('node:net')
    const socket = connectSocket({ host, port: Number(port) })
    await once(socket, 'close')
  })
})

describe('TLS', () => {
  const identity = certify('server', '127.0.0.1')
  const alice = certify('alice', '127.0.0.1')

  test('the client is known by the name in its certificate, if it has one that is trusted', async () => {
    const tls = { ...identity, ca: alice.cert, requestCert: true, rejectUnauthorized: false }
    const { server } = await startServer({}, { tls })
    const ca = identity.cert
    const known = await ask(session(server, { ca, ...alice }), 'Who', hello)
    expect(known.body.subarray(5).toString()).toBe('alice')
    const stranger = certify('mallory', '127.0.0.1')
    for (const more of [{}, stranger]) {
      const unknown = await ask(session(server, { ca, ...more }), 'Who', hello)
      expect(unknown.body.subarray(5).toString()).toBe('nobody')
    }
  })

  test('certificates change while the server runs', async () => {
    const { server } = await startServer({}, { tls: identity })
    expect(await ask(session(server, { ca: identity.cert }), 'Echo', hello)).toMatchObject({
      code: '0',
    })
    const renewed = certify('server', '127.0.0.1')
    server.setSecureContext(renewed)
    const client = session(server, { ca: renewed.cert })
    expect(await ask(client, 'Echo', hello)).toMatchObject({ code: '0' })
    const { server: plain } = await startServer()
    expect(() => plain.setSecureContext(renewed)).toThrow(TypeError)
  })

  test('is spoken at some addresses, and not at others', async () => {
    const listen = ['127.0.0.1:0', 'http://127.0.0.1:0', 'https://127.0.0.1:0']
    const { server } = await startServer({}, { tls: identity, listen })
    const [first, plain, last] = server.addresses
    const ca = identity.cert
    for (const [address, options] of [
      [first, { ca }],
      [plain, {}],
      [last, { ca }],
    ] as const) {
      const client = session({ ...server, addresses: [address ?? ''] }, options)
      expect(await ask(client, 'Echo', hello)).toMatchObject({ code: '0' })
    }
    await expect(startServer({}, { listen: ['https://127.0.0.1:0'] })).rejects.toThrow(TypeError)
  })

  test('is spoken at sockets that say so, which are gone with the server', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'coracle-test-'))
    try {
      const [plain, secure] = [join(directory, 'plain'), join(directory, 'secure')]
      const listen = [`unix://${plain}`, `unixs://${secure}`]
      const { server } = await startServer({}, { tls: identity, listen })
      expect(server.addresses).toEqual(listen)
      const over = (socket: Socket): ClientHttp2Session => {
        const opened = connect('http://localhost', { createConnection: () => socket })
        sessions.push(opened)
        return opened
      }
      const ca = identity.cert
      const sockets = [
        connectPlain({ path: plain }),
        connectSecure({
          path: secure,
          ca,
          ALPNProtocols: ['h2'],
          checkServerIdentity: () => undefined,
        }),
      ]
      for (const socket of sockets)
        expect(await ask(over(socket), 'Echo', hello)).toMatchObject({ code: '0' })
      for (const client of sessions.splice(0)) client.destroy()
      await server[Symbol.asyncDispose]()
      expect([plain, secure].map((path) => existsSync(path))).toEqual([false, false])
      await expect(startServer({}, { listen: ['unixs://x'] })).rejects.toThrow(TypeError)
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  })

  test('those who may not come in are sent away, and who asks is told of them', async () => {
    const refused: string[] = []
    const { server } = await startServer(
      {},
      {
        tls: { ...identity, ca: alice.cert, requestCert: true },
        checkClient(socket) {
          throw new Error(`${socket.getPeerX509Certificate()?.subject} may not`)
        },
        onRefused: ({ message }) => refused.push(message),
      },
    )
    const ca = identity.cert
    const known = session(server, { ca, ...alice })
    await until(() => known.destroyed && refused.length === 1)
    session(server, { ca })
    await until(() => refused.length === 2)
    expect(refused[0]).toBe('CN=alice may not')
    expect(refused[1]).toContain('peer did not return a certificate')
  })
})

describe('options', () => {
  test.each([
    ['windowBytes', 1_000],
    ['maxConcurrentStreams', 0],
    ['keepaliveIntervalMs', 1.5],
  ])('%s may not be %d', async (name, value) => {
    await expect(startServer({ [name]: value })).rejects.toThrow(name)
  })

  test('paths are of the form /service/method, and addresses of the form host:port', async () => {
    const handler = { kind: 'unary', handle: (request: Uint8Array) => request } as const
    await expect(grpcServer({ services: { '/x': handler } })).rejects.toThrow(TypeError)
    await expect(grpcServer({ services: {}, listen: ['localhost'] })).rejects.toThrow(RangeError)
  })

  test('an address that is taken is an error, and nothing is left open', async () => {
    const { server } = await startServer()
    const [taken = ''] = server.addresses
    await expect(grpcServer({ services: {}, listen: ['127.0.0.1:0', taken] })).rejects.toThrow(
      'EADDRINUSE',
    )
  })
})
