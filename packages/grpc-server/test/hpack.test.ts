import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Flag, FrameReader, FrameType } from '../src/frames.ts'
import { HpackDecoder } from '../src/hpack-decoder.ts'
import { HpackEncoder } from '../src/hpack-encoder.ts'
import { PREFACE, SETTINGS } from './raw-client.ts'
import { until } from './until.ts'

/** RFC 7541, appendix C: requests and responses, plain and in Huffman code, one table each. */
const EXAMPLES: Record<string, [hex: string, fields: string][]> = {
  'C.2.1 a literal that is indexed': [
    ['400a637573746f6d2d6b65790d637573746f6d2d686561646572', 'custom-key: custom-header'],
  ],
  'C.2.2 a literal that is not': [['040c2f73616d706c652f70617468', ':path: /sample/path']],
  'C.2.3 a literal that never is': [['100870617373776f726406736563726574', 'password: secret']],
  'C.2.4 an index': [['82', ':method: GET']],
  'C.3 requests': [
    [
      '828684410f7777772e6578616d706c652e636f6d',
      ':method: GET, :scheme: http, :path: /, :authority: www.example.com',
    ],
    [
      '828684be58086e6f2d6361636865',
      ':method: GET, :scheme: http, :path: /, :authority: www.example.com, cache-control: no-cache',
    ],
    [
      '828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565',
      ':method: GET, :scheme: https, :path: /index.html, :authority: www.example.com, custom-key: custom-value',
    ],
  ],
  'C.4 requests in Huffman code': [
    [
      '828684418cf1e3c2e5f23a6ba0ab90f4ff',
      ':method: GET, :scheme: http, :path: /, :authority: www.example.com',
    ],
    [
      '828684be5886a8eb10649cbf',
      ':method: GET, :scheme: http, :path: /, :authority: www.example.com, cache-control: no-cache',
    ],
    [
      '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf',
      ':method: GET, :scheme: https, :path: /index.html, :authority: www.example.com, custom-key: custom-value',
    ],
  ],
}

function decode(decoder: HpackDecoder, hex: string): string {
  const bytes = Uint8Array.from(Buffer.from(hex, 'hex'))
  const { fields } = decoder.decode(bytes, 0, bytes.length)
  const pairs: string[] = []
  for (let at = 0; at < fields.length; at += 2) pairs.push(`${fields[at]}: ${fields[at + 1]}`)
  return pairs.join(', ')
}

/** C.5 and C.6, whose table has room for 256 bytes: that is said in the first block. */
const RESIZED: Record<string, [hex: string, fields: string][]> = {
  'C.5 responses, with eviction': [
    [
      '3fe101' +
        '4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d',
      ':status: 302, cache-control: private, date: Mon, 21 Oct 2013 20:13:21 GMT, location: https://www.example.com',
    ],
    [
      '4803333037c1c0bf',
      ':status: 307, cache-control: private, date: Mon, 21 Oct 2013 20:13:21 GMT, location: https://www.example.com',
    ],
    [
      '88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31',
      ':status: 200, cache-control: private, date: Mon, 21 Oct 2013 20:13:22 GMT, location: https://www.example.com, content-encoding: gzip, set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1',
    ],
  ],
}

describe('RFC 7541, appendix C', () => {
  test.each(Object.entries(RESIZED))('%s', (_name, blocks) => {
    const decoder = new HpackDecoder(4_096)
    for (const [hex, fields] of blocks) expect(decode(decoder, hex)).toBe(fields)
  })

  test.each(Object.entries(EXAMPLES))('%s', (_name, blocks) => {
    const decoder = new HpackDecoder(4_096)
    for (const [hex, fields] of blocks) expect(decode(decoder, hex)).toBe(fields)
  })
})

