/** Requests over HTTP/2 that are not gRPC's: they go to a handler such as node:http's. */
import { once } from 'node:events'
import { createServer, request as httpRequest } from 'node:http'
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2'
import { afterEach, describe, expect, test } from 'vitest'
import { ErrorCode, Flag, FrameType } from '../src/frames.ts'
import {
  type GrpcServer,
  type GrpcServerOptions,
  grpcServer,
  type HttpHandler,
  type HttpRequest,
  type HttpResponse,
} from '../src/index.ts'
import { certify } from '@coracle/tooling-certificates'
import { bytes, data, headers, message, rawClient, requestWith } from './raw-client.ts'
import { until } from './until.ts'

const servers: GrpcServer[] = []
const sessions: ClientHttp2Session[] = []
afterEach(async () => {
  for (const session of sessions.splice(0)) session.destroy()
  for (const server of servers.splice(0)) await server[Symbol.asyncDispose]()
})

async function startServer(
  onHttp2: HttpHandler | undefined,
  options: Partial<GrpcServerOptions> = {},
): Promise<GrpcServer> {
  const server = await grpcServer({
    listen: ['127.0.0.1:0'],
    services: { '/test.Test/Echo': { kind: 'unary', handle: (request) => request } },
    ...(onHttp2 === undefined ? {} : { onHttp2 }),
    ...options,
    limits: { shutdownTimeoutMs: 100, ...options.limits },
  })
  servers.push(server)
  return server
}

function session(server: GrpcServer, options: object = {}): ClientHttp2Session {
  const opened = connect(`${'ca' in options ? 'https' : 'http'}://${server.addresses[0]}`, options)
  opened.on('error', () => {})
  sessions.push(opened)
  return opened
}

function open(on: ClientHttp2Session, fields: OutgoingHttpHeaders): ClientHttp2Stream {
  const stream = on.request(fields, { endStream: false })
  stream.on('error', () => {})
  return stream
}

interface Answer {
  readonly fields: IncomingHttpHeaders
  readonly trailers: IncomingHttpHeaders | null
  readonly body: string
}

async function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
  let fields: IncomingHttpHeaders = {}
  let trailers: IncomingHttpHeaders | null = null
  stream.on('response', (arrived) => (fields = arrived))
  stream.on('trailers', (arrived) => (trailers = arrived))
  const pieces: Buffer[] = []
  stream.on('data', (piece: Buffer) => pieces.push(piece))
  await once(stream, 'close')
  return { fields, trailers, body: Buffer.concat(pieces).toString() }
}

function ask(
  on: ClientHttp2Session,
  fields: OutgoingHttpHeaders,
  body?: string | Uint8Array,
): Promise<Answer> {
  const stream = open(on, fields)
  stream.end(body)
  return answerOf(stream)
}

/** Answers with what it was asked. */
const mirror: HttpHandler = (request, response) => {
  const pieces: Uint8Array[] = []
  request.on('data', (piece: Uint8Array) => pieces.push(piece))
  request.once('end', () => {
    const { method, url, headers } = request
    const body = Buffer.concat(pieces).toString()
    response.setHeader('X-Set', ['one', 'two'])
    response.setHeader('Connection', 'close')
    response.writeHead(201, { 'Content-Type': 'application/json' })
    response.end(JSON.stringify({ method, url, headers, body }))
  })
}

const hello = message(bytes('hello'))

/** A handler whose exchanges the test holds in its hands. */
function held(): { handler: HttpHandler; exchange: () => Promise<[HttpRequest, HttpResponse]> } {
  const exchanges: [HttpRequest, HttpResponse][] = []
  return {
    handler: (request, response) => void exchanges.push([request, response]),
    async exchange() {
      await until(() => exchanges.length > 0)
      return exchanges.shift()!
    },
  }
}

