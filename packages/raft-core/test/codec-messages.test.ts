import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  CodecError,
  decodeMessage,
  encodeMessage,
  MESSAGE_VERSION,
  writeEntry,
  Writer,
} from '../src/codec/index.ts'
import type { Entry, Message, MessageType, NodeId } from '../src/index.ts'

const integer = fc.maxSafeNat()
const bytes = fc.uint8Array({ maxLength: 300 })
const id = fc.string({ unit: 'binary', minLength: 1, maxLength: 20 })
const position = fc.record({ term: integer, index: integer })

/** A run of entries after some position, with terms that never decrease. */
const appended = fc
  .record({
    term: fc.nat(1000),
    index: fc.nat(1000),
    steps: fc.array(
      fc.record({
        rise: fc.nat(3),
        type: fc.constantFrom('command', 'no-op', 'membership'),
        data: bytes,
      }),
      { maxLength: 20 },
    ),
  })
  .map(({ term, index, steps }) => {
    let last = { term, index }
    const entries = steps.map(({ rise, type, data }): Entry => {
      last = { term: last.term + rise, index: last.index + 1 }
      return { ...last, type, data }
    })
    return { prevLog: { term, index }, entries, term: last.term }
  })

const membership = fc.uniqueArray(id, { minLength: 1, maxLength: 7 }).chain((ids) => {
  const sorted = ids.toSorted((a, b) => (a < b ? -1 : 1))
  return fc
    .tuple(
      fc.nat(sorted.length),
      fc.subarray(sorted),
      fc.array(fc.string(), { minLength: 7 }),
      fc.uniqueArray(fc.string({ unit: 'binary-ascii', maxLength: 9 }), { maxLength: 3 }),
    )
    .map(([voters, outgoing, addresses, gone]) => ({
      voters: sorted.slice(0, voters),
      outgoing,
      learners: sorted.slice(voters),
      peers: sorted.map((peer, at) => ({ id: peer, address: addresses[at] ?? '' })),
      removed: gone
        .filter((each) => !sorted.includes(each))
        .map((each) => ({ id: each, address: 'gone' })),
    }))
})

type FieldsOf<Type extends MessageType> = Omit<
  Extract<Message, { type: Type }>,
  keyof Head | 'type'
>
interface Head {
  readonly from: NodeId
  readonly to: NodeId
  readonly term: number
}

const fields: { [Type in MessageType]: fc.Arbitrary<FieldsOf<Type> & { term?: number }> } = {
  'pre-vote': fc.record({ lastLog: position, address: fc.string({ maxLength: 80 }) }),
  'pre-vote-reply': fc.record({ granted: fc.boolean() }),
  'request-vote': fc.record({
    lastLog: position,
    transfer: fc.boolean(),
    address: fc.string({ unit: 'grapheme', maxLength: 80 }),
  }),
  'request-vote-reply': fc.record({ granted: fc.boolean() }),
  'append-entries': fc
    .tuple(appended, fc.record({ commitIndex: integer, round: integer }))
    .map(([log, rest]) => ({ ...log, ...rest })),
  'append-entries-reply': fc.record({
    accepted: fc.boolean(),
    index: integer,
    hint: position,
    round: integer,
  }),
  commit: fc.record({ commitIndex: integer }),
  heartbeat: fc.record({ commitIndex: integer, round: integer, address: fc.string() }),
  'heartbeat-reply': fc.record({ round: integer, promiseMs: integer }),
  'install-snapshot': fc.record({
    meta: fc
      .record({ position, membership })
      .map((meta) => ({ ...meta, membershipIndex: meta.position.index })),
  }),
  'timeout-now': fc.constant({}),
  'read-index': fc.record({ id: integer }),
  'read-index-reply': fc.record({
    id: integer,
    index: fc.integer({ min: -1, max: Number.MAX_SAFE_INTEGER - 1 }),
  }),
  propose: fc.record({ id: integer, commands: fc.array(bytes, { maxLength: 20 }) }),
  'propose-reply': fc.record({ id: integer, accepted: integer, first: position }),
  removed: fc.record({ index: integer, membership }),
}

const head = fc.record({ from: id, to: id, term: integer })
const types = Object.keys(fields) as MessageType[]

function messageOf(type: MessageType): fc.Arbitrary<Message> {
  return fc
    .tuple(head, fields[type])
    .map(([first, rest]) => ({ type, ...first, ...rest }) as Message)
}

