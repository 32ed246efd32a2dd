import { describe, expect, test } from 'vitest'
import { EMPTY_SETTINGS, readOpening } from '../src/authority.ts'

const PREFACE = bytes('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const SETTINGS = Uint8Array.from(EMPTY_SETTINGS)
const ACK = frame(4, 1)
const PING = frame(6, 0, new Uint8Array(8))
const METHOD_POST = 0x83

const NOW = { sentSettings: false, awaitRequest: true }
const AFTER_SETTINGS = { sentSettings: true, awaitRequest: true }

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

function join(...pieces: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(pieces.flatMap((piece) => [...piece]))
}

function frame(type: number, flags: number, payload: Uint8Array = new Uint8Array()): Uint8Array {
  const { length } = payload
  return join(
    Uint8Array.of(length >> 16, (length >> 8) & 255, length & 255, type, flags, 0, 0, 0, 1),
    payload,
  )
}

/** A request with this authority as a plain string, as a literal that goes into the table. */
function request(authority: string, flags = 0x4): Uint8Array {
  const literal = join(Uint8Array.of(0x41, authority.length), bytes(authority))
  return frame(1, flags, join(Uint8Array.of(METHOD_POST), literal, Uint8Array.of(0x84)))
}

/** A request with an authority in HPACK's Huffman code. */
function codedRequest(coded: Uint8Array): Uint8Array {
  return frame(1, 0x4, join(Uint8Array.of(METHOD_POST, 0x41, 0x80 | coded.length), coded))
}

function opened(stream: Uint8Array, options = NOW): Uint8Array {
  const opening = readOpening(stream, options)
  if (opening.type !== 'complete') throw new Error('incomplete')
  return opening.bytes
}

describe('the authority of the first request', () => {
  test('is left alone if Node takes it', () => {
    for (const authority of ['127.0.0.1:2379', 'localhost', '[::1]:2379', 'a_b~c']) {
      const stream = join(PREFACE, SETTINGS, request(authority))
      expect(opened(stream)).toEqual(stream)
    }
  })

  test('gets other characters for those that Node does not take, and keeps its length', () => {
    const url = join(PREFACE, SETTINGS, request('http://127.0.0.1:2379'), PING)
    expect(opened(url)).toEqual(join(PREFACE, SETTINGS, request('http:--127.0.0.1:2379'), PING))
    const list = join(PREFACE, SETTINGS, request('#initially=[http://a:1;http://b:2]'))
    expect(opened(list)).toEqual(
      join(PREFACE, SETTINGS, request('-initially=[http:--a:1;http:--b:2]')),
    )
  })

  test('is found in Huffman code as well', () => {
    // "a/b" and "www.example.com" (RFC 7541, C.4.1).
    const slash = Uint8Array.of(0b00011_011, 0b000_10001, 0b1_1111111)
    expect(opened(join(PREFACE, SETTINGS, codedRequest(slash)))).toEqual(
      join(
        PREFACE,
        SETTINGS,
        frame(1, 0x4, join(Uint8Array.of(METHOD_POST, 0x41, 3), bytes('a-b'))),
      ),
    )
    const example = Uint8Array.from([
      0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
    ])
    const stream = join(PREFACE, SETTINGS, codedRequest(example))
    expect(opened(stream)).toEqual(stream)
  })

  test('is found behind padding and a priority', () => {
    const literal = (value: string) => join(Uint8Array.of(0x41, value.length), bytes(value))
    const padded = (value: string) =>
      frame(
        1,
        0x4 | 0x8 | 0x20,
        join(Uint8Array.of(2, 0, 0, 0, 0, 16), literal(value), Uint8Array.of(0, 0)),
      )
    expect(opened(join(PREFACE, padded('a/b')))).toEqual(join(PREFACE, padded('a-b')))
  })
})

describe('the way to the first request', () => {
  test('waits for the preface, then for a request', () => {
    expect(readOpening(PREFACE.subarray(0, 10), NOW)).toEqual({
      type: 'incomplete',
      isHttp2: false,
    })
    expect(readOpening(join(PREFACE, SETTINGS), NOW)).toEqual({ type: 'incomplete', isHttp2: true })
    const cut = join(PREFACE, SETTINGS, request('a/b'))
    expect(readOpening(cut.subarray(0, cut.length - 1), NOW).type).toBe('incomplete')
  })

  test('takes the answer to its own settings out, wherever it comes', () => {
    const [bad, good] = [request('a/b'), request('a-b')]
    expect(opened(join(PREFACE, SETTINGS, ACK, bad), AFTER_SETTINGS)).toEqual(
      join(PREFACE, SETTINGS, good),
    )
    expect(readOpening(join(PREFACE, SETTINGS, bad), AFTER_SETTINGS).type).toBe('incomplete')
    expect(opened(join(PREFACE, SETTINGS, bad, PING, ACK), AFTER_SETTINGS)).toEqual(
      join(PREFACE, SETTINGS, good, PING),
    )
  })

  test('ends with anything that is neither settings nor a request', () => {
    expect(opened(join(PREFACE, SETTINGS, ACK, PING), AFTER_SETTINGS)).toEqual(
      join(PREFACE, SETTINGS, PING),
    )
  })

  test('ends when there is no time to wait', () => {
    expect(
      opened(join(PREFACE, SETTINGS, ACK), { sentSettings: true, awaitRequest: false }),
    ).toEqual(join(PREFACE, SETTINGS))
  })

  test('what is no HTTP/2 is handed on as it came', () => {
    const http1 = bytes('GET /health HTTP/1.1\r\n\r\n')
    expect(opened(http1)).toEqual(http1)
  })

  test('no bytes make it throw, or change what it does not understand', () => {
    let seed = 1
    const random = () => (seed = (seed * 48_271) % 2_147_483_647) & 0xff
    for (let i = 0; i < 2_000; i++) {
      const noise = Uint8Array.from({ length: i % 60 }, random)
      const opening = readOpening(join(PREFACE, frame(1, 0x4, noise)), NOW)
      expect(opening.type).toBe('complete')
    }
  })
})
