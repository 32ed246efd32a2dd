import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import * as fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { FrameReader, FrameType, Http2Error } from '../src/frames.ts'
import { HpackDecoder } from '../src/hpack-decoder.ts'
import { type DuplexCall, GrpcError, grpcServer } from '../src/index.ts'
import { MessageReader } from '../src/message-reader.ts'
import {
  block,
  data,
  frame,
  headers,
  join,
  message,
  PREFACE,
  REQUEST,
  requestWith,
  SETTINGS,
  setting,
  uint32,
} from './raw-client.ts'

/** `FUZZ_SECONDS=600` for a long run; the default is what a test may take. */
const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 2)
const budget = {
  numRuns: 1_000_000,
  interruptAfterTimeLimit: SECONDS * 1_000,
  markInterruptAsFailure: false,
}
const LONG = { timeout: SECONDS * 10_000 + 20_000 }

const MAX_BUFFERED_BYTES = 200_000
const calls = new Set<DuplexCall>()
let defect: unknown = null
const server = await grpcServer({
  services: {
    '/test.Test/Echo': { kind: 'unary', handle: (request) => request },
    '/test.Test/Later': {
      kind: 'unary',
      handle: (request) => new Promise((resolve) => setImmediate(() => resolve(request))),
    },
    '/test.Test/Open': {
      kind: 'duplex',
      handle(call) {
        calls.add(call)
        call.onceOver(() => calls.delete(call))
        call.receive({
          message(content) {
            if (content.length % 3 === 0) call.pause()
            call.write(content)
            if (content.length % 3 === 0) setImmediate(() => call.resume())
          },
          end: () => call.end(),
        })
      },
    },
  },
  limits: { shutdownTimeoutMs: 0, maxBufferedBytes: MAX_BUFFERED_BYTES, maxConcurrentStreams: 50 },
})
process.on('uncaughtExceptionMonitor', (error) => (defect = error))
afterAll(() => server[Symbol.asyncDispose]())

/** A connection whose other end is the test. */
class TestSocket extends Duplex {
  readonly #reader: FrameReader
  goAway: number | null = null
  answers = 0

  constructor() {
    super()
    this.#reader = new FrameReader((type, _flags, _streamId, bytes, start) => {
      if (type === FrameType.DATA) this.answers += 1
      if (type === FrameType.GOAWAY) this.goAway = bytes[start + 7] ?? null
    })
  }

  override _read(): void {}

  /** Whatever is sent must be frames. */
  override _write(bytes: Uint8Array, _encoding: string, callback: () => void): void {
    this.#reader.read(bytes)
    callback()
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const streamId = fc.oneof(fc.nat(20), fc.constantFrom(0, 1, 3, 5, 0x7fff_ffff))
const path = fc.constantFrom('/test.Test/Echo', '/test.Test/Later', '/test.Test/Open', '/x/y')
const anyFrame = fc
  .tuple(fc.nat(11), fc.nat(255), streamId, fc.uint8Array({ maxLength: 64 }))
  .map(([type, flags, id, payload]) => frame(type, flags, id, payload))
/** Frames that make sense, in an order that need not. */
const goodFrame = fc.oneof(
  fc
    .tuple(streamId, path, fc.constantFrom(0, 1, 4, 5))
    .map(([id, to, flags]) => headers(id, requestWith({ ':path': to }), flags)),
  fc
    .tuple(streamId, fc.uint8Array({ maxLength: 200 }), fc.nat(1))
    .map(([id, content, flags]) => data(id, message(content), flags)),
  fc
    .tuple(streamId, fc.nat(1 << 20))
    .map(([id, length]) =>
      data(id, join(Uint8Array.of(0), uint32(length), new Uint8Array(1_000)), 0),
    ),
  fc
    .tuple(fc.constantFrom(1, 3, 4, 5, 6), fc.nat(70_000))
    .map(([id, value]) => frame(FrameType.SETTINGS, 0, 0, setting(id, value))),
  fc
    .tuple(streamId, fc.nat(1 << 20))
    .map(([id, by]) => frame(FrameType.WINDOW_UPDATE, 0, id, uint32(by))),
  streamId.map((id) => frame(FrameType.RST_STREAM, 0, id, uint32(8))),
  fc.constant(frame(FrameType.PING, 0, 0, new Uint8Array(8))),
  fc.constant(frame(FrameType.GOAWAY, 0, 0, new Uint8Array(8))),
)
const stream = fc
  .tuple(
    fc.array(fc.oneof({ weight: 8, arbitrary: goodFrame }, { weight: 1, arbitrary: anyFrame }), {
      maxLength: 40,
    }),
    fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }),
    fc.array(fc.nat(3_000), { maxLength: 5 }),
  )
  .map(([frames, mutations, cuts]) => {
    const bytes = join(PREFACE, SETTINGS, ...frames)
    for (const [at, value] of mutations)
      bytes[PREFACE.length + (at % (bytes.length - PREFACE.length))] = value
    return { bytes, cuts: [...cuts, bytes.length].sort((a, b) => a - b) }
  })

