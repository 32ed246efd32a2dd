/**
 * What storages keep, as bytes. `encode` and `decode` deal in whole records, which begin with their
 * version; `write` and `read` in the bare fields, for records and messages that contain them.
 *
 * Memberships and what describes snapshots travel from node to node in entries and streams, so an
 * older node may meet those of a newer one: a later version only adds fields at the end, and a
 * reader passes over those that it does not know. The rest stays on one disk, and is refused in any
 * other version: what a reader cannot know it must not guess.
 */
import type {
  Entry,
  EntryType,
  HardState,
  Membership,
  NodeId,
  Peer,
  Position,
  SnapshotMeta,
  TermRun,
} from '../types.ts'
import { CodecError, Reader, Writer } from './bytes.ts'

/** The version that is written. */
export const RECORD_VERSION = 1

/** What an encoded entry takes beside its data, in bytes. */
export const ENTRY_OVERHEAD_BYTES = 22

/** Two lengths, of an id and of an address. */
const LEAST_PEER_BYTES = 5

const ENTRY_TYPES: readonly EntryType[] = ['command', 'no-op', 'membership']

export function encodeEntry(entry: Entry): Uint8Array {
  return encode(entry, writeEntry, ENTRY_OVERHEAD_BYTES + entry.data.byteLength)
}

/** The entry's `data` is a view into `bytes`. */
export function decodeEntry(bytes: Uint8Array): Entry {
  return decode(bytes, readEntry)
}

export function encodeHardState(hardState: HardState): Uint8Array {
  return encode(hardState, writeHardState)
}

export function decodeHardState(bytes: Uint8Array): HardState {
  return decode(bytes, readHardState)
}

/** This is also the `data` of an entry of type `membership`. Throws a RangeError for what breaks the rules of {@link Membership}. */
export function encodeMembership(membership: Membership): Uint8Array {
  return encode(membership, writeMembership)
}

export function decodeMembership(bytes: Uint8Array): Membership {
  return decode(bytes, readMembership, { travels: true })
}

export function encodeSnapshotMeta(meta: SnapshotMeta): Uint8Array {
  return encode(meta, writeSnapshotMeta)
}

export function decodeSnapshotMeta(bytes: Uint8Array): SnapshotMeta {
  return decode(bytes, readSnapshotMeta, { travels: true })
}

export function encodeTermRuns(runs: readonly TermRun[]): Uint8Array {
  return encode(runs, writeTermRuns)
}

export function decodeTermRuns(bytes: Uint8Array): readonly TermRun[] {
  return decode(bytes, readTermRuns)
}

export function writePosition(writer: Writer, position: Position): void {
  writer.u64(position.term)
  writer.u64(position.index)
}

export function readPosition(reader: Reader): Position {
  return { term: reader.u64(), index: reader.u64() }
}

export function writeEntry(writer: Writer, entry: Entry): void {
  writer.u64(entry.index)
  writer.u64(entry.term)
  writer.u8(ENTRY_TYPES.indexOf(entry.type))
  writer.bytes(entry.data)
}

export function readEntry(reader: Reader): Entry {
  const index = reader.u64()
  if (index === 0) throw new CodecError('no entry has index 0')
  const term = reader.u64()
  const type = ENTRY_TYPES[reader.u8()]
  if (type === undefined) throw new CodecError('an entry has an unknown type')
  return { index, term, type, data: reader.bytes() }
}

export function writeHardState(writer: Writer, hardState: HardState): void {
  writer.u64(hardState.term)
  writer.boolean(hardState.votedFor !== null)
  if (hardState.votedFor !== null) writer.shortString(hardState.votedFor)
  writer.u64(hardState.commitIndex)
}

export function readHardState(reader: Reader): HardState {
  const term = reader.u64()
  const votedFor = reader.boolean() ? reader.shortString() : null
  return { term, votedFor, commitIndex: reader.u64() }
}

export function writeMembership(writer: Writer, membership: Membership): void {
  const fault = faultOf(membership)
  if (fault !== null) throw new RangeError(fault)
  writeIds(writer, membership.voters)
  writeIds(writer, membership.outgoing)
  writeIds(writer, membership.learners)
  writePeers(writer, membership.peers)
  writePeers(writer, membership.removed)
}

