import { forEachChange } from './change-log.ts'
import type { AuthState } from './auth-store.ts'
import type { ClusterState } from './cluster-state.ts'
import { crc32c } from './crc32c.ts'
import { type Segment, type Sequence, sequenceOf } from './segment.ts'
import type { Store } from './store.ts'
import { byId } from './leases.ts'

/** etcd's HashKV answer. Two members that hold the same agree if all four numbers do. */
export interface KvHash {
  readonly type: 'hash'
  readonly hash: number
  /** The store's revision. */
  readonly revision: number
  readonly compactRevision: number
  /** The revision up to which was hashed. */
  readonly hashRevision: number
}

/** The bucket's name opens etcd's hash. */
const BUCKET = ascii('key')
const UNDERSCORE = 0x5f
const TOMBSTONE = 0x74

/**
 * CRC-32C over what etcd would keep in its key bucket, in order of revision: the revision in 17
 * bytes (and a `t` for a tombstone), then the pair as protobuf. A tombstone exactly at the
 * compacted revision is left out, since etcd's members may or may not have dropped it; and of what
 * the compaction left, what is not read any more at the revision that is hashed. 0 is the newest
 * revision; nothing is up to one below 0.
 */
export function hashChanges(store: Store, revision: number): KvHash {
  store.finishSweep()
  const { compactRevision } = store
  const hashRevision = revision === 0 ? store.revision : revision
  const read = readAt(store, hashRevision)
  let at = 0
  const isRead = (segment: Segment, slot: number): boolean => {
    const sequence = segment.sequenceAt(slot)
    while (at < read.length && (read[at] as Sequence) < sequence) at += 1
    return read[at] === sequence
  }
  // etcd takes no key at all for not having to leave anything out.
  const isLeftOut = (segment: Segment, slot: number): boolean =>
    read.length > 0 && segment.main(slot) <= compactRevision && !isRead(segment, slot)
  const hash = hashLog(store, hashRevision, isLeftOut)
  return { type: 'hash', hash, revision: store.revision, compactRevision, hashRevision }
}

/** The places of the versions that are read at a revision, in order. */
function readAt(store: Store, revision: number): Float64Array {
  if (store.compactRevision < 0) return new Float64Array(0)
  const all = { single: false, from: '', to: null }
  const refs = store.select(all, { revision, limit: Infinity })
  return Float64Array.from(refs, sequenceOf).sort()
}

function hashLog(
  store: Store,
  revision: number,
  isLeftOut: (segment: Segment, slot: number) => boolean,
): number {
  const to = store.endOfRevision(revision)
  const entry = new EntryBytes()
  let hash = crc32c(BUCKET)
  forEachChange(store.log, { from: 1, to }, (segment, slot) => {
    if (segment.isDead(slot) || isLeftOut(segment, slot)) return
    if (segment.isTombstone(slot) && segment.main(slot) === store.compactRevision) return
    hash = crc32c(segment.value(slot), crc32c(entry.before(segment, slot), hash))
    hash = crc32c(entry.after(segment, slot), hash)
  })
  return hash
}

/** Of everything that can be read at any revision, and of all else that members are to agree on. */
export function hashStore(store: Store, cluster: ClusterState, auth: AuthState): number {
  store.finishSweep()
  const { revision, compactRevision } = store
  const hash = hashLog(store, revision, () => false)
  const rest = JSON.stringify([
    revision,
    compactRevision,
    told(cluster),
    leasesOf(store),
    fieldsOf(auth),
  ])
  return crc32c(new TextEncoder().encode(rest), hash)
}

function told({ members, alarms, downgradeTarget }: ClusterState): readonly unknown[] {
  return [[...members].sort(byKey), alarms, downgradeTarget]
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1
}

function leasesOf(store: Store): readonly unknown[] {
  const { leases, renewals } = store.leases.freeze()
  const fields = leases
    .toSorted(byId)
    .map(({ id, ttl, remainingTtl, renewal }) => [String(id), ttl, remainingTtl, renewal])
  return [renewals, fields]
}

function fieldsOf({ enabled, revision, users, roles }: AuthState): readonly unknown[] {
  const byName = (a: { readonly name: string }, b: { readonly name: string }): number =>
    a.name < b.name ? -1 : 1
  const userFields = users
    .toSorted(byName)
    .map((user) => [user.name, user.passwordHash, user.noPassword, user.roles])
  const roleFields = roles
    .toSorted(byName)
    .map(({ name, permissions }) => [
      name,
      permissions.map(({ type, key, rangeEnd }) => [type, [...key], [...rangeEnd]]),
    ])
  return [enabled, revision, userFields, roleFields]
}

/** Puts together what surrounds the value in an entry; the value itself is hashed where it lies. */
class EntryBytes {
  #bytes = new Uint8Array(256)
  #view = new DataView(this.#bytes.buffer)
  #at = 0

  before(segment: Segment, slot: number): Uint8Array {
    const key = segment.key(slot)
    this.#at = 0
    this.#reserve(key.length + 128)
    this.#bigEndian(segment.main(slot))
    this.#byte(UNDERSCORE)
    this.#bigEndian(segment.sub(slot))
    if (segment.isTombstone(slot)) this.#byte(TOMBSTONE)
    if (key.length > 0) {
      this.#tagged(0x0a, key.length)
      for (let i = 0; i < key.length; i++) this.#byte(key.charCodeAt(i))
    }
    if (!segment.isTombstone(slot)) {
      this.#tagged(0x10, segment.createRevision(slot))
      this.#tagged(0x18, segment.main(slot))
      this.#tagged(0x20, segment.version(slot))
      const length = segment.value(slot).byteLength
      if (length > 0) this.#tagged(0x2a, length)
    }
    return this.#bytes.subarray(0, this.#at)
  }

  after(segment: Segment, slot: number): Uint8Array {
    this.#at = 0
    const lease = segment.lease(slot)
    if (lease !== 0n) {
      this.#byte(0x30)
      let rest = BigInt.asUintN(64, lease)
      for (; rest > 0x7fn; rest >>= 7n) this.#byte(Number(rest & 0x7fn) | 0x80)
      this.#byte(Number(rest))
    }
    return this.#bytes.subarray(0, this.#at)
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#bytes.length) return
    this.#bytes = new Uint8Array(bytes * 2)
    this.#view = new DataView(this.#bytes.buffer)
  }

  #byte(value: number): void {
    this.#bytes[this.#at++] = value
  }

  #bigEndian(value: number): void {
    this.#view.setUint32(this.#at, Math.floor(value / 2 ** 32))
    this.#view.setUint32(this.#at + 4, value)
    this.#at += 8
  }

  /** A protobuf field that begins with a varint. */
  #tagged(tag: number, value: number): void {
    this.#byte(tag)
    let rest = value
    for (; rest > 0x7f; rest = Math.floor(rest / 128)) this.#byte((rest % 128) | 0x80)
    this.#byte(rest)
  }
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0))
}
