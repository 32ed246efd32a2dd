import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  FRAME_HEADER_BYTES,
  FrameParser,
  MAGIC,
  ProtocolError,
  seal,
  sealHead,
} from '../src/frame.ts'

const payloads = fc.array(fc.uint8Array({ maxLength: 3_000 }), { maxLength: 12 })

function framed(payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(FRAME_HEADER_BYTES + payload.length)
  frame.set(payload, FRAME_HEADER_BYTES)
  return seal(frame)
}

function streamOf(payloadsToSend: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat([MAGIC, ...payloadsToSend.map(framed)]))
}

/** Feeds the stream in pieces that end at the given places. */
function parse(stream: Uint8Array, cuts: readonly number[], maxFrameBytes = 1 << 20): Uint8Array[] {
  const parser = new FrameParser(maxFrameBytes)
  const found: Uint8Array[] = []
  let from = 0
  for (const to of [...cuts.toSorted((a, b) => a - b), stream.length]) {
    const at = Math.min(to, stream.length)
    // A copy each, as a socket gives: a parser that kept a view of a piece would show.
    parser.push(stream.slice(from, at), (payload) => found.push(payload) > 0)
    from = at
  }
  return found
}

describe('the parser', () => {
  test('finds the same frames wherever the stream is cut', () => {
    fc.assert(
      fc.property(payloads, fc.array(fc.nat(40_000), { maxLength: 40 }), (sent, cuts) => {
        expect(parse(streamOf(sent), cuts)).toEqual(sent)
      }),
      { numRuns: 300 },
    )
  })

  test('finds them byte by byte', () => {
    const sent = [new Uint8Array([1]), new Uint8Array(0), new Uint8Array(300).fill(7)]
    const stream = streamOf(sent)
    expect(parse(stream, [...stream.keys()])).toEqual(sent)
  })

  test('copies a frame that is less than half of its chunk, so that it does not pin the chunk', () => {
    const small = new Uint8Array(20).fill(1)
    const found = parse(streamOf([small, new Uint8Array(5_000)]), [])
    expect(found[0]?.buffer.byteLength).toBe(small.length)
  })

  test('gives a view of a frame that is most of its chunk', () => {
    const chunk = framed(new Uint8Array(5_000).fill(1))
    const parser = new FrameParser(1 << 20)
    parser.push(MAGIC, () => true)
    parser.push(chunk, (payload) => {
      expect(payload.buffer).toBe(chunk.buffer)
      return true
    })
    expect.assertions(1)
  })

  test('refuses a frame that is too large as soon as its header is there', () => {
    const header = framed(new Uint8Array(1_001)).subarray(0, FRAME_HEADER_BYTES)
    const stream = new Uint8Array([...MAGIC, ...header])
    expect(() => parse(stream, [], 1_000)).toThrow(ProtocolError)
    expect(() => parse(stream, [...stream.keys()], 1_000)).toThrow(ProtocolError)
    expect(parse(streamOf([new Uint8Array(1_000)]), [], 1_000)).toHaveLength(1)
  })

  test('refuses a frame of which any bit was altered', () => {
    const sent = new Uint8Array(40).map((_, at) => at)
    const stream = streamOf([sent])
    fc.assert(
      fc.property(fc.nat(39), fc.nat(7), fc.nat(60), (at, bit, cut) => {
        const place = MAGIC.length + FRAME_HEADER_BYTES + at
        const altered = stream.with(place, (stream[place] ?? 0) ^ (1 << bit))
        expect(() => parse(altered, [cut])).toThrow('checksum')
      }),
    )
  })

  test('stops in the middle of a chunk when it is told to', () => {
    const parser = new FrameParser(100)
    const found: Uint8Array[] = []
    const three = [1, 2, 3].map((byte) => new Uint8Array([byte]))
    parser.push(streamOf(three), (payload) => found.push(payload) < 2)
    expect(found).toEqual(three.slice(0, 2))
  })

  test('never throws anything but a ProtocolError, whatever it is fed', () => {
    const chunks = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 })
    fc.assert(
      fc.property(fc.boolean(), chunks, (greeted, pieces) => {
        const parser = new FrameParser(1_000)
        try {
          if (greeted) parser.push(MAGIC, () => true)
          for (const piece of pieces) parser.push(piece, () => true)
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError)
        }
      }),
      { numRuns: 2_000 },
    )
  })
})

test('a frame in two parts is the same as one in one', () => {
  fc.assert(
    fc.property(fc.nat(255), fc.uint8Array(), (kind, rest) => {
      const whole = framed(new Uint8Array([kind, ...rest]))
      expect(new Uint8Array([...sealHead(kind, rest), ...rest])).toEqual(whole)
    }),
  )
})
