import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FrameType } from '../src/frames.ts'
import { type DuplexCall, type GrpcServer, grpcServer } from '../src/index.ts'
import { SendQueue } from '../src/send-queue.ts'
import {
  bytes,
  frame,
  headers,
  join,
  message,
  PREFACE,
  type RawClient,
  rawClient,
  requestWith,
  SETTINGS,
  setting,
  uint32,
} from './raw-client.ts'

const MAX_FRAME_BYTES = 16_384
const OPEN = requestWith({ ':path': '/test.Test/Open' })

const calls: DuplexCall[] = []
let server: GrpcServer

beforeAll(async () => {
  const handle = (call: DuplexCall): void => {
    calls.push(call)
    call.receive({ message() {}, end() {} })
  }
  server = await grpcServer({
    listen: ['127.0.0.1:0'],
    limits: { shutdownTimeoutMs: 50 },
    services: { '/test.Test/Open': { kind: 'duplex', handle } },
  })
})
afterAll(() => server[Symbol.asyncDispose]())

/** A client with so many open calls, whose other ends are the last of `calls`. */
async function opened(count: number, greeting: Uint8Array = SETTINGS): Promise<RawClient> {
  calls.length = 0
  const client = await rawClient(server.addresses[0] ?? '', join(PREFACE, greeting))
  for (let at = 0; at < count; at += 1) client.send(headers(1 + 2 * at, OPEN))
  await client.answered()
  return client
}

/** The payloads of the DATA frames of a stream that have arrived. */
function payloads(client: RawClient, streamId: number): Uint8Array[] {
  return client.received
    .filter((each) => each.type === FrameType.DATA && each.streamId === streamId)
    .map(({ payload }) => payload)
}

const numbered = (number: number, length: number): Uint8Array =>
  new Uint8Array(length).fill(number % 251)

describe('messages of one stream in one turn', () => {
  test('share a frame, as long as they fit into it', async () => {
    using client = await opened(1)
    const messages = Array.from({ length: 100 }, (_, at) => numbered(at, 300))
    for (const each of messages) calls[0]!.write(each)
    await client.answered()
    const frames = payloads(client, 1)
    expect(join(...frames)).toEqual(join(...messages.map(message)))
    expect(frames.length).toBeLessThan(5)
    for (const each of frames) expect(each.length).toBeLessThanOrEqual(MAX_FRAME_BYTES)
  })

  test('stay in their streams when those are written to in turns', async () => {
    using client = await opened(2)
    for (let at = 0; at < 10; at += 1) for (const call of calls) call.write(numbered(at, 10))
    await client.answered()
    const expected = join(...Array.from({ length: 10 }, (_, at) => message(numbered(at, 10))))
    for (const id of [1, 3]) expect(join(...payloads(client, id))).toEqual(expected)
  })

  test('stand before and behind one that is written from where it lies', async () => {
    using client = await opened(1)
    const messages = [10, 10, 9_000, 10, 9_000, 9_000, 10].map((length, at) => numbered(at, length))
    for (const each of messages) calls[0]!.write(each)
    await client.answered()
    expect(join(...payloads(client, 1))).toEqual(join(...messages.map(message)))
  })

  test('share frames as well if they had to wait for the client', async () => {
    using client = await opened(1, frame(FrameType.SETTINGS, 0, 0, setting(4, 0)))
    const messages = Array.from({ length: 100 }, (_, at) => numbered(at, 300))
    let taken = 0
    for (const each of messages) calls[0]!.write(each, () => (taken += 1))
    await client.answered()
    expect(taken).toBe(0)
    client.send(frame(FrameType.WINDOW_UPDATE, 0, 1, uint32(1_000)))
    await client.answered()
    // Three messages of 305 bytes, and a part of the fourth.
    expect(taken).toBe(3)
    expect(payloads(client, 1)).toHaveLength(1)
    client.send(frame(FrameType.WINDOW_UPDATE, 0, 1, uint32(1 << 20)))
    await client.answered()
    expect(taken).toBe(100)
    expect(join(...payloads(client, 1))).toEqual(join(...messages.map(message)))
    expect(payloads(client, 1)).toHaveLength(3)
  })
})

describe('a message in parts', () => {
  const PARTS = [bytes('one'), new Uint8Array(0), numbered(2, 5_000), bytes('three')]

  test('arrives as one', async () => {
    using client = await opened(1)
    calls[0]!.write(PARTS)
    calls[0]!.write([])
    await client.answered()
    expect(join(...payloads(client, 1))).toEqual(
      join(message(join(...PARTS)), message(new Uint8Array(0))),
    )
  })

  test('is the same to whoever takes it bit by bit', () => {
    const parts = fc.array(fc.uint8Array({ maxLength: 8 }), { maxLength: 4 })
    const sizes = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 })
    fc.assert(
      fc.property(fc.array(parts, { minLength: 1, maxLength: 6 }), sizes, (messages, takes) => {
        const queue = new SendQueue()
        const whole = join(...messages.map((each) => message(join(...each))))
        const ends: number[] = []
        let told = 0
        for (const [at, each] of messages.entries()) {
          queue.push(each.length === 1 ? each[0]! : each, () => (told += 1))
          ends.push(join(...messages.slice(0, at + 1).map((one) => message(join(...one)))).length)
        }
        const sunk: number[] = []
        const sink = {
          byte: (value: number) => void sunk.push(value),
          uint32: (value: number) => void sunk.push(...uint32(value)),
          bytes: (piece: Uint8Array) => void sunk.push(...piece),
        }
        for (let turn = 0; queue.bytes > 0; turn += 1) {
          const size = Math.min(queue.bytes, takes[turn % takes.length]!)
          for (const tell of queue.take(size, sink)) tell()
          expect(queue.bytes).toBe(whole.length - sunk.length)
          expect(told).toBe(ends.filter((end) => end <= sunk.length).length)
        }
        expect(Uint8Array.from(sunk)).toEqual(whole)
      }),
    )
  })
})
