import type { Entry, HardState, LogIndex, Position, SnapshotMeta, TermRun } from '../types.ts'

/**
 * Where one node keeps what must survive a crash (Fig. 2, persistent state; thesis 3.8).
 *
 * A storage keeps three things: the hard state, the log, and the newest snapshot. It knows nothing
 * of Raft: it does what it is told, as a unit, and says when it is durable.
 *
 * The node calls `load` once, before anything else. It has at most one `append` or `compact` under
 * way at a time; `entries`, `readSnapshot` and one `writeSnapshot` may run beside it. Whoever
 * opened a storage disposes it; then no other call is under way or follows, and of the chunks of a
 * snapshot nobody has left off reading without returning them.
 *
 * Whatever is handed in belongs to both sides from then on and is never changed by either.
 *
 * A rejected `append`, `compact` or `writeSnapshot` is fatal to the node: after a failed write
 * nobody knows what is on the disk, and asking again does not tell.
 */
export interface Storage extends AsyncDisposable {
  /**
   * What is needed to restart. A storage that was never written to answers {@link Stored} with
   * nothing in it. A second call is refused with a TypeError, so that nobody works on a storage that
   * somebody else is using.
   */
  load(): Promise<Stored>

  /**
   * Persists one batch as a unit and resolves when it is durable. A crash at any moment leaves
   * either all of the batch or none of it; once the promise has resolved, all of it. Entries that
   * leave a gap, after the log or among themselves, or that begin at or before `compacted`, are
   * refused with a RangeError, and nothing changes.
   */
  append(batch: AppendBatch): Promise<void>

  /**
   * The entries in [from, to), from the first on as many as fit in `maxBytes` of data, but at least
   * one. Rejects with `COMPACTED` if `from` is no longer in the log, and with a RangeError if the
   * range is empty or reaches beyond the last entry. Beside an `append` that replaces entries, or a
   * `compact`, the answer is the one from before it or the one from after it.
   */
  entries(
    from: LogIndex,
    to: LogIndex,
    options: { readonly maxBytes: number },
  ): Promise<readonly Entry[]>

  /**
   * Forgets the entries up to and including `position`, which the newest snapshot covers. Those
   * before the first entry are forgotten already; a position beyond the last entry is refused with a
   * RangeError. It need not be durable when it resolves: a crash
   * may bring forgotten entries back, from some index on and without a gap.
   */
  compact(position: Position): Promise<void>

  /**
   * Stores a snapshot in place of the one before it and resolves when it is durable. The log stays
   * as it is. A crash at any moment leaves the old snapshot or the new one, whole. If `chunks`
   * fails, the promise rejects with that error, and the old snapshot stays: this is not fatal.
   *
   * What `chunks` gave before it failed is set aside, for one snapshot at a time. A call with `after`,
   * the number of bytes set aside by the last call and those before that it went on from, goes on
   * behind them; another `after` is refused with a RangeError, and changes nothing. What is set aside
   * is gone after any other `writeSnapshot`, after `dropUnfinished`, and when the storage is opened
   * again.
   */
  writeSnapshot(
    meta: SnapshotMeta,
    chunks: AsyncIterable<Uint8Array>,
    options?: { readonly after?: number },
  ): Promise<void>

  /** Removes what a `writeSnapshot` that failed set aside. Not beside a `writeSnapshot`. */
  dropUnfinished(): Promise<void>

  /**
   * The newest snapshot, or null. `chunks` can be read to the end even when a newer snapshot is
   * stored meanwhile, and fails rather than give a byte that is not as it was written. They may be
   * cut in other places than they were when written.
   */
  readSnapshot(): Promise<StoredSnapshot | null>
}

/** What a storage remembers, at a glance. It holds no entry but the few that change the membership. */
export interface Stored {
  readonly hardState: HardState
  /** The newest snapshot, or null. After a crash between the two the log may not hold its last entry. */
  readonly snapshot: SnapshotMeta | null
  /** The position just before the first entry; `ORIGIN` if nothing was ever forgotten. */
  readonly compacted: Position
  /** The last entry's index, or `compacted.index` if the log is empty. */
  readonly lastIndex: LogIndex
  /**
   * The term of every entry after `compacted`, as runs in ascending order: the first begins with the
   * first entry, each further one where the term changes. None if the log is empty.
   */
  readonly termRuns: readonly TermRun[]
  /** Every entry of type `membership` in the log, in ascending order. */
  readonly memberships: readonly Entry[]
}

/** One write. The parts that are present are carried out in the order of the fields. */
export interface AppendBatch {
  /** Forget the whole log: it now begins after this position (a snapshot took its place). */
  readonly reset: Position | null
  /**
   * Entries with consecutive indexes, or none. Entries in the log at and above the first of them
   * are replaced: the last of these becomes the last entry of the log.
   */
  readonly entries: readonly Entry[]
  readonly hardState: HardState | null
}

/** A snapshot that can be read. Reading it once is enough for anybody; a second pass need not work. */
export interface StoredSnapshot {
  readonly meta: SnapshotMeta
  /** How long it is: what the chunks come to. */
  readonly bytes: number
  readonly chunks: AsyncIterable<Uint8Array>
}
