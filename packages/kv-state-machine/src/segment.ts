import type { Key } from './key.ts'
import { isLive, NO_REF, type Ref } from './tree.ts'

/** A change's place in the order of all changes: 1 for the first. Never used again. */
export type Sequence = number

/** What is to be written down about one change. */
export interface Change {
  readonly key: Key
  /** The revision, and the change's place among those of the same revision (from 0). */
  readonly main: number
  readonly sub: number
  readonly tombstone: boolean
  readonly createRevision: number
  readonly version: number
  readonly lease: bigint
  readonly value: Uint8Array
}

/** Where older versions of the same key are found. */
export interface Ancestry {
  readonly previous: Ref
  /** A version further back, so that a search through n versions takes O(log n) steps. */
  readonly jump: Ref
  /** How many versions the jump takes at once. */
  readonly span: number
}

/** Large enough to be few, small enough that rewriting one is no pause: 256 KiB. */
export const SEGMENT_BYTES: number = 256 * 1024
export const SEGMENT_SLOTS: number = 4096
/** What a log begins with, so that a small store stays small. */
const FIRST_BYTES = 4096

const TOMBSTONE = 1
const HAS_SUB = 2
const HAS_ANCESTRY = 4
const HAS_VERSION = 8
const HAS_LEASE = 16

/** A flags byte and the revision. What else a record has, in this order, the flags say. */
const FIXED_BYTES = 1 + 8
const SUB_BYTES = 4
const ANCESTRY_BYTES = 8 + 8 + 4
const VERSION_BYTES = 8 + 8
const LEASE_BYTES = 8

const HEADER_BYTES: readonly number[] = Array.from({ length: 32 }, (_, flags) => {
  let bytes = FIXED_BYTES
  if (flags & HAS_SUB) bytes += SUB_BYTES
  if (flags & HAS_ANCESTRY) bytes += ANCESTRY_BYTES
  if (flags & HAS_VERSION) bytes += VERSION_BYTES
  if (flags & HAS_LEASE) bytes += LEASE_BYTES
  return bytes
})

/**
 * A run of changes in their order, packed into one buffer: a small value as an object of its own
 * would take twice its size. Records are only ever added, so views of values stay good for ever,
 * and so does what a frozen log sees up to its end.
 */
export class Segment {
  readonly owner: object
  /** Null as long as no change in between is missing: then they follow from the first. */
  readonly #sequences: number[] | null
  readonly #first: Sequence
  #data: Uint8Array
  #view: DataView
  /** Where each record starts, and after the last of them where the next one will. */
  #offsets: Uint32Array
  /** The tree's own strings, shared: a key costs one pointer here. */
  readonly #keys: Key[]
  #count: number
  /** One byte for each record that compaction took; null if it took none. */
  #dead: Uint8Array | null = null
  #deadCount = 0
  #deadBytes = 0

  private constructor(owner: object, first: Sequence, from: Contents) {
    this.owner = owner
    this.#first = first
    this.#sequences = from.sequences
    this.#data = from.data
    this.#view = new DataView(from.data.buffer)
    this.#offsets = from.offsets
    this.#keys = from.keys
    this.#count = from.count
  }

  static startingAt(first: Sequence, owner: object): Segment {
    return new Segment(owner, first, emptyContents(null, first === 1 ? FIRST_BYTES : SEGMENT_BYTES))
  }

  /** The surviving records of neighbours, or null if there are none. */
  static merged(segments: readonly Segment[], owner: object): Segment | null {
    let target: Segment | null = null
    for (const source of segments) {
      for (let slot = 0; slot < source.#count; slot++) {
        if (source.isDead(slot)) continue
        target ??= new Segment(owner, source.sequenceAt(slot), emptyContents([], FIRST_BYTES))
        target.#copy(source, slot)
      }
    }
    if (target !== null) target.#trim()
    return target
  }

