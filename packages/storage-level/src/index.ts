import type { Storage } from '@coracle/raft-core'
import { ClassicLevel } from 'classic-level'
import { LevelStorage } from './level-storage.ts'

export { StorageError, type StorageErrorCode } from './errors.ts'

/**
 * What LevelDB gathers in memory and in its journal before it writes a table. LevelDB's own 4 MiB
 * make it rewrite tables so often that appends stall; much more makes opening slow.
 */
const WRITE_BUFFER_BYTES = 16 << 20

export interface LevelStorageOptions {
  /** The data directory. It is created if it is missing, and belongs to one storage at a time. */
  readonly location: string
  /**
   * Wait until the disk has what is written. Without it a crash of the process loses nothing, but a
   * power cut may lose what was acknowledged, which Raft does not survive. Default true.
   */
  readonly fsync?: boolean
}

export interface LevelDbStorage extends Storage {
  /**
   * Has LevelDB rewrite its tables now, without what was deleted or replaced. Reading and writing go
   * on beside it. It does so by itself as well, sooner or later.
   */
  defragment(): Promise<void>
}

/**
 * A storage in a directory, on LevelDB. Nothing is opened before `load`, which rejects with a
 * {@link StorageError} if the directory is in use, damaged, or something else.
 */
export function levelStorage(options: LevelStorageOptions): LevelDbStorage {
  const { location, fsync = true } = options
  if (typeof location !== 'string' || location === '')
    throw new TypeError('location must be the path of a directory')
  return new LevelStorage(location, {
    fsync,
    createEngine: (path) =>
      new ClassicLevel(path, {
        keyEncoding: 'view',
        valueEncoding: 'view',
        writeBufferSize: WRITE_BUFFER_BYTES,
      }),
  })
}
