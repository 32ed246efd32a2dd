import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  CodecError,
  decodeEntry,
  decodeHardState,
  decodeMembership,
  decodeSnapshotMeta,
  decodeTermRuns,
  encodeEntry,
  encodeHardState,
  encodeMembership,
  encodeSnapshotMeta,
  encodeTermRuns,
  ENTRY_OVERHEAD_BYTES,
} from '../src/codec/index.ts'
import type { Entry, HardState, Membership, SnapshotMeta, TermRun } from '../src/types.ts'
import { share } from './support/share.ts'

const integer = fc.maxSafeNat()
const id = fc.string({ unit: 'grapheme', maxLength: 12 })

const entry: fc.Arbitrary<Entry> = fc.record({
  index: integer.map((index) => Math.max(1, index)),
  term: integer,
  type: fc.constantFrom('command', 'no-op', 'membership'),
  data: fc.uint8Array({ maxLength: 200 }),
})

const hardState: fc.Arbitrary<HardState> = fc.record({
  term: integer,
  votedFor: fc.option(id),
  commitIndex: integer,
})

const membership: fc.Arbitrary<Membership> = fc
  .uniqueArray(fc.record({ id, address: fc.string(), lists: fc.integer({ min: 1, max: 7 }) }), {
    selector: (peer) => peer.id,
    maxLength: 9,
  })
  .map((peers) => {
    const sorted = peers.toSorted((a, b) => (a.id < b.id ? -1 : 1))
    const list = (bit: number): string[] =>
      sorted.filter((peer) => peer.lists & bit).map((peer) => peer.id)
    return {
      voters: list(1),
      outgoing: list(2),
      learners: list(4),
      peers: sorted.map((peer) => ({ id: peer.id, address: peer.address })),
      removed: [],
    }
  })
  .chain((members) =>
    fc.uniqueArray(id, { maxLength: 4 }).map((gone) => ({
      ...members,
      removed: gone
        .filter((each) => members.peers.every((peer) => peer.id !== each))
        .map((each) => ({ id: each, address: 'gone' })),
    })),
  )

const NOBODY_YET: Membership = {
  voters: [],
  outgoing: [],
  learners: [],
  peers: [],
  removed: [],
}

const snapshotMeta: fc.Arbitrary<SnapshotMeta> = fc
  .record({ position: fc.record({ term: integer, index: integer }), membership, before: integer })
  .map(({ position, membership: of, before }) => ({
    position,
    membership: of,
    membershipIndex: Math.max(0, position.index - before),
  }))

const termRuns: fc.Arbitrary<readonly TermRun[]> = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 2 ** 40 }), fc.integer({ min: 1, max: 9 })))
  .map((steps) => {
    let run = { from: 0, term: 0 }
    return steps.map(([far, terms]) => (run = { from: run.from + far, term: run.term + terms }))
  })

interface Kind {
  readonly name: string
  readonly values: fc.Arbitrary<unknown>
  readonly encode: (value: unknown) => Uint8Array
  readonly decode: (bytes: Uint8Array) => unknown
  /** An older node may meet it. */
  readonly travels: boolean
}

function kindOf<T>(
  name: string,
  values: fc.Arbitrary<T>,
  encode: (value: T) => Uint8Array,
  decode: (bytes: Uint8Array) => T,
  { travels }: { readonly travels: boolean } = { travels: false },
): Kind {
  return { name, values, encode: (value) => encode(value as T), decode, travels }
}

const KINDS: readonly Kind[] = [
  kindOf('an entry', entry, encodeEntry, decodeEntry),
  kindOf('a hard state', hardState, encodeHardState, decodeHardState),
  kindOf('a membership', membership, encodeMembership, decodeMembership, { travels: true }),
  kindOf('what describes a snapshot', snapshotMeta, encodeSnapshotMeta, decodeSnapshotMeta, {
    travels: true,
  }),
  kindOf('a list of term runs', termRuns, encodeTermRuns, decodeTermRuns),
]

/** Decodes or throws a CodecError; a decoded value has an encoding, for it is one that could be written. */
function surviveDecoding({ decode, encode }: Kind, bytes: Uint8Array): void {
  let value: unknown
  try {
    value = decode(bytes)
  } catch (error) {
    expect(error).toBeInstanceOf(CodecError)
    return
  }
  // A later version may have added something that is passed over.
  if (bytes[0] === 1) expect(encode(value)).toEqual(bytes)
}

