/**
 * The file that `etcdctl snapshot save` writes: 512 bytes that say what it is, the state machine's
 * own snapshot, zeros up to the next multiple of 512, and the SHA-256 of all of it. The multiple is
 * what etcdctl tells a whole file by.
 */
import { createHash } from 'node:crypto'
import type { KvStateMachine } from '@coracle/kv-state-machine'
import { CodecError, Reader, Writer } from '@coracle/raft-core/codec'
import { ETCD_STORAGE_VERSION } from './version.ts'

export const SNAPSHOT_BLOCK_BYTES = 512
export const SNAPSHOT_DIGEST_BYTES = 32

const MAGIC = 'coracle snapshot\n'
const FORMAT = 1
const CHUNK_BYTES = 32 * 1024
/** So much is counted before others get their turn. */
const BYTES_PER_TURN = 1 << 20

/** What a snapshot file says of itself. */
export interface SnapshotInfo {
  /** How long the state machine's snapshot is, which begins after the first 512 bytes. */
  readonly payloadBytes: number
  readonly revision: number
  readonly keyCount: number
  /** etcd's storage version that goes with it. */
  readonly version: string
}

/** A piece of the file, and how much is to come after it. */
export interface SnapshotPiece {
  readonly bytes: Uint8Array
  readonly remainingBytes: number
}

/**
 * The store as it is now, in pieces of 32 KiB, of which the last is the digest. What is to come is
 * told with each, so all is counted first: the store stands still meanwhile, at the cost of copies of
 * what changes, and `turn` is awaited now and then.
 */
export async function* snapshotPieces(
  stateMachine: KvStateMachine,
  turn: () => Promise<void>,
): AsyncGenerator<SnapshotPiece> {
  const counted = stateMachine.snapshot()
  const sent = stateMachine.snapshot()
  const { revision, keyCount } = stateMachine
  const payloadBytes = await countBytes(counted, turn)
  const header = encodeInfo({ payloadBytes, revision, keyCount, version: ETCD_STORAGE_VERSION })
  let remainingBytes = SNAPSHOT_BLOCK_BYTES * (1 + Math.ceil(payloadBytes / SNAPSHOT_BLOCK_BYTES))
  const padding = remainingBytes - SNAPSHOT_BLOCK_BYTES - payloadBytes
  const digest = createHash('sha256')
  for await (const bytes of pieces(contents(header, sent, new Uint8Array(padding)))) {
    digest.update(bytes)
    remainingBytes -= bytes.length
    yield { bytes, remainingBytes }
  }
  yield { bytes: new Uint8Array(digest.digest()), remainingBytes: 0 }
}

/** Reads the first 512 bytes. Throws a CodecError if they do not begin a snapshot. */
export function decodeSnapshotInfo(block: Uint8Array): SnapshotInfo {
  const magic = new TextEncoder().encode(MAGIC)
  if (!magic.every((byte, at) => block[at] === byte)) throw new CodecError('not a snapshot')
  const reader = new Reader(block.subarray(magic.length))
  const format = reader.u32()
  if (format !== FORMAT)
    throw new CodecError(`a snapshot of format ${format}, which is not known here`)
  return {
    payloadBytes: reader.u64(),
    revision: reader.u64(),
    keyCount: reader.u64(),
    version: reader.string(),
  }
}

function encodeInfo(info: SnapshotInfo): Uint8Array {
  const writer = new Writer(SNAPSHOT_BLOCK_BYTES)
  writer.raw(new TextEncoder().encode(MAGIC))
  writer.u32(FORMAT)
  writer.u64(info.payloadBytes)
  writer.u64(info.revision)
  writer.u64(info.keyCount)
  writer.string(info.version)
  const block = new Uint8Array(SNAPSHOT_BLOCK_BYTES)
  block.set(writer.finish())
  return block
}

async function countBytes(
  chunks: AsyncIterable<Uint8Array>,
  turn: () => Promise<void>,
): Promise<number> {
  let bytes = 0
  let atTurn = 0
  for await (const chunk of chunks) {
    bytes += chunk.length
    if (bytes - atTurn < BYTES_PER_TURN) continue
    atTurn = bytes
    await turn()
  }
  return bytes
}

async function* contents(
  header: Uint8Array,
  payload: AsyncIterable<Uint8Array>,
  padding: Uint8Array,
): AsyncGenerator<Uint8Array> {
  yield header
  yield* payload
  yield padding
}

/** Cuts anew, into pieces of one size but for the last. */
async function* pieces(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let piece = new Uint8Array(CHUNK_BYTES)
  let filled = 0
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length;) {
      const some = chunk.subarray(at, at + CHUNK_BYTES - filled)
      piece.set(some, filled)
      filled += some.length
      at += some.length
      if (filled < CHUNK_BYTES) continue
      yield piece
      piece = new Uint8Array(CHUNK_BYTES)
      filled = 0
    }
  }
  if (filled > 0) yield piece.subarray(0, filled)
}
