import {
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata as ClientMetadata,
  type ServiceError,
} from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Code, type DuplexCall, GrpcError, type GrpcServer, grpcServer } from '../src/index.ts'
import { until } from './until.ts'

const identity = (bytes: Uint8Array): Buffer => Buffer.from(bytes)
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const MAX_MESSAGE_BYTES = 4 << 20

/** What became of calls that wait until they are called off. */
const waiting: { cancelled: boolean; over: boolean }[] = []
let duplexCall: DuplexCall | null = null

let server: GrpcServer
let client: Client

beforeAll(async () => {
  server = await grpcServer({
    listen: ['127.0.0.1:0'],
    limits: { shutdownTimeoutMs: 100, maxMessageBytes: MAX_MESSAGE_BYTES },
    services: {
      '/test.Test/Echo': { kind: 'unary', handle: (request) => request },
      '/test.Test/Later': {
        kind: 'unary',
        handle: (request) => new Promise((resolve) => setImmediate(() => resolve(request))),
      },
      '/test.Test/Throw': {
        kind: 'unary',
        handle: (request) => {
          throw new GrpcError(Code.NOT_FOUND, new TextDecoder().decode(request))
        },
      },
      '/test.Test/Reject': { kind: 'unary', handle: () => Promise.reject(new Error('a defect')) },
      '/test.Test/Metadata': {
        kind: 'unary',
        handle: (_request, call) =>
          bytes(
            JSON.stringify([
              call.metadata('token'),
              [...(call.binaryMetadata('some-bin') ?? [])],
              call.metadata('te'),
              call.commonName,
              call.peer.startsWith('127.0.0.1:'),
              call.path,
            ]),
          ),
      },
      '/test.Test/Wait': {
        kind: 'unary',
        handle: (_request, call) => {
          const state = { cancelled: false, over: false }
          waiting.push(state)
          call.onCancelled(() => (state.cancelled = true))
          call.onceOver(() => (state.over = true))
          return new Promise(() => {})
        },
      },
      '/test.Test/Count': {
        kind: 'server-stream',
        handle: (request, call) => {
          for (let at = 0; at < (request[0] as number); at += 1) call.write(Uint8Array.of(at))
          call.end()
        },
      },
      '/test.Test/Listen': {
        kind: 'duplex',
        handle: (call) => {
          call.receive({ message: () => (duplexCall = call), end() {} })
        },
      },
      '/test.Test/Talk': {
        kind: 'duplex',
        handle: (call) => {
          call.receive({
            message: (message) => void call.write(message),
            end: () => call.end(),
          })
        },
      },
    },
  })
  client = new Client(server.addresses[0] ?? '', credentials.createInsecure(), {
    'grpc.max_send_message_length': -1,
    'grpc.max_receive_message_length': -1,
  })
})

afterAll(async () => {
  client.close()
  await server[Symbol.asyncDispose]()
})

function call(
  method: string,
  request: Uint8Array,
  options: { deadline?: number; metadata?: ClientMetadata } = {},
): Promise<Uint8Array> {
  const { metadata = new ClientMetadata(), ...rest } = options
  return new Promise((resolve, reject) => {
    const done = (error: ServiceError | null, answer?: Uint8Array): void =>
      error === null ? resolve(answer as Uint8Array) : reject(error)
    client.makeUnaryRequest(
      `/test.Test/${method}`,
      identity,
      identity,
      request,
      metadata,
      rest,
      done,
    )
  })
}

const talk = (method = 'Talk'): ClientDuplexStream<Uint8Array, Uint8Array> =>
  client.makeBidiStreamRequest(`/test.Test/${method}`, identity, identity)