const anyMessage = fc.constantFrom(...types).chain(messageOf)
const ENDS = { from: 'a', to: 'b' }

/** Decodes, or answers null if the bytes were refused in the only way they may be. */
function tryDecode(input: Uint8Array): Message | null {
  try {
    return decodeMessage(input, ENDS)
  } catch (error) {
    if (!(error instanceof CodecError)) throw error
    return null
  }
}

describe('a message comes back as it was', () => {
  test.each(types)('%s', (type) => {
    fc.assert(
      fc.property(messageOf(type), (message) => {
        expect(decodeMessage(encodeMessage(message), message)).toEqual(message)
      }),
    )
  })

  test('however many bytes are reserved in front of it', () => {
    fc.assert(
      fc.property(anyMessage, fc.nat(40), (message, reserveBytes) => {
        const encoded = encodeMessage(message, { reserveBytes })
        expect(encoded.subarray(reserveBytes)).toEqual(encodeMessage(message))
      }),
    )
  })

  test('from anywhere within a larger buffer', () => {
    fc.assert(
      fc.property(anyMessage, fc.nat(9), (message, at) => {
        const encoded = encodeMessage(message)
        const buffer = new Uint8Array(encoded.length + at + 5).fill(0xff)
        buffer.set(encoded, at)
        const view = buffer.subarray(at, at + encoded.length)
        expect(decodeMessage(view, message)).toEqual(message)
      }),
    )
  })
})

describe('bytes that were not written by us', () => {
  test('are refused with a CodecError when they are cut short at any place', () => {
    fc.assert(
      fc.property(anyMessage, (message) => {
        const encoded = encodeMessage(message)
        for (let length = 0; length < encoded.length; length++)
          expect(tryDecode(encoded.subarray(0, length))).toBeNull()
      }),
      { numRuns: 30 },
    )
  })

  test('are refused when anything is left over', () => {
    fc.assert(
      fc.property(anyMessage, (message) => {
        const encoded = encodeMessage(message)
        const longer = new Uint8Array(encoded.length + 1)
        longer.set(encoded)
        expect(tryDecode(longer)).toBeNull()
      }),
    )
  })

  test('are refused, or are another message that is valid, when they are altered', () => {
    const flips = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), {
      minLength: 1,
      maxLength: 8,
    })
    fc.assert(
      fc.property(anyMessage, flips, (message, places) => {
        const altered = encodeMessage(message)
        for (const [place, flip] of places) {
          const at = place % altered.length
          altered[at] = (altered[at] ?? 0) ^ flip
        }
        const decoded = tryDecode(altered)
        if (decoded !== null && altered[0] === MESSAGE_VERSION)
          expect(encodeMessage(decoded)).toEqual(altered)
      }),
      { numRuns: 3_000 },
    )
  })

  test('are refused, or are a message, when they are random', () => {
    const random = fc.tuple(fc.nat(20), fc.uint8Array({ maxLength: 200 }))
    fc.assert(
      fc.property(random, ([type, rest]) => {
        const decoded = tryDecode(new Uint8Array([1, type, ...rest]))
        if (decoded !== null) expect(tryDecode(encodeMessage(decoded))).toEqual(decoded)
      }),
      { numRuns: 3_000 },
    )
  })

  test('are refused at once when they claim more entries than they can hold', () => {
    const claim = encodeMessage(append([]))
    new DataView(claim.buffer).setUint32(claim.length - 4, 0xff_ff_ff_ff, true)
    expect(() => decodeMessage(claim, ENDS)).toThrow(CodecError)
  })

  test('are refused in version 0, or if this version should know their type and does not', () => {
    const encoded = encodeMessage({ type: 'timeout-now', ...ENDS, term: 1 })
    expect(() => decodeMessage(encoded.with(0, 0), ENDS)).toThrow(CodecError)
    expect(() => decodeMessage(encoded.with(1, 200), ENDS)).toThrow(CodecError)
  })

  test('are refused when an integer is beyond 2^53 - 1', () => {
    const encoded = encodeMessage({ type: 'timeout-now', ...ENDS, term: Number.MAX_SAFE_INTEGER })
    expect(tryDecode(encoded.with(encoded.length - 2, 0x20))).toBeNull()
  })
})

