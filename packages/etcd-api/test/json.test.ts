/** The JSON mapping of proto3, for every message of the schema, and against hostile text. */
import * as fc from 'fast-check'
import protobuf, { type Field } from 'protobufjs'
import { describe, expect, test } from 'vitest'
import { jsonDecoder } from '../src/gateway/json-decode.ts'
import { jsonEncoder } from '../src/gateway/json-encode.ts'
import { JsonError, jsonSplitter, parseFirst, parseJson } from '../src/gateway/json-text.ts'
import { fromBigInt } from '../src/int64.ts'
import { allMessages, allMethods, codecOf, messageType } from '../src/schema.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** Any message of this type, as the binary codec takes it. */
function anyMessage(name: string, depth = 0): fc.Arbitrary<Record<string, unknown>> {
  const type = messageType(name)
  const one = (field: Field): fc.Arbitrary<unknown> => {
    if (field.resolvedType instanceof protobuf.Type) {
      const inner = field.resolvedType.fullName.slice(1)
      return depth > 2 ? fc.constant({}) : anyMessage(inner, depth + 1)
    }
    return valueOf(field)
  }
  const fields = type.fieldsArray.map((field): [string, fc.Arbitrary<unknown>] => [
    field.name,
    field.repeated ? fc.array(one(field), { maxLength: 3 }) : one(field),
  ])
  return fc.record(Object.fromEntries(fields), { requiredKeys: [] }).map((message) => {
    // Of each oneof, the first member that was drawn.
    for (const { oneof } of type.oneofsArray) {
      const members = oneof.filter((member) => member in message)
      for (const member of members.slice(1)) delete message[member]
    }
    return message
  })
}

function valueOf({ type, resolvedType }: Field): fc.Arbitrary<unknown> {
  if (resolvedType instanceof protobuf.Enum)
    return fc.oneof(
      fc.constantFrom(...Object.values(resolvedType.values)),
      fc.integer({ min: 0, max: 1000 }),
    )
  const edge = <Value>(...values: Value[]): fc.Arbitrary<Value> => fc.constantFrom(...values)
  switch (type) {
    case 'bool':
      return fc.boolean()
    case 'string':
      return fc.oneof(fc.string({ unit: 'binary' }), edge('', '\u0000123', '"\\\u2028'))
    case 'bytes':
      return fc.uint8Array({ maxLength: 20 })
    case 'int64':
      return fc
        .oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), edge(0n, 1n))
        .map(fromBigInt)
    case 'uint64':
      return fc
        .oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), edge(0n, 2n ** 53n))
        .map(fromBigInt)
    case 'int32':
      return fc.integer()
    case 'uint32':
      return fc.nat()
    default:
      throw new Error(`no values for ${type}`)
  }
}

describe('every message survives the way to JSON and back', () => {
  test.each(allMessages())('%s', (name) => {
    const codec = codecOf<object>(name)
    const encode = jsonEncoder<object>(name)
    const decode = jsonDecoder<object>(name)
    const arbitrary = anyMessage(name)
    fc.assert(
      fc.property(arbitrary, (message) => {
        const bytes = codec.encode(message)
        const json = encode(message)
        expect(encode(codec.decode(bytes))).toBe(json)
        expect(hex(codec.encode(decode(parseJson(json))))).toBe(hex(bytes))
        expect(hex(codec.encode(decode(parseJson(camelCased(json)))))).toBe(hex(bytes))
      }),
      { numRuns: 40 },
    )
  })

  /** The same with lowerCamel names. No value looks like a name in this: all of them are quoted. */
  function camelCased(json: string): string {
    return JSON.stringify(renamed(JSON.parse(json)))
  }

  function renamed(json: unknown): unknown {
    if (Array.isArray(json)) return json.map(renamed)
    if (typeof json !== 'object' || json === null) return json
    return Object.fromEntries(
      Object.entries(json).map(([name, value]) => [
        name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
        renamed(value),
      ]),
    )
  }
})

describe('JSON out', () => {
  test('zeros are left out, but for the chosen member of a oneof', () => {
    const encode = jsonEncoder<object>('etcdserverpb.Compare')
    expect(encode({ result: 0, target: 1, create_revision: 0, range_end: new Uint8Array() })).toBe(
      '{"target":"CREATE","create_revision":"0"}',
    )
    expect(jsonEncoder<object>('etcdserverpb.TxnResponse')({ header: {}, responses: [] })).toBe(
      '{"header":{}}',
    )
  })

  test('lists keep their zeros, and numbers that have no name', () => {
    const encode = jsonEncoder<object>('etcdserverpb.WatchCreateRequest')
    expect(encode({ filters: [0, 1, 7] })).toBe('{"filters":["NOPUT","NODELETE",7]}')
  })

  test('ids are unsigned', () => {
    const encode = jsonEncoder<object>('etcdserverpb.ResponseHeader')
    expect(encode({ cluster_id: fromBigInt(2n ** 64n - 1n) })).toBe(
      '{"cluster_id":"18446744073709551615"}',
    )
  })
})

