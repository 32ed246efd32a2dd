import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type DuplexCall, type GrpcServer, grpcServer } from '../src/index.ts'
import { ErrorCode, Flag, FrameType, uint32At } from '../src/frames.ts'
import {
  block,
  bytes,
  data,
  frame,
  headers,
  join,
  message,
  PREFACE,
  type RawClient,
  rawClient,
  REQUEST,
  requestWith,
  SETTINGS,
  setting,
  uint32,
} from './raw-client.ts'
import { until } from './until.ts'

const { DATA, HEADERS, PRIORITY, RST_STREAM, PUSH_PROMISE, PING, GOAWAY } = FrameType
const { WINDOW_UPDATE, CONTINUATION } = FrameType
const SETTINGS_FRAME = FrameType.SETTINGS
const { PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR } = ErrorCode
const { COMPRESSION_ERROR, ENHANCE_YOUR_CALM, REFUSED_STREAM } = ErrorCode

const MAX_STREAMS = 20
const open: DuplexCall[] = []
let server: GrpcServer

beforeAll(async () => {
  server = await grpcServer({
    listen: ['127.0.0.1:0'],
    limits: {
      shutdownTimeoutMs: 50,
      keepaliveMinTimeMs: 0,
      maxConcurrentStreams: MAX_STREAMS,
      maxHeaderListBytes: 4_096,
    },
    services: {
      '/test.Test/Echo': { kind: 'unary', handle: (request) => request },
      '/test.Test/Open': {
        kind: 'duplex',
        handle(call) {
          open.push(call)
          call.receive({ message() {}, end() {} })
        },
      },
      '/test.Test/Large': { kind: 'unary', handle: () => new Uint8Array(100_000).fill(7) },
    },
  })
})
afterAll(() => server[Symbol.asyncDispose]())

const start = (greeting?: Uint8Array): Promise<RawClient> =>
  rawClient(server.addresses[0] ?? '', greeting)

const echo = message(bytes('hello'))
const OPEN = requestWith({ ':path': '/test.Test/Open' })
const LARGE = requestWith({ ':path': '/test.Test/Large' })
const request = (streamId: number): Uint8Array => join(headers(streamId), data(streamId, echo))