describe('whatever a client sends', () => {
  test(
    'the server answers in frames, ends what it must, and keeps nothing of it',
    LONG,
    async () => {
      await fc.assert(
        fc.asyncProperty(stream, async ({ bytes, cuts }) => {
          const socket = new TestSocket()
          server.accept(socket as unknown as Socket)
          let from = 0
          for (const to of cuts) {
            socket.push(bytes.subarray(from, Math.max(from, to)))
            from = Math.max(from, to)
            await turn()
          }
          expect(socket.goAway).not.toBe(2)
          expect(defect).toBe(null)
          socket.push(null)
          await turn()
          await turn()
          expect(calls.size).toBe(0)
        }),
        budget,
      )
    },
  )

  test('the server goes on serving others', async () => {
    const socket = new TestSocket()
    server.accept(socket as unknown as Socket)
    socket.push(join(PREFACE, SETTINGS, headers(1, REQUEST), data(1, message(new Uint8Array(10)))))
    await turn()
    await turn()
    expect(socket.answers).toBe(1)
    socket.destroy()
  })
})

describe('decoders of any bytes', () => {
  test('HPACK gives fields within the limit, or a compression error', LONG, () => {
    const blocks = fc.array(
      fc.oneof(
        fc.uint8Array({ maxLength: 60 }),
        fc
          .array(fc.tuple(fc.string(), fc.string({ maxLength: 30 })))
          .map((fields) =>
            block(fields.map(([name, value]) => [latin(name), latin(value)] as const)),
          ),
      ),
      { maxLength: 5 },
    )
    fc.assert(
      fc.property(blocks, (each) => {
        const decoder = new HpackDecoder(500)
        try {
          for (const bytes of each) {
            const { fields, isTooLarge } = decoder.decode(bytes, 0, bytes.length)
            const size = fields.reduce((sum, text) => sum + text.length + 16, 0)
            expect(size).toBeLessThanOrEqual(500)
            expect(fields.length % 2).toBe(0)
            expect(typeof isTooLarge).toBe('boolean')
          }
        } catch (error) {
          expect(error).toBeInstanceOf(Http2Error)
          expect((error as Http2Error).code).toBe(9)
        }
      }),
      budget,
    )
  })

  test('messages come out as they went in, however they are cut', LONG, () => {
    const sent = fc.tuple(
      fc.array(fc.uint8Array({ maxLength: 5_000 }), { maxLength: 6 }),
      fc.array(fc.nat(4_000), { maxLength: 8 }),
    )
    fc.assert(
      fc.property(sent, ([messages, lengths]) => {
        let held = 0
        const reader = new MessageReader(10_000, (bytes) => {
          held += bytes
          return true
        })
        const all = join(...messages.map(message))
        const got: Uint8Array[] = []
        let at = 0
        for (const length of [...lengths, all.length]) {
          const to = Math.min(all.length, at + length)
          reader.read(all, at, to, (one) => got.push(one.slice()))
          expect(held).toBe(reader.heldBytes)
          at = to
        }
        expect(got).toEqual(messages)
        expect(reader.isAtBoundary).toBe(true)
        expect(held).toBe(0)
      }),
      budget,
    )
  })

  test('what is no message is an error with a status, and takes no more than arrived', LONG, () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 50 })), (pieces) => {
        let held = 0
        const reader = new MessageReader(1 << 20, (bytes) => {
          held += bytes
          return true
        })
        try {
          for (const piece of pieces) reader.read(piece, 0, piece.length, () => {})
        } catch (error) {
          expect(error).toBeInstanceOf(GrpcError)
        }
        expect(held).toBeLessThanOrEqual(1_024 + 2 * pieces.length * 50)
      }),
      budget,
    )
  })
})

function latin(text: string): string {
  return text.replaceAll(/[^\0-\u00ff]/g, '?').slice(0, 100)
}