describe.each(KINDS)('$name', (kind) => {
  test('comes back from its bytes as it was', () => {
    fc.assert(
      fc.property(kind.values, (value) => {
        expect(kind.decode(kind.encode(value))).toEqual(value)
      }),
    )
  })

  test('cut short or lengthened is a CodecError', () => {
    fc.assert(
      fc.property(kind.values, share, (value, where) => {
        const bytes = kind.encode(value)
        const cut = bytes.subarray(0, Math.min(bytes.length - 1, Math.floor(where * bytes.length)))
        expect(() => kind.decode(cut)).toThrow(CodecError)
        expect(() => kind.decode(new Uint8Array([...bytes, 0]))).toThrow(CodecError)
      }),
    )
  })

  test('of no version is a CodecError', () => {
    fc.assert(
      fc.property(kind.values, (value) => {
        const bytes = kind.encode(value)
        bytes[0] = 0
        expect(() => kind.decode(bytes)).toThrow(CodecError)
      }),
    )
  })

  test('altered anywhere never throws anything but a CodecError', () => {
    const changes = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { minLength: 1 })
    fc.assert(
      fc.property(kind.values, changes, (value, changed) => {
        const bytes = kind.encode(value)
        for (const [where, flip] of changed) {
          const at = where % bytes.length
          bytes[at] = (bytes[at] ?? 0) ^ flip
        }
        surviveDecoding(kind, bytes)
      }),
      { numRuns: 500 },
    )
  })

  test('made of noise never throws anything but a CodecError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (noise) => {
        surviveDecoding(kind, new Uint8Array([1, ...noise]))
      }),
      { numRuns: 500 },
    )
  })
})

function ofLaterVersion(kind: Kind, value: unknown, added: Uint8Array): Uint8Array {
  const bytes = new Uint8Array([...kind.encode(value), ...added])
  bytes[0] = 2
  return bytes
}

describe('of a later version', () => {
  test.each(KINDS.filter((kind) => kind.travels))(
    '$name is read without the fields that it added',
    (kind) => {
      fc.assert(
        fc.property(kind.values, fc.uint8Array({ maxLength: 20 }), (value, added) => {
          expect(kind.decode(ofLaterVersion(kind, value, added))).toEqual(value)
        }),
      )
    },
  )

  test.each(KINDS.filter((kind) => !kind.travels))(
    '$name is a CodecError that names both versions',
    (kind) => {
      fc.assert(
        fc.property(kind.values, (value) => {
          const later = ofLaterVersion(kind, value, new Uint8Array())
          expect(() => kind.decode(later)).toThrow(CodecError)
          expect(() => kind.decode(later)).toThrow(/version 2.* 1 is known/)
        }),
      )
    },
  )
})

function voteFor(votedFor: string): HardState {
  return { term: 1, votedFor, commitIndex: 0 }
}

const GONE = { id: 'x', address: '' }

describe('the rules of the records', () => {
  const peers = [
    { id: 'a', address: '1' },
    { id: 'b', address: '2' },
  ]
  const good: Membership = { voters: ['a', 'b'], outgoing: [], learners: [], peers, removed: [] }

  test.each<[string, Membership]>([
    ['unsorted', { ...good, voters: ['b', 'a'] }],
    ['with an id twice', { ...good, voters: ['a', 'a', 'b'] }],
    ['with a node that has no address', { ...good, learners: ['c'] }],
    ['with an address of no node', { ...good, voters: ['a'] }],
    ['with unsorted addresses', { ...good, peers: peers.toReversed() }],
    ['with a removed member', { ...good, removed: [peers[0]!] }],
    ['with a node removed twice', { ...good, removed: [GONE, GONE] }],
  ])('a membership %s is refused before it is written', (_, bad) => {
    expect(() => encodeMembership(bad)).toThrow(RangeError)
  })

  test('a node id takes at most 255 bytes', () => {
    const longest = 'é'.repeat(127) + 'x'
    expect(decodeHardState(encodeHardState(voteFor(longest))).votedFor).toBe(longest)
    expect(() => encodeHardState(voteFor('é'.repeat(128)))).toThrow(RangeError)
    expect(() => encodeHardState(voteFor('x'.repeat(256)))).toThrow(RangeError)
  })

  test('term runs that do not ascend are refused', () => {
    const runs = [
      { from: 1, term: 2 },
      { from: 5, term: 2 },
    ]
    expect(() => encodeTermRuns(runs)).toThrow(RangeError)
  })

  test('an entry takes its data and a fixed overhead', () => {
    const data = new Uint8Array(100)
    const bytes = encodeEntry({ index: 1, term: 1, type: 'command', data })
    expect(bytes.length).toBe(ENTRY_OVERHEAD_BYTES + 100)
  })

  test('a huge count in few bytes is refused before anything is allocated for it', () => {
    expect(() => decodeTermRuns(new Uint8Array([1, 0xff, 0xff, 0xff, 0xff]))).toThrow(CodecError)
    expect(() => decodeMembership(new Uint8Array([1, 0xff, 0xff, 0xff, 0xff]))).toThrow(CodecError)
  })
})

test('a snapshot whose membership comes after it is refused', () => {
  const meta = { position: { term: 2, index: 5 }, membership: NOBODY_YET, membershipIndex: 6 }
  expect(() => decodeSnapshotMeta(encodeSnapshotMeta(meta))).toThrow(CodecError)
  const fitting = { ...meta, membershipIndex: 5 }
  expect(decodeSnapshotMeta(encodeSnapshotMeta(fitting))).toEqual(fitting)
})