describe('a message of version 1', () => {
  test('a reply to a heartbeat promises nothing', () => {
    const reply = { type: 'heartbeat-reply', ...ENDS, term: 3, round: 7, promiseMs: 1000 } as const
    const encoded = encodeMessage(reply)
    const earlier = encoded.slice(0, -8).with(0, 1)
    expect(decodeMessage(earlier, ENDS)).toEqual({ ...reply, promiseMs: 0 })
    expect(() => decodeMessage(encoded.slice(0, -8), ENDS)).toThrow(CodecError)
  })

  test('of any other type is what it is now', () => {
    fc.assert(
      fc.property(anyMessage, (message) => {
        if (message.type === 'heartbeat-reply') return
        expect(decodeMessage(encodeMessage(message).with(0, 1), message)).toEqual(message)
      }),
    )
  })
})

describe('a message of a later version', () => {
  const added = fc.uint8Array({ maxLength: 30 })
  const later = (message: Message, more: Uint8Array): Uint8Array => {
    const bytes = new Uint8Array([...encodeMessage(message), ...more])
    bytes[0] = MESSAGE_VERSION + 1
    return bytes
  }

  test('is read as what this version knows of it', () => {
    fc.assert(
      fc.property(anyMessage, added, (message, more) => {
        expect(decodeMessage(later(message, more), message)).toEqual(message)
      }),
    )
  })

  test('is null if its type is unknown, and never an error', () => {
    fc.assert(
      fc.property(anyMessage, fc.integer({ min: 100, max: 255 }), added, (message, type, more) => {
        expect(decodeMessage(later(message, more).with(1, type), message)).toBeNull()
      }),
    )
  })

  test('is refused all the same if what this version knows of it is cut short', () => {
    fc.assert(
      fc.property(anyMessage, (message) => {
        const bytes = later(message, new Uint8Array())
        for (let length = 0; length < bytes.length; length++)
          expect(() => decodeMessage(bytes.subarray(0, length), message)).toThrow(CodecError)
      }),
      { numRuns: 30 },
    )
  })
})

describe('entries', () => {
  const first = entry(5, 2)

  test('are views into the bytes, so that a transport decides when to copy', () => {
    const encoded = encodeMessage(append([first]))
    const decoded = decodeMessage(encoded, ENDS)
    if (decoded?.type !== 'append-entries') throw new Error('another message')
    expect(decoded.entries[0]?.data.buffer).toBe(encoded.buffer)
  })

  test('are laid out one by one as a storage lays them out', () => {
    fc.assert(
      fc.property(messageOf('append-entries'), (message) => {
        if (message.type !== 'append-entries') throw new Error('another message')
        const writer = new Writer()
        for (const each of message.entries) writeEntry(writer, each)
        const encoded = encodeMessage(message)
        expect(encoded.subarray(encoded.length - writer.length)).toEqual(writer.finish())
      }),
    )
  })

  test.each([
    ['start after the position before them', [entry(6, 2)]],
    ['have consecutive indexes', [first, entry(7, 2)]],
    ['never fall back in term', [first, entry(6, 3), entry(7, 2)]],
    ['are of no later term than their sender', [first, entry(6, 10)]],
  ])('%s', (_rule, entries) => {
    expect(() => encodeMessage(append(entries))).toThrow(RangeError)
    expect(() => decodeMessage(forged(entries), ENDS)).toThrow(CodecError)
  })
})

function entry(index: number, term: number): Entry {
  return { index, term, type: 'command', data: new Uint8Array([1, 2, 3]) }
}

function append(entries: readonly Entry[]): Message {
  const prevLog = { term: 2, index: 4 }
  return { type: 'append-entries', ...ENDS, term: 9, prevLog, entries, commitIndex: 0, round: 0 }
}

/** Entries as no honest node sends them: encoded in order, then given other indexes and terms. */
function forged(entries: readonly Entry[]): Uint8Array {
  const encoded = encodeMessage(append(entries.map((_, at) => entry(5 + at, 2))))
  const view = new DataView(encoded.buffer)
  entries.forEach(({ index, term }, at) => {
    const place = encoded.length - (entries.length - at) * (21 + 3)
    view.setBigUint64(place, BigInt(index), true)
    view.setBigUint64(place + 8, BigInt(term), true)
  })
  return encoded
}
