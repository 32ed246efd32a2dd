import { CodecError, Reader, Writer } from '@coracle/raft-core/codec'
import { authBlocks, loadAuthBlock } from './auth-snapshot.ts'
import { type AuthState, AuthStore } from './auth-store.ts'
import { forEachChange } from './change-log.ts'
import { ByteQueue } from './byte-queue.ts'
import { byMember, type ClusterState, EMPTY_CLUSTER } from './cluster-state.ts'
import {
  readAlarm,
  readLease,
  readMember,
  writeAlarm,
  writeLease,
  writeMember,
} from './command-codec.ts'
import { crc32c } from './crc32c.ts'
import { keyOf } from './key.ts'
import { type Change, type Segment, type Sequence, sequenceOf } from './segment.ts'
import type { Store, StoreView } from './store.ts'
import { NO_REF } from './tree.ts'
import { byId } from './leases.ts'
import type { Alarm, Lease } from './types.ts'

/**
 * `CKVS` and the version of all that follows. Version 2 knows nothing of the cluster but members,
 * and version 3 neither users nor roles.
 */
const HEADER: Uint8Array = Uint8Array.of(0x43, 0x4b, 0x56, 0x53, 4)
const OLDEST_VERSION = 2

/** A block is closed when it reaches this size: one chunk, one checksum. */
const BLOCK_BYTES = 64 * 1024
/** Each block: its length without these eight bytes, then a CRC-32C that continues the block before. */
const BLOCK_HEADER_BYTES = 8

const STATE_BLOCK = 1
const CHANGES_BLOCK = 2
const END_BLOCK = 3
const LEASES_BLOCK = 4
const CLUSTER_BLOCK = 5
const AUTH_BLOCK = 6

const TOMBSTONE = 1
const HAS_SUB = 2
const HAS_VERSION = 4
const HAS_LEASE = 8

export interface Restored {
  readonly store: Store
  readonly cluster: ClusterState
  readonly auth: AuthStore
}

/**
 * Writes a frozen store: equal states give equal bytes. Nothing is done before the first chunk is
 * asked for, and then a block at a time.
 */