/** What a client sends, and the code of the connection error that it gets. */
const CONNECTION_ERRORS: [sentence: string, code: number, sent: Uint8Array][] = [
  [
    '4.1 frames of unknown types are ignored, but not in a header block',
    PROTOCOL_ERROR,
    join(headers(1, REQUEST, 0), frame(0x42, 0, 0)),
  ],
  [
    '4.2 a frame beyond SETTINGS_MAX_FRAME_SIZE',
    FRAME_SIZE_ERROR,
    frame(DATA, 0, 1, new Uint8Array(16_385)),
  ],
  [
    '4.3 a header block that cannot be decoded',
    COMPRESSION_ERROR,
    frame(HEADERS, Flag.END_HEADERS, 1, Uint8Array.of(0xff)),
  ],
  [
    '4.3 a header block with another frame in it',
    PROTOCOL_ERROR,
    join(headers(1, REQUEST, 0), frame(PING, 0, 0, new Uint8Array(8))),
  ],
  ['5.1 DATA on an idle stream', PROTOCOL_ERROR, data(1, echo)],
  ['5.1 RST_STREAM on an idle stream', PROTOCOL_ERROR, frame(RST_STREAM, 0, 1, uint32(0))],
  ['5.1 WINDOW_UPDATE on an idle stream', PROTOCOL_ERROR, frame(WINDOW_UPDATE, 0, 1, uint32(1))],
  ['5.1 DATA on a closed stream', STREAM_CLOSED, join(request(1), data(1, echo))],
  ['5.1 HEADERS on a closed stream', STREAM_CLOSED, join(request(1), headers(1))],
  ['5.1.1 a stream with an even number', PROTOCOL_ERROR, headers(2)],
  ['5.1.1 a stream with a lower number', STREAM_CLOSED, join(request(3), headers(1))],
  ['6.1 DATA on stream 0', PROTOCOL_ERROR, data(0, echo)],
  [
    '6.1 DATA with more padding than payload',
    PROTOCOL_ERROR,
    join(headers(1), frame(DATA, Flag.PADDED, 1, Uint8Array.of(5, 0, 0))),
  ],
  ['6.2 HEADERS on stream 0', PROTOCOL_ERROR, headers(0)],
  [
    '6.2 HEADERS with more padding than payload',
    PROTOCOL_ERROR,
    frame(HEADERS, Flag.PADDED | Flag.END_HEADERS, 1, Uint8Array.of(9, 0x82)),
  ],
  ['6.3 PRIORITY on stream 0', PROTOCOL_ERROR, frame(PRIORITY, 0, 0, new Uint8Array(5))],
  ['6.4 RST_STREAM on stream 0', PROTOCOL_ERROR, frame(RST_STREAM, 0, 0, uint32(0))],
  [
    '6.4 RST_STREAM of another length than four',
    FRAME_SIZE_ERROR,
    join(headers(1), frame(RST_STREAM, 0, 1, new Uint8Array(3))),
  ],
  ['6.5 SETTINGS on a stream', PROTOCOL_ERROR, frame(SETTINGS_FRAME, 0, 1)],
  [
    '6.5 SETTINGS with ACK and a payload',
    FRAME_SIZE_ERROR,
    frame(SETTINGS_FRAME, Flag.ACK, 0, setting(1, 1)),
  ],
  [
    '6.5 SETTINGS whose length is no multiple of six',
    FRAME_SIZE_ERROR,
    frame(SETTINGS_FRAME, 0, 0, new Uint8Array(5)),
  ],
  [
    '6.5.2 SETTINGS_ENABLE_PUSH other than 0 or 1',
    PROTOCOL_ERROR,
    frame(SETTINGS_FRAME, 0, 0, setting(2, 2)),
  ],
  [
    '6.5.2 SETTINGS_INITIAL_WINDOW_SIZE above 2^31-1',
    FLOW_CONTROL_ERROR,
    frame(SETTINGS_FRAME, 0, 0, setting(4, 0x8000_0000)),
  ],
  [
    '6.5.2 SETTINGS_MAX_FRAME_SIZE below 2^14',
    PROTOCOL_ERROR,
    frame(SETTINGS_FRAME, 0, 0, setting(5, 16_383)),
  ],
  [
    '6.5.2 SETTINGS_MAX_FRAME_SIZE above 2^24-1',
    PROTOCOL_ERROR,
    frame(SETTINGS_FRAME, 0, 0, setting(5, 1 << 24)),
  ],
  [
    '6.6 PUSH_PROMISE from a client',
    PROTOCOL_ERROR,
    frame(PUSH_PROMISE, Flag.END_HEADERS, 1, uint32(2)),
  ],
  ['6.7 PING on a stream', PROTOCOL_ERROR, frame(PING, 0, 1, new Uint8Array(8))],
  ['6.7 PING of another length than eight', FRAME_SIZE_ERROR, frame(PING, 0, 0, new Uint8Array(7))],
  ['6.8 GOAWAY on a stream', PROTOCOL_ERROR, frame(GOAWAY, 0, 1, new Uint8Array(8))],
  [
    '6.9 WINDOW_UPDATE of another length than four',
    FRAME_SIZE_ERROR,
    frame(WINDOW_UPDATE, 0, 0, new Uint8Array(3)),
  ],
  [
    '6.9 WINDOW_UPDATE by 0 on the connection',
    PROTOCOL_ERROR,
    frame(WINDOW_UPDATE, 0, 0, uint32(0)),
  ],
  [
    '6.9.1 a window of the connection above 2^31-1',
    FLOW_CONTROL_ERROR,
    frame(WINDOW_UPDATE, 0, 0, uint32(0x7fff_ffff)),
  ],
  [
    '6.9.2 a window of a stream above 2^31-1 by SETTINGS',
    FLOW_CONTROL_ERROR,
    join(
      headers(1, OPEN),
      frame(WINDOW_UPDATE, 0, 1, uint32(0x7fff_0000)),
      frame(SETTINGS_FRAME, 0, 0, setting(4, 0x7fff_ffff)),
    ),
  ],
  ['6.10 CONTINUATION without HEADERS', PROTOCOL_ERROR, frame(CONTINUATION, Flag.END_HEADERS, 1)],
  [
    '6.10 CONTINUATION for another stream',
    PROTOCOL_ERROR,
    join(headers(1, REQUEST, 0), frame(CONTINUATION, Flag.END_HEADERS, 3)),
  ],
  [
    '10.5.1 a header block that never ends',
    ENHANCE_YOUR_CALM,
    join(
      headers(1, REQUEST, 0),
      ...Array.from({ length: 5 }, () => frame(CONTINUATION, 0, 1, new Uint8Array(1_000))),
    ),
  ],
]