describe('a request that is not one of gRPC', () => {
  const identity = certify('server', '127.0.0.1')

  test.each([
    ['with prior knowledge', {}, {}],
    ['by TLS', { tls: identity }, { ca: identity.cert }],
  ])('comes to the handler whole, and so does its answer, %s', async (_how, options, client) => {
    const server = await startServer(mirror, options)
    const { fields, trailers, body } = await ask(
      session(server, client),
      {
        ':method': 'PUT',
        ':path': '/some/where?a=b',
        ':authority': 'example.com:2379',
        'content-type': 'text/plain',
        cookie: ['a=1', 'b=2'],
        accept: 'x',
        __proto__x: 'y',
      },
      'the body',
    )
    expect(fields).toMatchObject({ ':status': 201, 'content-type': 'application/json' })
    expect(fields['x-set']).toBe('one, two')
    expect(fields['connection']).toBeUndefined()
    expect(Date.parse(fields['date']!)).not.toBeNaN()
    expect(trailers).toBeNull()
    expect(JSON.parse(body)).toEqual({
      method: 'PUT',
      url: '/some/where?a=b',
      headers: {
        host: 'example.com:2379',
        'content-type': 'text/plain',
        cookie: 'a=1; b=2',
        accept: 'x',
        __proto__x: 'y',
      },
      body: 'the body',
    })
  })

  test('is served by the very handler that HTTP/1.1 has', async () => {
    const http = createServer(mirror)
    const onHttp1 = (socket: unknown): void => void http.emit('connection', socket)
    const server = await startServer(mirror, { onHttp1 })
    const [host, port] = server.addresses[0]!.split(':')
    const fields = { host: 'h', 'content-type': 'text/plain' }
    const asked = httpRequest({ host, port, path: '/x', agent: false, headers: fields }).end()
    const [response] = (await once(asked, 'response')) as [NodeJS.ReadableStream]
    const [body] = (await once(response, 'data')) as [Buffer]
    const overHttp2 = await ask(session(server), {
      ':path': '/x',
      ':authority': 'h',
      'content-type': 'text/plain',
    })
    const { headers: first, ...rest } = JSON.parse(body.toString())
    expect(first).toMatchObject(fields)
    expect(JSON.parse(overHttp2.body)).toEqual({ ...rest, headers: fields })
  })

  test('and calls of gRPC take turns on one connection; what is nearly gRPC is refused', async () => {
    const server = await startServer(mirror)
    const client = session(server)
    const call = { ':method': 'POST', ':path': '/test.Test/Echo', te: 'trailers' }
    for (const type of ['application/grpc', 'application/grpc+proto']) {
      expect((await ask(client, { ':path': '/' })).fields[':status']).toBe(201)
      const echo = await ask(client, { ...call, 'content-type': type }, hello)
      expect(echo.trailers).toMatchObject({ 'grpc-status': '0' })
      expect(echo.body).toBe(Buffer.from(hello).toString())
    }
    const web = await ask(client, { ...call, 'content-type': 'application/grpc-web' }, hello)
    expect(web.fields).toMatchObject({ ':status': 415, 'grpc-status': '3' })
  })

  test('is refused as by grpc-go if there is no handler', async () => {
    const server = await startServer(undefined)
    const { fields } = await ask(session(server), { ':path': '/health' })
    expect(fields).toMatchObject({ ':status': 415, 'grpc-status': '3' })
  })

  test('may ask whether to send its body', async () => {
    const server = await startServer(mirror)
    const stream = open(session(server), { ':method': 'POST', expect: '100-continue' })
    await once(stream, 'continue')
    stream.end('now')
    expect(JSON.parse((await answerOf(stream)).body)).toMatchObject({ body: 'now' })
  })

  test('must keep to the length that it has announced', async () => {
    const { handler, exchange } = held()
    using client = await rawClient((await startServer(handler)).addresses[0]!)
    const announced = requestWith({ 'content-type': 'text/plain', 'content-length': '2' })
    client.send(headers(1, announced), data(1, bytes('x'), 0))
    const [request] = await exchange()
    const failure = once(request, 'error')
    client.send(data(1, bytes('yz')))
    expect(await client.reset(1)).toBe(ErrorCode.PROTOCOL_ERROR)
    await failure
    client.send(headers(3, announced, Flag.END_HEADERS | Flag.END_STREAM))
    expect(await client.reset(3)).toBe(ErrorCode.PROTOCOL_ERROR)
  })
})