describe('JSON in', () => {
  const put = jsonDecoder<Record<string, unknown>>('etcdserverpb.PutRequest')
  const range = jsonDecoder<Record<string, unknown>>('etcdserverpb.RangeRequest')
  const bytes = (text: string): unknown => put({ key: text })['key']

  test('base64 of either alphabet, padded or not, broken into lines or not', () => {
    const wanted = Uint8Array.of(0xfb, 0xff, 0xfe, 0xfb)
    for (const text of ['+//++w==', '+//++w', '-__--w', '-__--w==', '+//+\n+w==\n'])
      expect(bytes(text)).toEqual(wanted)
    expect(Buffer.isBuffer(bytes('Zm9v'))).toBe(false)
    for (const text of ['A', 'AAAAA', 'AA=', 'A===', 'AA==AA==', '****', 'Zm9v Zm9v', 'é'])
      expect(() => bytes(text)).toThrow(JsonError)
  })

  test('64-bit numbers are exact, as strings and as numbers', () => {
    const id = 7_587_870_312_421_534_466n
    for (const text of [`"${id}"`, `${id}`])
      expect(put(parseJson(`{"lease":${text},"key":"${'9'.repeat(20)}"}`))['lease']).toEqual(
        fromBigInt(id),
      )
    expect(put(parseJson('{"lease":-9223372036854775808}'))['lease']).toEqual(
      fromBigInt(-(2n ** 63n)),
    )
    for (const text of [
      '9223372036854775808',
      '-9223372036854775809',
      '1.5',
      '"1.0"',
      '""',
      '" 1"',
      '"0x1"',
      '1e300',
      'true',
      '"01"',
    ])
      expect(() => put(parseJson(`{"lease":${text}}`))).toThrow(JsonError)
  })

  test('null is as good as nothing, also for a member of a oneof', () => {
    const decode = jsonDecoder<Record<string, unknown>>('etcdserverpb.Compare')
    const decoded = decode({ version: null, lease: '0', key: null })
    expect(decoded['target_union']).toBe('lease')
    expect(() => decode({ version: 1, lease: 1 })).toThrow('set twice')
  })

  test('what is not in the schema is passed over, whatever it is called', () => {
    const decoded = range(
      parseJson('{"__proto__":{"limit":1},"constructor":1,"toString":{},"x":[[]]}'),
    )
    expect(codecOf('etcdserverpb.RangeRequest').encode(decoded).length).toBe(0)
    expect(({} as Record<string, unknown>)['limit']).toBeUndefined()
    expect(() => range({ sort_order: 'constructor' })).toThrow(JsonError)
    expect(() => range({ sort_order: '__proto__' })).toThrow(JsonError)
  })

  test('messages are not nested for ever', () => {
    const txn = jsonDecoder<object>('etcdserverpb.TxnRequest')
    const nested = (levels: number): unknown =>
      levels === 0 ? {} : { success: [{ request_txn: nested(levels - 1) }] }
    expect(() => txn(nested(49))).not.toThrow()
    expect(() => txn(nested(60))).toThrow('nested')
    const open = '{"success":[{"request_txn":'.repeat(100_000)
    expect(() => txn(parseFirst(open))).toThrow(JsonError)
    const deep = `${'['.repeat(500_000)}${']'.repeat(500_000)}`
    expect(() => txn(parseFirst(deep))).toThrow(JsonError)
  })

  test('long and strange text costs no more than its length', () => {
    for (const piece of ['\\\\', '"\\"', '1', '{"', '-', '1.', '\\u0000', '[', '{}']) {
      const body = piece.repeat(200_000)
      for (const text of [body, `{"key":"${body}"`, `{"key":"${body}","lease":1234567890123456}`])
        try {
          put(parseFirst(text))
        } catch (error) {
          expect(error).toBeInstanceOf(JsonError)
        }
    }
  })
})

describe('a stream of objects is cut where they end', () => {
  test('however it arrives', () => {
    const values = ['{"a":"}\\"{"}', '{"b":[{},{"c":"\\\\"}]}', '{}', '{"d":"é"}']
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 60 }), { maxLength: 12 }),
        fc.constantFrom('', ' ', '\n'),
        (cuts, space) => {
          const text = values.join(space)
          const splitter = jsonSplitter()
          const ends = [...cuts, text.length].sort((a, b) => a - b)
          const found = ends.flatMap((end, i) => splitter.push(text.slice(ends[i - 1] ?? 0, end)))
          expect(found.map((value) => value.trim())).toEqual(values)
          expect(splitter.rest).toBe('')
        },
      ),
    )
  })
})