describe('what must be a compression error', () => {
  test.each([
    ['an index of 0 (6.1)', '80'],
    ['an index beyond the table (2.3.3)', 'ff00'],
    ['an integer without end (5.1)', 'ffffffffffffffffffff7f'],
    ['an integer that is cut (5.1)', 'ff'],
    ['a string that is cut (5.2)', '0005616263'],
    ['Huffman code filled up with more than seven ones (5.2)', '0082ffff00'],
    ['Huffman code filled up with zeros (5.2)', '008100' + '00'],
    ['Huffman code with the end of string in it (5.2)', '0084ffffffff00'],
    ['a table larger than the settings allow (6.3)', '3fe21f'],
    ['a change of the table behind a field (4.2)', '823f'],
  ])('%s', (_what, hex) => {
    expect(() => decode(new HpackDecoder(4_096), hex)).toThrow(
      expect.objectContaining({ code: 9 }) as Error,
    )
  })
})

describe('nghttp2 as a model', () => {
  test('whatever it encodes is decoded to the same', { timeout: 20_000 }, async () => {
    const blocks: string[][] = []
    const decoder = new HpackDecoder(1 << 20)
    const server = createServer((socket: Socket) => {
      let isGreeted = false
      const reader = new FrameReader((type, flags, _id, bytes, start, end) => {
        if (type !== FrameType.HEADERS) return
        expect(flags & Flag.END_HEADERS).not.toBe(0)
        const from = (flags & Flag.PRIORITY) === 0 ? start : start + 5
        blocks.push([...decoder.decode(bytes, from, end).fields])
      })
      socket.write(SETTINGS)
      socket.on('error', () => {})
      socket.on('data', (bytes: Buffer) => {
        reader.read(isGreeted ? bytes : bytes.subarray(PREFACE.length))
        isGreeted = true
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const client = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    const name = fc.stringMatching(/^x-[a-z0-9_.~-]{1,12}$/)
    const value = fc
      .oneof(
        fc.stringMatching(/^[ -~]{0,60}$/),
        fc
          .array(fc.integer({ min: 0x80, max: 0xff }), { maxLength: 30 })
          .map((codes) => String.fromCodePoint(...codes)),
      )
      .map((text) => text.trim())
    const lists = fc.sample(fc.dictionary(name, value, { maxKeys: 12, noNullPrototype: true }), 400)
    for (const fields of lists)
      client.request({ ':method': 'POST', ':path': '/a/b', ...fields }).on('error', () => {})
    await until(() => blocks.length === lists.length)
    for (const [at, fields] of lists.entries()) {
      const got = blocks[at]!
      const pairs = got.flatMap((text, place) => (place % 2 === 0 ? [[text, got[place + 1]!]] : []))
      const sent = pairs.filter(([each]) => each!.startsWith('x-'))
      expect(Object.fromEntries(sent)).toEqual(fields)
    }
    client.destroy()
    server.close()
  })
})

describe('the encoder', () => {
  const read = (decoder: HpackDecoder, bytes: Uint8Array): readonly string[] =>
    decoder.decode(bytes, 0, bytes.length).fields

  test('sends what it repeats as indexes, one and two bytes', () => {
    const encoder = new HpackEncoder()
    const decoder = new HpackDecoder(4_096)
    for (let at = 0; at < 3; at += 1) {
      const [first, last] = [encoder.responseHeaders(), encoder.okTrailers()]
      expect(read(decoder, first)).toEqual([':status', '200', 'content-type', 'application/grpc'])
      expect(read(decoder, last)).toEqual(['grpc-status', '0'])
      if (at > 0) expect([first.length, last.length]).toEqual([2, 1])
    }
  })

  test('means the same whenever it is told of another table', () => {
    const step = fc.oneof(
      fc.constantFrom('headers', 'trailers', 'error'),
      fc.nat(300).map((size) => ({ size })),
    )
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const encoder = new HpackEncoder()
        const decoder = new HpackDecoder(4_096)
        for (const each of steps)
          if (typeof each === 'object') encoder.maxTableBytes = each.size
          else if (each === 'headers')
            expect(read(decoder, encoder.responseHeaders())).toEqual([
              ':status',
              '200',
              'content-type',
              'application/grpc',
            ])
          else if (each === 'trailers')
            expect(read(decoder, encoder.okTrailers())).toEqual(['grpc-status', '0'])
          else
            expect(
              read(
                decoder,
                encoder.fields([
                  [':status', '200'],
                  ['grpc-message', 'x'.repeat(300)],
                ]),
              ),
            ).toEqual([':status', '200', 'grpc-message', 'x'.repeat(300)])
      }),
    )
  })
})