describe('an answer over HTTP/2', () => {
  test('to HEAD is its head, which ends it', async () => {
    const server = await startServer((_request, response) => {
      response.writeHead(200, { 'Content-Length': 5 }).end('12345')
    })
    using client = await rawClient(server.addresses[0]!)
    const head = requestWith({ ':method': 'HEAD', 'content-type': 'text/plain' })
    client.send(headers(1, head, Flag.END_HEADERS | Flag.END_STREAM))
    const answer = await client.frame(({ streamId }) => streamId === 1)
    expect(answer).toMatchObject({
      type: FrameType.HEADERS,
      flags: Flag.END_HEADERS | Flag.END_STREAM,
    })
    expect(client.fields(answer)).toMatchObject({ ':status': '200', 'content-length': '5' })
    await client.answered()
    expect(client.received.filter(({ streamId }) => streamId === 1)).toHaveLength(1)
  })

  test('may have a head that is longer than a frame', async () => {
    const long = 'x'.repeat(20_000)
    const server = await startServer((_request, response) => {
      response.writeHead(200, { 'X-One': long, 'X-Two': long }).end()
    })
    const { fields } = await ask(session(server), {})
    expect(fields).toMatchObject({ ':status': 200, 'x-one': long, 'x-two': long })
  })

  test('takes no headers that are none, and none after its head', async () => {
    const { handler, exchange } = held()
    const answer = ask(session(await startServer(handler)), {})
    const [, response] = await exchange()
    expect(() => response.setHeader('x', 'a\r\nb')).toThrow('Invalid character')
    expect(() => response.setHeader(':status', '1')).toThrow('valid HTTP token')
    expect(response.headersSent).toBe(false)
    response.write('x')
    expect(response.headersSent).toBe(true)
    expect(() => response.setHeader('a', 'b')).toThrow('have been sent')
    response.end('y')
    expect(await answer).toMatchObject({ fields: { ':status': 200 }, body: 'xy' })
  })

  test('leaves piece by piece as it is written', async () => {
    const { handler, exchange } = held()
    const stream = open(session(await startServer(handler)), { ':method': 'POST' })
    const [request, response] = await exchange()
    for (const piece of ['first', 'second']) {
      stream.write(piece)
      const [asked] = (await once(request, 'data')) as [Uint8Array]
      response.write(asked)
      const [answered] = (await once(stream, 'data')) as [Buffer]
      expect(answered.toString()).toBe(piece)
    }
    const closed = once(response, 'close')
    response.end()
    stream.end()
    await Promise.all([once(stream, 'close'), closed])
    expect(stream.rstCode).toBe(constants.NGHTTP2_NO_ERROR)
  })

  test('waits for a client that does not read, and its handler is told to', async () => {
    const { handler, exchange } = held()
    const server = await startServer(handler, { limits: { maxQueuedBytes: 50_000 } })
    const client = session(server)
    const stream = open(client, {})
    stream.pause()
    const [, response] = await exchange()
    const piece = new Uint8Array(10_000)
    let written = 0
    do written += 1
    while (response.write(piece))
    // The window of HTTP/2, what may wait, and the piece that went beyond.
    expect(written * 10_000).toBeLessThanOrEqual(65_535 + 50_000 + 10_000)
    const drained = once(response, 'drain')
    await new Promise((resolve) => client.ping(resolve))
    expect(response.writableNeedDrain).toBe(true)
    let arrived = 0
    stream.on('data', ({ length }: Buffer) => (arrived += length))
    stream.resume()
    await drained
    response.end()
    await once(stream, 'close')
    expect(arrived).toBe(written * 10_000)
  })

  test('may be complete before the request is', async () => {
    const server = await startServer((_request, response) => void response.end('enough'))
    const client = session(server)
    const stream = open(client, { ':method': 'POST' })
    stream.write('a beginning')
    expect(await answerOf(stream)).toMatchObject({ body: 'enough' })
    expect(stream.rstCode).toBe(constants.NGHTTP2_NO_ERROR)
  })
})

