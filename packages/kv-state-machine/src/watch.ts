/**
 * Watching: what a client can ask to be told of, and how it is told.
 *
 * A watcher is told of every change of its keys from a revision on: in the order of revisions, each
 * once, none left out, all changes of one revision together. One that keeps up is told while the
 * command is applied. One that does not (because it starts in the past or its stream was paused)
 * reads what it missed from the history, a helping at a time, so that it costs no memory to be slow.
 */
import type { KeyInterval, KeyValue } from './types.ts'

export interface WatchRequest extends KeyInterval {
  /** The first revision wanted; 0 or less for whatever comes next. May lie in the past or future. */
  readonly startRevision: number
  /** Tell with each event what the key held before its revision. */
  readonly prevKv: boolean
  readonly noPut: boolean
  readonly noDelete: boolean
}

export interface WatchEvent {
  readonly type: 'put' | 'delete'
  /** The pair as it was put. Of a deleted key only `key` and `modRevision` are set. */
  readonly kv: KeyValue
  /**
   * The pair as of the revision before; null if there was none, if it was not asked for, or if
   * compaction has passed that revision.
   */
  readonly prevKv: KeyValue | null
}

/** All of a watcher's events of one or more whole revisions. */
export interface WatchBatch {
  /** The watcher has now been told everything up to this revision: it may go on from the next. */
  readonly revision: number
  /** In the order of revisions and, within one, of changes. At least one. */
  readonly events: readonly WatchEvent[]
}

/**
 * Where a watcher's events go. Called in the middle of applying or of catching up, so it must not
 * throw and must not call the state machine's `apply` or `restore`; it may pause its stream.
 */
export interface WatchSink {
  events(batch: WatchBatch): void
  /** The watcher has ended: what it should be told next is compacted. Nothing below may be watched. */
  compacted(compactRevision: number): void
}

export interface Watcher {
  /**
   * A revision up to which this watcher has been told everything; null if it is still reading the
   * past, waits for its start in the future, or has ended.
   */
  readonly bookmark: number | null
  /** Ends it: its sink is not called again. Idempotent. */
  cancel(): void
}

/** Watchers that share one way out, and so one pace. Disposing it cancels them all. */
export interface WatchStream extends Disposable {
  /** The same as {@link Watcher.bookmark} for all its watchers together; null if there are none. */
  readonly bookmark: number | null
  /** Begins to watch. The sink is not called before this has returned. */
  watch(request: WatchRequest, sink: WatchSink): Watcher
  /** From now on no sink is called. What its watchers miss they are told after {@link resume}. */
  pause(): void
  resume(): void
}

export interface WatchCounts {
  readonly streams: number
  readonly watchers: number
  /** Watchers that are told of the past, because they began there or were paused. */
  readonly behind: number
}

export interface WatchStreamOptions {
  /**
   * Runs `turn` once, soon, and never within this call. In a turn some of those that are behind read
   * some history, and then another turn is asked for: of any stream, whoever it is that is behind,
   * so this must run it even if the stream is disposed by then.
   */
  readonly schedule: (turn: () => void) => void
}