describe('hostile input', () => {
  const runs = Number(process.env['CORACLE_FUZZ_RUNS'] ?? 100_000)
  const requests = [...new Set(allMethods().map(({ requestType }) => requestType))]
  const next = random(1)

  test(
    `${runs} texts that are nearly JSON are messages or JsonErrors`,
    { timeout: 600_000 },
    () => {
      const decoders = requests.map((name) => ({
        decode: jsonDecoder<object>(name),
        codec: codecOf<object>(name),
      }))
      const seeds = [
        '{"key":"Zm9v","range_end":"AA==","limit":"10","sort_order":"DESCEND","revision":12345678901234567890}',
        '{"compare":[{"target":"CREATE","key":"Zm9v","createRevision":"0","version":null}],"success":[{"requestPut":{"key":"Zm9v","lease":-1}}],"failure":[{"request_txn":{"success":[{}]}}]}',
        '{"create_request":{"key":"Zm9v","filters":["NOPUT",1,7],"progress_notify":true}}',
        '{"name":"\\u00e9\\ud800","perm":{"permType":"READWRITE","key":"AA=="},"options":{"no_password":true}}',
        '{"TTL":30,"ID":"7587870312421534466","peerURLs":["http://a"],"memberID":18446744073709551615}',
      ]
      let messages = 0
      for (let run = 0; run < runs; run++) {
        const text = mutated(seeds[run % seeds.length] ?? '', next)
        const { decode, codec } = decoders[next(decoders.length)] ?? decoders[0]!
        try {
          codec.encode(decode(parseFirst(text)))
          messages += 1
        } catch (error) {
          if (!(error instanceof JsonError)) throw new Error(text, { cause: error })
        }
      }
      expect(messages).toBeGreaterThan(runs / 100)
      expect(messages).toBeLessThan(runs)
    },
  )

  test(
    `${runs} byte strings that are nearly messages are decoded or refused`,
    { timeout: 600_000 },
    () => {
      const codecs = requests.map((name) => {
        const codec = codecOf<object>(name)
        const seeds = fc
          .sample(anyMessage(name), { seed: 1, numRuns: 20 })
          .map((each) => codec.encode(each))
        return { codec, seeds, encode: jsonEncoder<object>(name) }
      })
      let refused = 0
      for (let run = 0; run < runs; run++) {
        const { codec, seeds, encode } = codecs[next(codecs.length)] ?? codecs[0]!
        const bytes = corrupted(seeds[next(seeds.length)] ?? new Uint8Array(), next)
        let message: object
        try {
          message = codec.decode(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(Error)
          refused += 1
          continue
        }
        // Whatever was taken for a message can be shown, and sent on.
        encode(message)
        codec.encode(message)
      }
      expect(refused).toBeGreaterThan(runs / 100)
    },
  )
})

/** xorshift: numbers below `limit`, the same in every run. */
function random(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % limit
  }
}

type Random = ReturnType<typeof random>

const TOKENS = [
  '{',
  '}',
  '[',
  ']',
  '"',
  ',',
  ':',
  'null',
  '1e9',
  '-0',
  '\\u0000',
  '\\',
  '9'.repeat(25),
  '"a"',
  'true',
  ' ',
  '😀',
  '\ud800',
]

function mutated(text: string, next: Random): string {
  let result = text
  for (let edits = next(3); edits >= 0; edits--) {
    const at = next(result.length + 1)
    const cut = at + next(8)
    const token = TOKENS[next(TOKENS.length)] ?? ''
    const kind = next(4)
    if (kind === 0) result = result.slice(0, at) + token + result.slice(at)
    else if (kind === 1) result = result.slice(0, at) + result.slice(cut)
    else if (kind === 2) result = result.slice(0, at) + token + result.slice(cut)
    else result = result.slice(0, cut) + result.slice(at)
  }
  return result
}

function corrupted(bytes: Uint8Array, next: Random): Uint8Array {
  const copy = [...bytes]
  for (let edits = next(4); edits >= 0; edits--) {
    const at = next(copy.length + 1)
    const kind = next(3)
    if (kind === 0) copy.splice(at, 1 + next(4))
    else if (kind === 1) copy.splice(at, 0, next(256))
    else copy[Math.min(at, Math.max(copy.length - 1, 0))] = next(256)
  }
  return Uint8Array.from(copy)
}