describe('a connection error (RFC 9113)', () => {
  test.each(CONNECTION_ERRORS)('%s', async (_sentence, code, sent) => {
    using client = await start()
    client.send(sent)
    expect((await client.failure()).code).toBe(code)
    await until(() => client.socket.closed)
  })

  test('3.4 a connection does not begin with SETTINGS', async () => {
    using client = await start(join(PREFACE, frame(PING, 0, 0, new Uint8Array(8))))
    expect((await client.failure()).code).toBe(PROTOCOL_ERROR)
  })
})

/** What a client sends on stream 1, and the code that this stream ends with. */
const STREAM_ERRORS: [sentence: string, code: number, sent: Uint8Array][] = [
  [
    '5.1 DATA on a half-closed stream',
    STREAM_CLOSED,
    join(headers(1, OPEN, Flag.END_HEADERS | Flag.END_STREAM), data(1, echo)),
  ],
  [
    '6.9 WINDOW_UPDATE by 0',
    PROTOCOL_ERROR,
    join(headers(1, OPEN), frame(WINDOW_UPDATE, 0, 1, uint32(0))),
  ],
  [
    '6.9.1 a window above 2^31-1',
    FLOW_CONTROL_ERROR,
    join(headers(1, OPEN), frame(WINDOW_UPDATE, 0, 1, uint32(0x7fff_ffff))),
  ],
  [
    '8.1 trailers that do not end the stream',
    PROTOCOL_ERROR,
    join(headers(1, OPEN), headers(1, [['a', 'b']])),
  ],
  [
    '8.1 trailers with pseudo-fields',
    PROTOCOL_ERROR,
    join(headers(1, OPEN), headers(1, [[':path', '/']], 0x5)),
  ],
  [
    '8.1.1 more DATA than content-length says',
    PROTOCOL_ERROR,
    join(headers(1, requestWith({ 'content-length': '3' })), data(1, echo)),
  ],
  [
    '8.1.1 less DATA than content-length says',
    PROTOCOL_ERROR,
    join(headers(1, requestWith({ 'content-length': '99' })), data(1, echo)),
  ],
  ['8.2.1 a name with capital letters', PROTOCOL_ERROR, headers(1, [...REQUEST, ['Token', 'a']])],
  ['8.2.1 a name with a space', PROTOCOL_ERROR, headers(1, [...REQUEST, ['a b', 'a']])],
  ['8.2.1 a value with a line break', PROTOCOL_ERROR, headers(1, [...REQUEST, ['token', 'a\nb']])],
  [
    '8.2.1 a value with a space around it',
    PROTOCOL_ERROR,
    headers(1, [...REQUEST, ['token', ' a']]),
  ],
  [
    '8.2.2 a field of HTTP/1.1’s connections',
    PROTOCOL_ERROR,
    headers(1, [...REQUEST, ['connection', 'close']]),
  ],
  ['8.2.2 te other than trailers', PROTOCOL_ERROR, headers(1, requestWith({ te: 'gzip' }))],
  [
    '8.3 a pseudo-field behind others',
    PROTOCOL_ERROR,
    headers(1, [...REQUEST.slice(1), [':method', 'POST']]),
  ],
  ['8.3 a pseudo-field that is none', PROTOCOL_ERROR, headers(1, [[':status', '200'], ...REQUEST])],
  ['8.3.1 a pseudo-field twice', PROTOCOL_ERROR, headers(1, [[':path', '/'], ...REQUEST])],
  [
    '8.3.1 no :path',
    PROTOCOL_ERROR,
    headers(
      1,
      REQUEST.filter(([name]) => name !== ':path'),
    ),
  ],
  ['8.3.1 an empty :path', PROTOCOL_ERROR, headers(1, requestWith({ ':path': '' }))],
  ['8.3.1 no :method', PROTOCOL_ERROR, headers(1, REQUEST.slice(1))],
  [
    '10.5.1 a list of fields beyond the limit',
    ENHANCE_YOUR_CALM,
    headers(1, [
      ...REQUEST,
      ...Array.from({ length: 60 }, (): [string, string] => ['k', 'v'.repeat(40)]),
    ]),
  ],
]

