/** A snapshot in a file, as `etcdctl snapshot save` leaves it: read, checked and described. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import {
  decodeSnapshotInfo,
  SNAPSHOT_BLOCK_BYTES,
  SNAPSHOT_DIGEST_BYTES,
  type SnapshotInfo,
} from '@coracle/etcd-api'

/** Why a file cannot be used. The message is a sentence. */
export class SnapshotError extends Error {
  override readonly name = 'SnapshotError'
}

export interface SnapshotFile extends SnapshotInfo {
  readonly path: string
  readonly sizeBytes: number
}

export async function describeSnapshot(path: string): Promise<SnapshotFile> {
  const block = new Uint8Array(SNAPSHOT_BLOCK_BYTES)
  const sizeBytes = await reportFailure(path, async () => {
    const file = await open(path)
    try {
      await file.read(block, 0, block.length, 0)
    } finally {
      await file.close()
    }
    return (await stat(path)).size
  })
  const info = await reportFailure(path, () => Promise.resolve(decodeSnapshotInfo(block)))
  if (sizeBytes < SNAPSHOT_BLOCK_BYTES + info.payloadBytes)
    throw new SnapshotError(`snapshot ${path} is cut short`)
  return { ...info, path, sizeBytes }
}

/** Whether it ends with the SHA-256 of all before. Throws a {@link SnapshotError} in etcd's words if not. */
export async function checkDigest({ path, sizeBytes }: SnapshotFile): Promise<void> {
  if (sizeBytes % SNAPSHOT_BLOCK_BYTES !== SNAPSHOT_DIGEST_BYTES)
    throw new SnapshotError('snapshot missing hash but --skip-hash-check=false')
  const end = sizeBytes - SNAPSHOT_DIGEST_BYTES
  const hash = createHash('sha256')
  for await (const chunk of bytesOf(path, 0, end)) hash.update(chunk)
  const found = hash.digest('hex')
  let wanted = ''
  for await (const chunk of bytesOf(path, end, sizeBytes))
    wanted += Buffer.from(chunk).toString('hex')
  if (found !== wanted) throw new SnapshotError(`expected sha256 [${wanted}], got [${found}]`)
}

/** The state machine's own snapshot. */
export function payloadOf({ path, payloadBytes }: SnapshotFile): AsyncIterable<Uint8Array> {
  return bytesOf(path, SNAPSHOT_BLOCK_BYTES, SNAPSHOT_BLOCK_BYTES + payloadBytes)
}

async function* bytesOf(path: string, from: number, to: number): AsyncGenerator<Uint8Array> {
  if (from >= to) return
  for await (const chunk of createReadStream(path, { start: from, end: to - 1 }))
    yield new Uint8Array(chunk as Buffer)
}

async function reportFailure<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new SnapshotError(`snapshot ${path} cannot be read: ${why}`, { cause })
  }
}
