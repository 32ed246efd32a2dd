import { describe, expect, test } from 'vitest'
import { HpackDecoder } from '../src/hpack-decoder.ts'

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

describe('RFC 7541, appendix C', () => {
  test.each(Object.entries(EXAMPLES))('%s', (_name, blocks) => {
    const decoder = new HpackDecoder(4_096)
    for (const [hex, fields] of blocks) expect(decode(decoder, hex)).toBe(fields)
  })
})