describe('a body over HTTP/2', () => {
  test('that nobody reads comes no further than its window, and all of it when somebody does', async () => {
    const { handler, exchange } = held()
    const limits = { windowBytes: 100_000 }
    const client = session(await startServer(handler, { limits }))
    const stream = open(client, { ':method': 'POST' })
    stream.end(new Uint8Array(1_000_000))
    const [request, response] = await exchange()
    await until(() => request.readableLength === 100_000)
    // The connection is not blocked by it.
    const call = { ':method': 'POST', ':path': '/test.Test/Echo' }
    const echo = await ask(client, { ...call, 'content-type': 'application/grpc' }, hello)
    expect(echo.trailers).toMatchObject({ 'grpc-status': '0' })
    expect(request.readableLength).toBe(100_000)
    let arrived = 0
    request.on('data', ({ length }: Uint8Array) => (arrived += length))
    await once(request, 'end')
    expect(arrived).toBe(1_000_000)
    response.end()
    await once(stream.resume(), 'close')
  })

  test('counts against what its connection may keep, until it is taken or over', async () => {
    const { handler, exchange } = held()
    const limits = { maxBufferedBytes: 100_000 }
    const client = session(await startServer(handler, { limits }))
    const begin = async (): Promise<[ClientHttp2Stream, HttpRequest, HttpResponse]> => {
      const stream = open(client, { ':method': 'POST' })
      stream.write(new Uint8Array(60_000))
      return [stream, ...(await exchange())]
    }
    const [first, request, response] = await begin()
    await until(() => request.readableLength === 60_000)
    const [second] = await begin()
    await until(() => second.destroyed)
    expect(second.rstCode).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM)
    response.end()
    await once(first.resume(), 'close')
    for (let at = 0; at < 3; at += 1) {
      const [stream, again, answer] = await begin()
      await until(() => again.readableLength === 60_000)
      answer.end()
      await once(stream.resume(), 'close')
    }
  })
})

describe('an exchange over HTTP/2 that is broken off', () => {
  test.each([
    ['by a reset', (stream: ClientHttp2Stream) => stream.close(constants.NGHTTP2_CANCEL)],
    ['with its connection', (stream: ClientHttp2Stream) => stream.session?.destroy()],
  ])('%s is over for its handler, too', async (_how, breakOff) => {
    const { handler, exchange } = held()
    const stream = open(session(await startServer(handler)), { ':method': 'POST' })
    const [request, response] = await exchange()
    response.write('a beginning')
    await once(stream, 'data')
    const over = [once(response, 'close'), once(request, 'error')]
    breakOff(stream)
    await Promise.all(over)
    // What is written to nobody is lost, and no failure.
    response.write('more')
    response.end()
  })

  test('by its handler is reset, and so is one whose handler throws', async () => {
    const server = await startServer((request, response) => {
      if (request.url === '/throw') throw new Error('a defect')
      response.destroy()
    })
    const client = session(server)
    for (const path of ['/throw', '/destroy']) {
      const stream = open(client, { ':path': path })
      await until(() => stream.destroyed)
      expect(stream.rstCode).toBe(constants.NGHTTP2_INTERNAL_ERROR)
    }
    expect(client.destroyed).toBe(false)
  })

  test('by the end of the server is reset; what ends before is not', async () => {
    const { handler, exchange } = held()
    const server = await startServer(handler, { limits: { shutdownTimeoutMs: 300 } })
    const client = session(server)
    const endless = open(client, { ':path': '/endless' })
    const [, neverEnds] = await exchange()
    const short = ask(client, { ':path': '/short' })
    const [, ends] = await exchange()
    const goingAway = once(client, 'goaway')
    const stopped = server[Symbol.asyncDispose]()
    await goingAway
    ends.end('done')
    expect((await short).body).toBe('done')
    const over = once(neverEnds, 'close')
    await until(() => endless.destroyed)
    expect(endless.rstCode).toBe(constants.NGHTTP2_CANCEL)
    await Promise.all([over, stopped])
  })
})