export function readMembership(reader: Reader): Membership {
  const voters = readIds(reader)
  const outgoing = readIds(reader)
  const learners = readIds(reader)
  const peers = readPeers(reader)
  const removed = readPeers(reader)
  const membership = { voters, outgoing, learners, peers, removed }
  const fault = faultOf(membership)
  if (fault !== null) throw new CodecError(fault)
  return membership
}

export function writeSnapshotMeta(writer: Writer, meta: SnapshotMeta): void {
  writePosition(writer, meta.position)
  writeMembership(writer, meta.membership)
  writer.u64(meta.membershipIndex)
}

export function readSnapshotMeta(reader: Reader): SnapshotMeta {
  const position = readPosition(reader)
  const membership = readMembership(reader)
  const membershipIndex = reader.u64()
  if (membershipIndex > position.index)
    throw new CodecError('a snapshot has a membership that comes after it')
  return { position, membership, membershipIndex }
}

export function writeTermRuns(writer: Writer, runs: readonly TermRun[]): void {
  if (!areAscending(runs)) throw new RangeError('term runs must ascend')
  writer.u32(runs.length)
  for (const run of runs) {
    writer.u64(run.from)
    writer.u64(run.term)
  }
}

export function readTermRuns(reader: Reader): readonly TermRun[] {
  const runs: TermRun[] = []
  for (let left = reader.count(16); left > 0; left--)
    runs.push({ from: reader.u64(), term: reader.u64() })
  if (!areAscending(runs)) throw new CodecError('term runs must ascend')
  return runs
}

function encode<T>(
  value: T,
  write: (writer: Writer, value: T) => void,
  capacityBytes: number = 64,
): Uint8Array {
  const writer = new Writer(capacityBytes)
  writer.u8(RECORD_VERSION)
  write(writer, value)
  return writer.finish()
}

function decode<T>(
  bytes: Uint8Array,
  read: (reader: Reader) => T,
  { travels }: { readonly travels: boolean } = { travels: false },
): T {
  const reader = new Reader(bytes)
  const version = reader.u8()
  const isLater = version > RECORD_VERSION
  if (version === 0 || (isLater && !travels))
    throw new CodecError(`a record has version ${version}, and only ${RECORD_VERSION} is known`)
  const value = read(reader)
  if (!isLater) reader.end()
  return value
}

function writePeers(writer: Writer, peers: readonly Peer[]): void {
  writer.u32(peers.length)
  for (const peer of peers) {
    writer.shortString(peer.id)
    writer.string(peer.address)
  }
}

function readPeers(reader: Reader): readonly Peer[] {
  const peers: Peer[] = []
  for (let left = reader.count(LEAST_PEER_BYTES); left > 0; left--)
    peers.push({ id: reader.shortString(), address: reader.string() })
  return peers
}

function writeIds(writer: Writer, ids: readonly NodeId[]): void {
  writer.u32(ids.length)
  for (const id of ids) writer.shortString(id)
}

function readIds(reader: Reader): readonly NodeId[] {
  const ids: NodeId[] = []
  for (let left = reader.count(1); left > 0; left--) ids.push(reader.shortString())
  return ids
}

/** What breaks the rules that are written at {@link Membership}, or null. */
function faultOf({ voters, outgoing, learners, peers, removed }: Membership): string | null {
  const ids = peers.map((peer) => peer.id)
  if (![voters, outgoing, learners, ids].every(areSorted))
    return 'a list of a membership is not sorted, or holds an id twice'
  const named = new Set([...voters, ...outgoing, ...learners])
  if (named.size !== ids.length || !ids.every((id) => named.has(id)))
    return 'a membership names other nodes than it has addresses for'
  const gone = new Set(removed.map((peer) => peer.id))
  return gone.size === removed.length && ids.every((id) => !gone.has(id))
    ? null
    : 'a removed node is named twice, or is a member'
}

function areSorted(ids: readonly NodeId[]): boolean {
  return ids.every((id, i) => i === 0 || (ids[i - 1] as NodeId) < id)
}

/** Terms only grow along a log, and a run ends where another term begins (§5.3). */
function areAscending(runs: readonly TermRun[]): boolean {
  return runs.every((run, i) => {
    const previous = runs[i - 1]
    return previous === undefined || (previous.from < run.from && previous.term < run.term)
  })
}