describe('a client on grpc-js', () => {
  test('gets answers, at once or later', async () => {
    expect([...(await call('Echo', bytes('a')))]).toEqual([...bytes('a')])
    expect([...(await call('Later', bytes('b')))]).toEqual([...bytes('b')])
    expect(await call('Echo', new Uint8Array(0))).toHaveLength(0)
  })

  test('gets the status of an error, with any text', async () => {
    for (const text of ['no such key', 'ünïcode 100% 鍵', 'a\nb']) {
      await expect(call('Throw', bytes(text))).rejects.toMatchObject({ code: 5, details: text })
    }
    await expect(call('Reject', bytes(''))).rejects.toMatchObject({ code: 2, details: 'a defect' })
  })

  test('is heard with its metadata', async () => {
    const metadata = new ClientMetadata()
    metadata.set('token', 'secret')
    metadata.set('some-bin', Buffer.from([0, 255, 10]))
    const answer = await call('Metadata', new Uint8Array(0), { metadata })
    expect(JSON.parse(new TextDecoder().decode(answer))).toEqual([
      'secret',
      [0, 255, 10],
      null,
      null,
      true,
      '/test.Test/Metadata',
    ])
  })

  test('sends and gets messages far larger than frames and windows', async () => {
    const message = new Uint8Array(MAX_MESSAGE_BYTES).map((_, at) => at % 251)
    const answers = await Promise.all([call('Echo', message), call('Later', message)])
    for (const answer of answers) expect(Buffer.compare(answer, message)).toBe(0)
  })

  test('is refused a message beyond the limit, in the words of grpc-go', async () => {
    await expect(call('Echo', new Uint8Array(MAX_MESSAGE_BYTES + 1))).rejects.toMatchObject({
      code: 8,
      details: `grpc: received message larger than max (${MAX_MESSAGE_BYTES + 1} vs. ${MAX_MESSAGE_BYTES})`,
    })
    expect(await call('Echo', bytes('still there'))).toHaveLength(11)
  })

  test.each([
    ['/no.such.Service/Method', 'unknown service no.such.Service'],
    ['/test.Test/Nothing', 'unknown method Nothing for service test.Test'],
    ['/x', 'malformed method name: "/x"'],
  ])('is told that %s is not there', async (path, details) => {
    const refused = new Promise((resolve, reject) => {
      client.makeUnaryRequest(path, identity, identity, bytes(''), (error, answer) =>
        error === null ? resolve(answer) : reject(error),
      )
    })
    await expect(refused).rejects.toMatchObject({ code: 12, details })
  })

  test('makes many calls at once', async () => {
    const calls = Array.from({ length: 500 }, (_, at) => call('Later', bytes(String(at))))
    const answers = (await Promise.all(calls)).map((answer) => new TextDecoder().decode(answer))
    expect(answers).toEqual(Array.from({ length: 500 }, (_, at) => String(at)))
  })

  test('calls off a call, of which the handler hears', async () => {
    waiting.length = 0
    const unanswered = client.makeUnaryRequest(
      '/test.Test/Wait',
      identity,
      identity,
      bytes(''),
      () => {},
    )
    await until(() => waiting.length === 1)
    expect(waiting[0]).toEqual({ cancelled: false, over: false })
    unanswered.cancel()
    await until(() => waiting[0]?.over === true)
    expect(waiting[0]).toEqual({ cancelled: true, over: true })
  })

  test('waits no longer than its deadline, and neither does the server', async () => {
    waiting.length = 0
    const late = call('Wait', bytes(''), { deadline: Date.now() + 50 })
    await expect(late).rejects.toMatchObject({ code: 4 })
    await until(() => waiting[0]?.over === true)
    expect(waiting[0]).toEqual({ cancelled: true, over: true })
  })

  test('gets the messages of a server stream in order', async () => {
    const stream = client.makeServerStreamRequest(
      '/test.Test/Count',
      identity,
      identity,
      Uint8Array.of(200),
    )
    const got: number[] = []
    for await (const message of stream) got.push((message as Uint8Array)[0] as number)
    expect(got).toEqual(Array.from({ length: 200 }, (_, at) => at))
  })

  test('talks both ways, and is done when it says so', async () => {
    const stream = talk()
    const got: string[] = []
    stream.on('data', (message: Uint8Array) => got.push(new TextDecoder().decode(message)))
    stream.write(bytes('one'))
    await until(() => got.length === 1)
    stream.write(bytes('two'))
    stream.write(bytes('three'))
    stream.end()
    await new Promise((resolve) => stream.once('end', resolve))
    expect(got).toEqual(['one', 'two', 'three'])
  })

  test('hangs up on a stream, of which the handler hears', async () => {
    duplexCall = null
    const stream = talk('Listen')
    stream.on('error', () => {})
    stream.write(bytes('hello'))
    await until(() => duplexCall !== null)
    let isOver = false
    const call = duplexCall as unknown as DuplexCall
    call.onceOver(() => (isOver = true))
    stream.cancel()
    await until(() => isOver)
    expect(call.cancelled).toBe(true)
    expect(call.write(bytes('lost'))).toBe(true)
  })
})
