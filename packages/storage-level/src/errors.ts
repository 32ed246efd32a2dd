/**
 * Why a storage cannot go on, by what there is to do about it.
 *
 * | code | what now? |
 * |---|---|
 * | `LOCKED` | stop the other process that uses the directory, or use another directory |
 * | `NOT_A_STORAGE` | use another directory: this one holds something else |
 * | `NEWER_FORMAT` | run the newer version that wrote the directory |
 * | `CORRUPT` | replace this member of the cluster: what it promised its peers may be lost |
 * | `IO_FAILED` | look at `cause`: a full disk, missing rights, a failing device; then restart |
 */
export type StorageErrorCode = 'LOCKED' | 'NOT_A_STORAGE' | 'NEWER_FORMAT' | 'CORRUPT' | 'IO_FAILED'

/** The `code` is part of the API; the message names the directory, is for people, and may change. */
export class StorageError extends Error {
  override readonly name = 'StorageError'
  readonly code: StorageErrorCode
  /** The data directory. */
  readonly location: string

  constructor(
    code: StorageErrorCode,
    message: string,
    options: { readonly location: string; readonly cause?: unknown },
  ) {
    super(
      `data directory ${options.location} ${message}`,
      'cause' in options ? { cause: options.cause } : undefined,
    )
    this.code = code
    this.location = options.location
  }
}

/** What to do about damage. What the node promised its peers may be lost, so it must not come back. */
export const REPLACE = 'replace this member of the cluster by a new one'