describe('a stream error (RFC 9113)', () => {
  test.each(STREAM_ERRORS)('%s', async (_sentence, code, sent) => {
    using client = await start()
    client.send(sent)
    expect(await client.reset(1)).toBe(code)
    // The connection goes on.
    client.send(request(5))
    await client.frame(({ type, streamId }) => type === DATA && streamId === 5)
  })

  test('5.1.2 more streams than SETTINGS_MAX_CONCURRENT_STREAMS', async () => {
    using client = await start()
    for (let at = 0; at <= MAX_STREAMS; at += 1) client.send(headers(1 + 2 * at, OPEN))
    expect(await client.reset(1 + 2 * MAX_STREAMS)).toBe(REFUSED_STREAM)
    client.send(frame(RST_STREAM, 0, 1, uint32(8)), headers(101, OPEN))
    await client.answered()
    expect(client.received.filter(({ type }) => type === RST_STREAM)).toHaveLength(1)
  })
})

describe('what is allowed (RFC 9113)', () => {
  test('4.1 reserved bits, unknown frames, flags and settings are ignored', async () => {
    using client = await start()
    client.send(frame(0x42, 0xff, 0x8000_0001, new Uint8Array(100)))
    client.send(frame(SETTINGS_FRAME, 0, 0, setting(0x99, 5)))
    client.send(headers(0x8000_0001, REQUEST, 0xc4), data(0x8000_0001, echo, 0xf1))
    const answer = await client.frame(({ type }) => type === DATA)
    expect(answer).toMatchObject({ streamId: 1, payload: echo })
  })

  test('4.3 a header block may come in any number of pieces', async () => {
    using client = await start()
    const whole = block(REQUEST)
    client.send(frame(HEADERS, 0, 1, whole.subarray(0, 3)))
    for (let at = 3; at < whole.length; at += 1)
      client.send(frame(CONTINUATION, 0, 1, whole.subarray(at, at + 1)))
    client.send(frame(CONTINUATION, Flag.END_HEADERS, 1), data(1, echo))
    expect((await client.frame(({ type }) => type === DATA)).payload).toEqual(echo)
  })

  test('frames may come byte by byte', async () => {
    using client = await start()
    for (const byte of join(request(1), request(3))) client.send(Uint8Array.of(byte))
    await client.frame(({ type, streamId }) => type === DATA && streamId === 3)
  })

  test('6.1 and 6.2 padding and priorities are taken off', async () => {
    using client = await start()
    const padded = join(Uint8Array.of(3, 0, 0, 0, 0, 16), block(REQUEST), new Uint8Array(3))
    const flags = Flag.PADDED | Flag.PRIORITY | Flag.END_HEADERS
    client.send(frame(HEADERS, flags, 1, padded), frame(PRIORITY, 0, 9, new Uint8Array(5)))
    const content = join(Uint8Array.of(2), echo, new Uint8Array(2))
    client.send(frame(DATA, Flag.PADDED | Flag.END_STREAM, 1, content))
    expect((await client.frame(({ type }) => type === DATA)).payload).toEqual(echo)
  })

  test('6.5.3 and 6.7 settings and pings are acknowledged', async () => {
    using client = await start()
    const isAck = ({ type, flags }: { type: number; flags: number }): boolean =>
      type === SETTINGS_FRAME && flags === Flag.ACK
    await client.frame(isAck)
    client.send(frame(PING, 0, 0, bytes('12345678')))
    const ack = await client.frame(({ type }) => type === PING)
    expect(ack).toMatchObject({ flags: Flag.ACK, payload: bytes('12345678') })
  })

  test('8.3.1 any :authority, as Go takes it', async () => {
    using client = await start()
    const authorities = [
      '#initially=[http://a:1;http://b:2]',
      'http://127.0.0.1:2379',
      '',
      'a b/c?d',
    ]
    for (const [at, authority] of authorities.entries()) {
      const streamId = 1 + 2 * at
      client.send(headers(streamId, requestWith({ ':authority': authority })), data(streamId, echo))
      await client.frame((each) => each.type === DATA && each.streamId === streamId)
    }
  })

  test('a window update and a reset may come for a stream that has just ended', async () => {
    using client = await start()
    client.send(request(1))
    await client.frame(({ type }) => type === DATA)
    client.send(frame(WINDOW_UPDATE, 0, 1, uint32(1)), frame(RST_STREAM, 0, 1, uint32(8)))
    await client.answered()
  })

  test('frames that were on their way to a stream that was cut off are passed over', async () => {
    using client = await start()
    const unknown = requestWith({ ':path': '/no.such/Method' })
    client.send(
      headers(1, unknown),
      data(1, echo, 0),
      data(1, echo, 0),
      headers(1, [['a', 'b']], 5),
    )
    expect(await client.reset(1)).toBe(ErrorCode.NO_ERROR)
    await client.answered()
  })
})