export async function* writeSnapshot(
  view: StoreView,
  cluster: ClusterState,
  auth: AuthState,
): AsyncGenerator<Uint8Array, void, undefined> {
  yield HEADER.slice()
  const state = new BlockWriter(STATE_BLOCK, crc32c(HEADER))
  state.writer.u64(view.revision)
  // It begins at -1.
  state.writer.u64(view.compactRevision + 1)
  const members = [...cluster.members.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
  state.writer.u32(members.length)
  for (const member of members) writeMember(state.writer, member)
  state.writer.u64(view.leases.renewals)
  yield state.finish()

  const told = new BlockWriter(CLUSTER_BLOCK, state.checksum)
  told.writer.u32(cluster.alarms.length)
  for (const alarm of cluster.alarms) writeAlarm(told.writer, alarm)
  told.writer.string(cluster.downgradeTarget)
  yield told.finish()

  let checksum = told.checksum
  let count = 0
  for (const some of pieces(view.leases.leases.toSorted(byId), BLOCK_BYTES / LEASE_BYTES)) {
    const block = new BlockWriter(LEASES_BLOCK, checksum)
    for (const lease of some) writeLeaseState(block.writer, lease)
    yield block.finish()
    checksum = block.checksum
    count += some.length
  }
  const fill = authBlocks(auth)
  for (;;) {
    const block = new BlockWriter(AUTH_BLOCK, checksum)
    const records = fill(block.writer, BLOCK_BYTES)
    if (records === 0) break
    yield block.finish()
    checksum = block.checksum
    count += records
  }
  for (const run of runs(view)) {
    const block = new BlockWriter(CHANGES_BLOCK, checksum)
    for (const [segment, slot] of run) writeChange(block.writer, segment, slot)
    yield block.finish()
    checksum = block.checksum
    count += run.length
  }

  const end = new BlockWriter(END_BLOCK, checksum)
  end.writer.u64(count)
  yield end.finish()
}

/** Reads a snapshot into a new store. Rejects with a CodecError unless all of it is as it was written. */
export async function readSnapshot(
  chunks: AsyncIterable<Uint8Array>,
  store: Store,
): Promise<Restored> {
  const loader = new Loader(store)
  for await (const chunk of chunks) loader.push(chunk)
  return loader.finish()
}

/** What a lease takes in a block. */
const LEASE_BYTES = 32

function* pieces<T>(list: readonly T[], length: number): Generator<readonly T[], void, undefined> {
  for (let at = 0; at < list.length; at += length) yield list.slice(at, at + length)
}

function writeLeaseState(writer: Writer, lease: Lease): void {
  writeLease(writer, lease.id)
  writer.u64(lease.ttl)
  writer.u64(lease.remainingTtl)
  writer.u64(lease.renewal)
}

function readLeaseState(reader: Reader): Lease {
  return {
    id: readLease(reader),
    ttl: reader.u64(),
    remainingTtl: reader.u64(),
    renewal: reader.u64(),
  }
}

/** The surviving changes in order, cut where a block is full. */
function* runs(view: StoreView): Generator<[Segment, number][], void, undefined> {
  const dead = unsweptChanges(view)
  for (const segment of view.log.segments) {
    let run: [Segment, number][] = []
    let bytes = 0
    const end = segment.slotFrom(view.log.end)
    for (let slot = 0; slot < end; slot++) {
      if (segment.isDead(slot) || dead.has(segment.sequenceAt(slot))) continue
      run.push([segment, slot])
      bytes += 32 + segment.key(slot).length + segment.value(slot).byteLength
      if (bytes < BLOCK_BYTES) continue
      yield run
      run = []
      bytes = 0
    }
    if (run.length > 0) yield run
  }
}

/** What the compaction under way would still take out, if it went on. */
function unsweptChanges(view: StoreView): ReadonlySet<Sequence> {
  const { next, end, revision } = view.sweep
  const dead = new Set<Sequence>()
  forEachChange(view.log, { from: next, to: end }, (segment, slot) => {
    const previous = segment.previous(slot)
    if (previous !== NO_REF) dead.add(sequenceOf(previous))
    if (segment.isTombstone(slot) && segment.main(slot) < revision) {
      dead.add(segment.sequenceAt(slot))
    }
  })
  return dead
}

function writeChange(writer: Writer, segment: Segment, slot: number): void {
  const isTombstone = segment.isTombstone(slot)
  const sub = segment.sub(slot)
  const version = segment.version(slot)
  const lease = segment.lease(slot)
  const hasVersion = !isTombstone && version !== 1
  writer.u8(
    (isTombstone ? TOMBSTONE : 0) |
      (sub === 0 ? 0 : HAS_SUB) |
      (hasVersion ? HAS_VERSION : 0) |
      (lease === 0n ? 0 : HAS_LEASE),
  )
  writer.u64(segment.main(slot))
  if (sub !== 0) writer.u32(sub)
  if (hasVersion) {
    writer.u64(segment.createRevision(slot))
    writer.u64(version)
  }
  if (lease !== 0n) writeLease(writer, lease)
  const key = segment.key(slot)
  writer.u32(key.length)
  for (let i = 0; i < key.length; i++) writer.u8(key.charCodeAt(i))
  if (!isTombstone) writer.bytes(segment.value(slot))
}

function readChange(reader: Reader): Change {
  const flags = reader.u8()
  const isKnown = flags <= (TOMBSTONE | HAS_SUB | HAS_VERSION | HAS_LEASE)
  if (!isKnown) throw new CodecError(`unknown flags ${flags}`)
  const tombstone = (flags & TOMBSTONE) !== 0
  const main = reader.u64()
  const sub = flags & HAS_SUB ? reader.u32() : 0
  const createRevision = flags & HAS_VERSION ? reader.u64() : main
  const version = flags & HAS_VERSION ? reader.u64() : 1
  const lease = flags & HAS_LEASE ? readLease(reader) : 0n
  const key = keyOf(reader.bytes())
  const value = tombstone ? new Uint8Array(0) : reader.bytes()
  return { key, main, sub, tombstone, createRevision, version, lease, value }
}

class BlockWriter {
  readonly writer = new Writer(BLOCK_BYTES + BLOCK_BYTES / 8)
  checksum: number

  constructor(kind: number, checksum: number) {
    this.checksum = checksum
    this.writer.u32(0)
    this.writer.u32(0)
    this.writer.u8(kind)
  }

  finish(): Uint8Array {
    this.checksum = crc32c(this.writer.since(BLOCK_HEADER_BYTES), this.checksum)
    this.writer.patchU32(0, this.writer.length - BLOCK_HEADER_BYTES)
    this.writer.patchU32(4, this.checksum)
    return this.writer.finish()
  }
}

/** Takes chunks as they come and checks each block before it believes anything in it. */
class Loader {
  readonly #queue = new ByteQueue()
  #checksum: number | null = null
  #blockBytes: number | null = null
  #blockChecksum = 0
  #state: Restored | null = null
  #hasCluster = false
  #last = { main: 0, sub: 0 }
  #count = 0
  #ended = false
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  push(chunk: Uint8Array): void {
    this.#queue.push(chunk)
    while (this.#advance());
  }

  finish(): Restored {
    if (!this.#ended || this.#state === null) throw new CodecError('the snapshot is cut short')
    if (this.#queue.length > 0) throw new CodecError('bytes follow the end of the snapshot')
    return this.#state
  }

  /** Takes the next piece if it is all there. */
  #advance(): boolean {
    if (this.#ended) return false
    if (this.#checksum === null) return this.#takeHeader()
    if (this.#blockBytes === null) return this.#takeBlockHeader()
    const payload = this.#queue.take(this.#blockBytes)
    if (payload === null) return false
    this.#checksum = crc32c(payload, this.#checksum)
    if (this.#checksum !== this.#blockChecksum) throw new CodecError('a block is damaged')
    this.#blockBytes = null
    this.#takeBlock(new Reader(payload))
    return true
  }

  #takeHeader(): boolean {
    const header = this.#queue.take(HEADER.length)
    if (header === null) return false
    const isOurs = HEADER.subarray(0, 4).every((byte, at) => header[at] === byte)
    const version = header[4] ?? 0
    if (!isOurs || version < OLDEST_VERSION || version > (HEADER[4] ?? 0))
      throw new CodecError('not a snapshot of a version that is known here')
    this.#checksum = crc32c(header)
    return true
  }

  #takeBlockHeader(): boolean {
    const header = this.#queue.take(BLOCK_HEADER_BYTES)
    if (header === null) return false
    const reader = new Reader(header)
    this.#blockBytes = reader.u32()
    this.#blockChecksum = reader.u32()
    return true
  }

  #takeBlock(reader: Reader): void {
    const kind = reader.u8()
    if (kind === STATE_BLOCK && this.#state === null) this.#takeState(reader)
    else if (kind === CHANGES_BLOCK && this.#state !== null) this.#takeChanges(reader, this.#state)
    else if (kind === LEASES_BLOCK && this.#state !== null) this.#takeLeases(reader, this.#state)
    else if (kind === CLUSTER_BLOCK && this.#state !== null) this.#takeCluster(reader, this.#state)
    else if (kind === AUTH_BLOCK && this.#state !== null)
      this.#count += loadAuthBlock(reader, this.#state.auth)
    else if (kind === END_BLOCK && this.#state !== null) this.#takeEnd(reader, this.#state)
    else throw new CodecError(`a block of kind ${kind} is out of place`)
  }

  #takeState(reader: Reader): void {
    const revision = reader.u64()
    const compactRevision = reader.u64() - 1
    if (revision < 1 || compactRevision > revision) throw new CodecError('impossible revisions')
    const members = Array.from({ length: reader.count(12) }, () => readMember(reader))
    const renewals = reader.u64()
    reader.end()
    this.#store.leases.loadAt(renewals)
    this.#store.loadAt({ revision, compactRevision })
    const cluster = {
      ...EMPTY_CLUSTER,
      members: new Map(members.map((member) => [member.id, member])),
    }
    this.#state = { store: this.#store, cluster, auth: new AuthStore() }
  }

  #takeCluster(reader: Reader, state: Restored): void {
    if (this.#hasCluster) throw new CodecError('the cluster is described twice')
    this.#hasCluster = true
    const alarms = Array.from({ length: reader.count(5) }, () => readAlarm(reader))
    const isOrdered = alarms.every(
      (alarm, i) => i === 0 || byMember(alarms[i - 1] as Alarm, alarm) < 0,
    )
    if (!isOrdered) throw new CodecError('alarms are out of order')
    const downgradeTarget = reader.string()
    reader.end()
    this.#state = { ...state, cluster: { ...state.cluster, alarms, downgradeTarget } }
  }

  #takeLeases(reader: Reader, { store }: Restored): void {
    while (reader.remaining > 0) {
      store.leases.load(readLeaseState(reader))
      this.#count += 1
    }
  }

  #takeChanges(reader: Reader, { store }: Restored): void {
    while (reader.remaining > 0) {
      const change = readChange(reader)
      this.#checkOrder(change, store.revision)
      store.load(change)
      this.#count += 1
    }
  }

  #checkOrder(change: Change, revision: number): void {
    const { main, sub, createRevision, version } = change
    const last = this.#last
    const isLater = main > last.main || (main === last.main && sub > last.sub)
    const isPossible = main > 1 && main <= revision && createRevision <= main && version >= 1
    if (!isLater || !isPossible) throw new CodecError('a change is out of order')
    this.#last = { main, sub }
  }

  #takeEnd(reader: Reader, { store, auth }: Restored): void {
    if (reader.u64() !== this.#count) throw new CodecError('changes, leases or users are missing')
    reader.end()
    store.leases.checkLoaded()
    auth.checkLoaded()
    this.#ended = true
  }
}
