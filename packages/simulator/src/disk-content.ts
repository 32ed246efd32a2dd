import {
  type AppendBatch,
  type Entry,
  type HardState,
  INITIAL_HARD_STATE,
  LogOutline,
  type LogIndex,
  type Membership,
  type Position,
  type SnapshotMeta,
} from '@coracle/raft-core'
import {
  crc32,
  decodeEntry,
  decodeHardState,
  decodeSnapshotMeta,
  encodeEntry,
  encodeHardState,
  encodeSnapshotMeta,
} from '@coracle/raft-core/codec'
import type { Random } from './random.ts'

/** What was read is not what was written. */
export class DiskCorruption extends Error {
  override readonly name = 'DiskCorruption'
}

/** The disk did what it was told to: fail. */
export class DiskFailure extends Error {
  override readonly name = 'DiskFailure'
}

/** A storage may have its own words for what its disk did, and give that as the cause. */
export function isOfDisk(cause: unknown): boolean {
  if (cause instanceof DiskFailure || cause instanceof DiskCorruption) return true
  return cause instanceof Error && cause.cause !== undefined && isOfDisk(cause.cause)
}

/** Bytes and their checksum. Bits may rot; whoever reads them learns of it. */
export class Sealed {
  #bytes: Uint8Array
  readonly #whole: Uint8Array
  readonly #checksum: number

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#whole = bytes
    this.#checksum = crc32(bytes)
  }

  get length(): number {
    return this.#whole.length
  }

  open(what: string): Uint8Array {
    if (crc32(this.#bytes) !== this.#checksum)
      throw new DiskCorruption(`${what} is not as it was written`)
    return this.#bytes
  }

  /** Flips one bit. */
  rot(random: Random): void {
    if (this.#bytes.length === 0) return
    const at = random.whole(0, this.#bytes.length - 1)
    this.#bytes = this.#bytes.slice()
    this.#bytes[at] = (this.#bytes[at] as number) ^ (1 << random.whole(0, 7))
  }

  repair(): void {
    this.#bytes = this.#whole
  }
}

export interface SealedSnapshot {
  readonly meta: SnapshotMeta
  readonly sealedMeta: Sealed
  readonly chunks: readonly Sealed[]
}

/** What is durable. */
export class Content {
  hardState: HardState = INITIAL_HARD_STATE
  #sealedHardState = new Sealed(encodeHardState(INITIAL_HARD_STATE))
  readonly outline: LogOutline = new LogOutline()
  #snapshot: SealedSnapshot | null = null
  /** The entries after `outline.compacted`. */
  #entries: { readonly entry: Entry; readonly sealed: Sealed }[] = []
  #memberships: readonly Entry[] = []
  #rotten: Sealed[] = []
  /** The beginning of a write that a crash cut short. */
  #torn: Uint8Array = new Uint8Array(0)

  get snapshot(): SealedSnapshot | null {
    return this.#snapshot
  }

  get isRotten(): boolean {
    return this.#rotten.length > 0
  }

  /** The entries that change the membership. */
  get memberships(): readonly Entry[] {
    return this.#memberships
  }

  write(batch: AppendBatch): void {
    const { reset, entries, hardState } = batch
    this.outline.append(batch)
    if (reset !== null) {
      this.#entries = []
      this.#memberships = []
    }
    const [first] = entries
    if (first !== undefined) {
      this.#memberships = [
        ...this.#memberships.filter(({ index }) => index < first.index),
        ...entries.filter(({ type }) => type === 'membership'),
      ]
      this.#entries.length = first.index - 1 - this.outline.compacted.index
      for (const entry of entries)
        this.#entries.push({ entry, sealed: new Sealed(encodeEntry(entry)) })
    }
    if (hardState === null) return
    this.hardState = hardState
    this.#sealedHardState = new Sealed(encodeHardState(hardState))
  }

  writeSnapshot(meta: SnapshotMeta, chunks: readonly Uint8Array[]): void {
    this.#snapshot = {
      meta,
      sealedMeta: new Sealed(encodeSnapshotMeta(meta)),
      chunks: chunks.map((chunk) => new Sealed(chunk)),
    }
  }

  /**
   * A crash leaves the first bytes of a batch: a record of its length, its checksum and itself, of
   * which the end is missing.
   */
  tear(batch: AppendBatch, random: Random): void {
    const bytes = recordOf(batch)
    this.#torn = bytes.slice(0, random.whole(1, bytes.length - 1))
  }

  /** Whatever is left of a write that was cut short is no record, and counts for nothing. */
  dropTorn(): void {
    if (isRecord(this.#torn)) throw new RangeError('a write that was cut short looks whole')
    this.#torn = new Uint8Array(0)
  }

  /** What a node needs to restart, read from the bytes. */
  load(): { readonly hardState: HardState; readonly snapshot: SnapshotMeta | null } {
    const hardState = decodeHardState(this.#sealedHardState.open('the hard state'))
    const snapshot =
      this.#snapshot === null
        ? null
        : decodeSnapshotMeta(this.#snapshot.sealedMeta.open("the snapshot's description"))
    return { hardState, snapshot }
  }

  read(from: LogIndex, to: LogIndex, maxBytes: number): readonly Entry[] {
    const taken: Entry[] = []
    let bytes = 0
    for (let index = from; index < to; index++) {
      const { sealed } = this.#entries[index - 1 - this.outline.compacted.index] as {
        readonly sealed: Sealed
      }
      const entry = decodeEntry(sealed.open(`entry ${index}`))
      bytes += entry.data.length
      if (bytes > maxBytes && taken.length > 0) break
      taken.push(entry)
    }
    return taken
  }

  forget(position: Position): void {
    const count = position.index - this.outline.compacted.index
    if (count <= 0) return
    this.outline.compact(position)
    this.#entries.splice(0, count)
    this.#memberships = this.#memberships.filter(({ index }) => index > position.index)
  }

  /** A bit flips in something that is stored. */
  rot(random: Random): void {
    const sealed = random.pick([
      [this.#sealedHardState],
      this.#entries.map((stored) => stored.sealed),
      this.#snapshot?.chunks ?? [],
    ])
    if (sealed.length === 0) return
    const victim = random.pick(sealed)
    victim.rot(random)
    this.#rotten.push(victim)
  }

  repair(): void {
    for (const sealed of this.#rotten) sealed.repair()
    this.#rotten = []
  }

  get snapshotMembership(): Membership | null {
    return this.#snapshot?.meta.membership ?? null
  }
}

/** Length, checksum, payload. */
function recordOf({ entries, hardState }: AppendBatch): Uint8Array {
  const parts = entries.map(encodeEntry)
  if (hardState !== null) parts.push(encodeHardState(hardState))
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const bytes = new Uint8Array(8 + length)
  let at = 8
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  const header = new DataView(bytes.buffer)
  header.setUint32(0, length)
  header.setUint32(4, crc32(bytes.subarray(8)))
  return bytes
}

function isRecord(bytes: Uint8Array): boolean {
  if (bytes.length < 8) return false
  const header = new DataView(bytes.buffer, bytes.byteOffset)
  if (header.getUint32(0) !== bytes.length - 8) return false
  return header.getUint32(4) === crc32(bytes.subarray(8))
}