  /** The same records with marks of their own. The one it was taken from must not grow any more. */
  copyFor(owner: object): Segment {
    const copy = new Segment(owner, this.#first, {
      sequences: this.#sequences,
      data: this.#data,
      offsets: this.#offsets,
      keys: this.#keys,
      count: this.#count,
    })
    copy.#dead = this.#dead === null ? null : this.#dead.slice()
    copy.#deadCount = this.#deadCount
    copy.#deadBytes = this.#deadBytes
    return copy
  }

  get first(): Sequence {
    return this.#first
  }

  get count(): number {
    return this.#count
  }

  get liveCount(): number {
    return this.#count - this.#deadCount
  }

  get usedBytes(): number {
    return this.#offsets[this.#count] as number
  }

  get allocatedBytes(): number {
    return this.#data.byteLength
  }

  get deadBytes(): number {
    return this.#deadBytes
  }

  /** Whether a value of this size still fits. A value larger than any segment gets one to itself. */
  hasRoomFor(valueBytes: number): boolean {
    if (this.#count === 0) return true
    return this.#count < SEGMENT_SLOTS && this.usedBytes + valueBytes + 64 <= SEGMENT_BYTES
  }

  append(change: Change, ancestry: Ancestry): void {
    const { main, sub, tombstone, createRevision, version, lease, value } = change
    let flags = tombstone ? TOMBSTONE : 0
    if (sub !== 0) flags |= HAS_SUB
    if (ancestry.previous !== NO_REF) flags |= HAS_ANCESTRY
    if (!tombstone && (version !== 1 || createRevision !== main)) flags |= HAS_VERSION
    if (lease !== 0n) flags |= HAS_LEASE
    const start = this.#reserve((HEADER_BYTES[flags] as number) + value.byteLength)
    const view = this.#view
    view.setUint8(start, flags)
    view.setFloat64(start + 1, main)
    let at = start + FIXED_BYTES
    if (flags & HAS_SUB) {
      view.setUint32(at, sub)
      at += SUB_BYTES
    }
    if (flags & HAS_ANCESTRY) {
      view.setFloat64(at, ancestry.previous)
      view.setFloat64(at + 8, ancestry.jump)
      view.setUint32(at + 16, ancestry.span)
      at += ANCESTRY_BYTES
    }
    if (flags & HAS_VERSION) {
      view.setFloat64(at, createRevision)
      view.setFloat64(at + 8, version)
      at += VERSION_BYTES
    }
    if (flags & HAS_LEASE) {
      view.setBigInt64(at, lease)
      at += LEASE_BYTES
    }
    this.#data.set(value, at)
    this.#keys.push(change.key)
  }

  /** Where the change is, or -1 if compaction took it or it never was in here. */
  slotOf(sequence: Sequence): number {
    if (this.#sequences === null) {
      const slot = sequence - this.#first
      return slot >= 0 && slot < this.#count ? slot : -1
    }
    const slot = this.slotFrom(sequence)
    return slot < this.#count && this.#sequences[slot] === sequence ? slot : -1
  }

  /** The first slot at or after `sequence`; `count` if there is none. */
  slotFrom(sequence: Sequence): number {
    if (this.#sequences === null) {
      return Math.min(Math.max(sequence - this.#first, 0), this.#count)
    }
    return this.#search((slot) => this.sequenceAt(slot) < sequence)
  }

  /** The first slot of a revision above `main`; `count` if there is none. */
  slotAfterRevision(main: number): number {
    return this.#search((slot) => this.main(slot) <= main)
  }

  sequenceAt(slot: number): Sequence {
    return this.#sequences === null ? this.#first + slot : (this.#sequences[slot] as number)
  }

  refAt(slot: number): Ref {
    return this.sequenceAt(slot) * 2 + (this.isTombstone(slot) ? 1 : 0)
  }

  key(slot: number): Key {
    return this.#keys[slot] as Key
  }

  isTombstone(slot: number): boolean {
    return (this.#flags(slot) & TOMBSTONE) !== 0
  }

  main(slot: number): number {
    return this.#view.getFloat64(this.#start(slot) + 1)
  }

  sub(slot: number): number {
    const has = this.#flags(slot) & HAS_SUB
    return has === 0 ? 0 : this.#view.getUint32(this.#start(slot) + FIXED_BYTES)
  }

  previous(slot: number): Ref {
    const at = this.#ancestryAt(slot)
    return at === 0 ? NO_REF : this.#view.getFloat64(at)
  }

  jump(slot: number): Ref {
    const at = this.#ancestryAt(slot)
    return at === 0 ? NO_REF : this.#view.getFloat64(at + 8)
  }

  span(slot: number): number {
    const at = this.#ancestryAt(slot)
    return at === 0 ? 0 : this.#view.getUint32(at + 16)
  }

  createRevision(slot: number): number {
    const at = this.#versionAt(slot)
    return at === 0 ? this.main(slot) : this.#view.getFloat64(at)
  }

  version(slot: number): number {
    const at = this.#versionAt(slot)
    return at === 0 ? 1 : this.#view.getFloat64(at + 8)
  }

  lease(slot: number): bigint {
    const flags = this.#flags(slot)
    if ((flags & HAS_LEASE) === 0) return 0n
    return this.#view.getBigInt64(this.#start(slot) + headerBytes(flags) - LEASE_BYTES)
  }

  /** A view that stays good. */
  value(slot: number): Uint8Array {
    const start = this.#start(slot) + headerBytes(this.#flags(slot))
    return this.#data.subarray(start, this.#start(slot + 1))
  }

  isDead(slot: number): boolean {
    return this.#dead !== null && this.#dead[slot] === 1
  }

  /** Notes that compaction took the record; answers how many bytes that frees, once. */
  markDead(slot: number): number {
    this.#dead ??= new Uint8Array(SEGMENT_SLOTS)
    if (this.#dead[slot] === 1) return 0
    this.#dead[slot] = 1
    this.#deadCount += 1
    const bytes = this.#start(slot + 1) - this.#start(slot)
    this.#deadBytes += bytes
    return bytes
  }

  #copy(source: Segment, slot: number): void {
    const from = source.#start(slot)
    const to = source.#start(slot + 1)
    const start = this.#reserve(to - from)
    this.#data.set(source.#data.subarray(from, to), start)
    this.#keys.push(source.key(slot))
    this.#sequences?.push(source.sequenceAt(slot))
  }

  /** Counts one more record of that size in and answers where it starts. */
  #reserve(bytes: number): number {
    const start = this.usedBytes
    const end = start + bytes
    if (end > this.#data.byteLength) {
      const wanted = Math.max(end, Math.min(this.#data.byteLength * 4, SEGMENT_BYTES))
      this.#resize(wanted)
    }
    if (this.#count + 2 > this.#offsets.length) {
      const offsets = new Uint32Array(Math.min(this.#offsets.length * 4, SEGMENT_SLOTS + 2))
      offsets.set(this.#offsets)
      this.#offsets = offsets
    }
    this.#count += 1
    this.#offsets[this.#count] = end
    return start
  }

  #trim(): void {
    if (this.usedBytes < this.#data.byteLength) this.#resize(this.usedBytes)
    this.#offsets = this.#offsets.slice(0, this.#count + 1)
  }

  #resize(bytes: number): void {
    const data = new Uint8Array(bytes)
    data.set(this.#data.subarray(0, this.usedBytes))
    this.#data = data
    this.#view = new DataView(data.buffer)
  }

  #start(slot: number): number {
    return this.#offsets[slot] as number
  }

  #flags(slot: number): number {
    return this.#data[this.#start(slot)] as number
  }

  #ancestryAt(slot: number): number {
    const flags = this.#flags(slot)
    if ((flags & HAS_ANCESTRY) === 0) return 0
    return this.#start(slot) + FIXED_BYTES + (flags & HAS_SUB ? SUB_BYTES : 0)
  }

  #versionAt(slot: number): number {
    const flags = this.#flags(slot)
    if ((flags & HAS_VERSION) === 0) return 0
    const after = flags & HAS_LEASE ? LEASE_BYTES : 0
    return this.#start(slot) + headerBytes(flags) - after - VERSION_BYTES
  }

  #search(isBefore: (slot: number) => boolean): number {
    let low = 0
    let high = this.#count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (isBefore(middle)) low = middle + 1
      else high = middle
    }
    return low
  }
}

interface Contents {
  readonly sequences: number[] | null
  readonly data: Uint8Array
  readonly offsets: Uint32Array
  readonly keys: Key[]
  readonly count: number
}

function emptyContents(sequences: number[] | null, bytes: number): Contents {
  return {
    sequences,
    data: new Uint8Array(bytes),
    offsets: new Uint32Array(64),
    keys: [],
    count: 0,
  }
}

function headerBytes(flags: number): number {
  return HEADER_BYTES[flags] as number
}

export function sequenceOf(ref: Ref): Sequence {
  return isLive(ref) ? ref / 2 : (ref - 1) / 2
}