describe('flow control (RFC 9113, 6.9)', () => {
  const sentOn = (client: RawClient, streamId: number): number =>
    client.received
      .filter((each) => each.type === DATA && each.streamId === streamId)
      .reduce((sum, { payload }) => sum + payload.length, 0)

  test('no more is sent than the stream’s window, which SETTINGS can make smaller than nothing', async () => {
    using client = await start(join(PREFACE, frame(SETTINGS_FRAME, 0, 0, setting(4, 1_000))))
    client.send(headers(1, LARGE), data(1, message(new Uint8Array(0))))
    await client.answered()
    expect(sentOn(client, 1)).toBe(1_000)
    client.send(frame(SETTINGS_FRAME, 0, 0, setting(4, 400)))
    client.send(frame(WINDOW_UPDATE, 0, 1, uint32(600)))
    await client.answered()
    expect(sentOn(client, 1)).toBe(1_000)
    client.send(frame(WINDOW_UPDATE, 0, 1, uint32(50)))
    await client.answered()
    expect(sentOn(client, 1)).toBe(1_050)
    client.send(frame(SETTINGS_FRAME, 0, 0, setting(4, 500)))
    await client.answered()
    expect(sentOn(client, 1)).toBe(1_150)
  })

  test('no more is sent than the connection’s window, and streams take turns at it', async () => {
    using client = await start(join(PREFACE, frame(SETTINGS_FRAME, 0, 0, setting(4, 1 << 20))))
    for (const id of [1, 3]) client.send(headers(id, LARGE), data(id, message(new Uint8Array(0))))
    await client.answered()
    expect(sentOn(client, 1) + sentOn(client, 3)).toBe(65_535)
    client.send(frame(WINDOW_UPDATE, 0, 0, uint32(1 << 20)))
    await client.answered()
    expect([sentOn(client, 1), sentOn(client, 3)]).toEqual([100_005, 100_005])
    const order = client.received.filter(({ type }) => type === DATA).map((each) => each.streamId)
    expect(order.lastIndexOf(1)).toBeGreaterThan(order.indexOf(3))
  })

  test('a client that sends more than its window is told so', async () => {
    using client = await start()
    client.send(headers(1, OPEN))
    await client.answered()
    open.at(-1)!.pause()
    const piece = message(new Uint8Array(16_000))
    for (let at = 0; at < 17; at += 1) client.send(data(1, piece, 0))
    expect(await client.reset(1)).toBe(FLOW_CONTROL_ERROR)
  })

  test('what was taken is given back', async () => {
    using client = await start()
    client.send(headers(1, OPEN))
    const piece = message(new Uint8Array(16_000))
    for (let round = 0; round < 10; round += 1) {
      for (let at = 0; at < 16; at += 1) client.send(data(1, piece, 0))
      await client.answered()
    }
    const updates = client.received.filter(({ type }) => type === WINDOW_UPDATE)
    const given = (streamId: number): number =>
      updates
        .filter((each) => each.streamId === streamId)
        .reduce((sum, { payload }) => sum + uint32At(payload, 0), 0)
    expect(given(1)).toBeGreaterThan(2_000_000)
    expect(given(0)).toBeGreaterThan(2_000_000)
  })
})

describe('a flood', () => {
  const repeat = (count: number, piece: Uint8Array): Uint8Array =>
    join(...Array.from({ length: count }, () => piece))

  test.each([
    ['pings', frame(PING, 0, 0, new Uint8Array(8))],
    ['settings', SETTINGS],
    ['priorities', frame(PRIORITY, 0, 1, new Uint8Array(5))],
    ['frames that nobody knows', frame(0x42, 0, 0)],
  ])('of %s ends the connection', async (_what, piece) => {
    using client = await start()
    client.send(repeat(1_500, piece))
    expect((await client.failure()).code).toBe(ENHANCE_YOUR_CALM)
  })

  test('of empty DATA ends the connection', async () => {
    using client = await start()
    client.send(headers(1, OPEN), repeat(1_500, data(1, new Uint8Array(0), 0)))
    expect((await client.failure()).code).toBe(ENHANCE_YOUR_CALM)
  })

  test('of requests that are called off at once ends the connection', async () => {
    using client = await start()
    for (let id = 1; id < 16_000; id += 2)
      client.send(headers(id, OPEN), frame(RST_STREAM, 0, id, uint32(8)))
    expect((await client.failure()).code).toBe(ENHANCE_YOUR_CALM)
  })

  test('of requests that make the server reset them ends the connection', async () => {
    using client = await start()
    for (let id = 1; id < 16_000; id += 2)
      client.send(headers(id, OPEN), frame(WINDOW_UPDATE, 0, id, uint32(0)))
    expect((await client.failure()).code).toBe(ENHANCE_YOUR_CALM)
  })

  test('of pings by a client that reads no answers is not read to its end', async () => {
    await using server = await grpcServer({
      services: { '/test.Test/Echo': { kind: 'unary', handle: (sent) => sent } },
      limits: { shutdownTimeoutMs: 0, keepaliveMinTimeMs: 0 },
    })
    const socket = new UnreadSocket()
    server.accept(socket as unknown as Socket)
    socket.push(join(PREFACE, SETTINGS))
    // Between requests pings are as many as anybody likes.
    const pings = repeat(500, frame(PING, 0, 0, new Uint8Array(8)))
    for (let id = 1; !socket.isPaused() && id < 2_000; id += 2) {
      socket.push(join(frame(WINDOW_UPDATE, 0, 0, uint32(echo.length)), request(id), pings))
      await new Promise(setImmediate)
    }
    expect(socket.isPaused()).toBe(true)
    expect(socket.writableLength).toBeLessThan(2 << 20)
    socket.taken()
    await until(() => !socket.isPaused())
  })
})

/** A connection whose client takes nothing until it says so. */
class UnreadSocket extends Duplex {
  taken = (): void => {}
  #isRead = false

  override _read(): void {}

  override _write(_bytes: Uint8Array, _encoding: string, callback: () => void): void {
    this.taken = () => {
      this.#isRead = true
      callback()
    }
    if (this.#isRead) callback()
  }
}
