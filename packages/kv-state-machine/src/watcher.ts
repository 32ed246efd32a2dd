import { Circle } from './circle.ts'
import { type Bounds, boundsOf } from './key.ts'
import type { Watcher, WatchEvent, WatchRequest, WatchSink, WatchStream } from './watch.ts'

/** What a stream and its watchers need of the hub that they belong to. */
export interface Hub {
  /** Everything up to this was published; null if there is more to publish. */
  readonly bookmark: number | null
  add(watch: Watch): void
  remove(watch: Watch): void
  removeStream(stream: Stream): void
  /** Notes whether the stream has something to read and may read it. */
  refresh(stream: Stream): void
}

export class Stream implements WatchStream {
  readonly hub: Hub
  readonly schedule: (turn: () => void) => void
  readonly watches: Set<Watch> = new Set()
  /** Those of its watchers that have to read the past. */
  readonly behind: Circle<Watch> = new Circle()
  /**
   * The watcher that the revision which is being published concerns first; each knows the next. An
   * array of its own for each stream would cost as much as all else that is done for a watcher.
   */
  firstMatch: Watch | null = null
  #lastMatch: Watch | null = null
  isPaused: boolean = false
  #isDisposed = false

  constructor(hub: Hub, schedule: (turn: () => void) => void) {
    this.hub = hub
    this.schedule = schedule
  }

  get bookmark(): number | null {
    const { bookmark } = this.hub
    if (bookmark === null || this.watches.size === 0) return null
    for (const watch of this.watches) if (watch.bookmark === null) return null
    return bookmark
  }

  watch(request: WatchRequest, sink: WatchSink): Watcher {
    if (this.#isDisposed) throw new TypeError('the watch stream is disposed')
    const watch = new Watch(this, request, sink)
    this.watches.add(watch)
    this.hub.add(watch)
    return watch
  }

  match(watch: Watch): void {
    if (this.#lastMatch === null) this.firstMatch = watch
    else this.#lastMatch.nextMatch = watch
    this.#lastMatch = watch
  }

  takeMatches(): Watch | null {
    const first = this.firstMatch
    this.firstMatch = null
    this.#lastMatch = null
    return first
  }

  pause(): void {
    this.isPaused = true
    this.hub.refresh(this)
  }

  resume(): void {
    this.isPaused = false
    this.hub.refresh(this)
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true
    for (const watch of this.watches) watch.cancel()
    this.hub.removeStream(this)
  }
}

export class Watch implements Watcher {
  readonly stream: Stream
  readonly sink: WatchSink
  readonly bounds: Bounds
  readonly prevKv: boolean
  /** The first revision wanted, 0 for whatever comes next: no bookmark below it means anything. */
  start: number
  /** Nothing below is told, because it was told, or is not wanted. */
  next: number = 0
  /** Whether it has to read the past, from `next` on. */
  isBehind: boolean = false
  isEnded: boolean = false
  /** Its events of the revision that is being published. One alone is shared: never add to it. */
  collected: WatchEvent[] | null = null
  /** Who of its stream is told after it of the revision that is being published. */
  nextMatch: Watch | null = null
  readonly #leftOut: 'none' | 'puts' | 'deletes' | 'all'

  constructor(stream: Stream, request: WatchRequest, sink: WatchSink) {
    this.stream = stream
    this.sink = sink
    this.bounds = boundsOf(request)
    this.start = request.startRevision
    this.prevKv = request.prevKv
    const { noPut, noDelete } = request
    if (noPut) this.#leftOut = noDelete ? 'all' : 'puts'
    else this.#leftOut = noDelete ? 'deletes' : 'none'
  }

  get bookmark(): number | null {
    const { bookmark } = this.stream.hub
    const isCurrent = bookmark !== null && !this.isBehind && this.start <= bookmark
    return isCurrent && !this.isEnded ? bookmark : null
  }

  leavesOut(isDelete: boolean): boolean {
    if (this.#leftOut === 'none') return false
    return this.#leftOut === 'all' || (this.#leftOut === 'deletes') === isDelete
  }

  takeNextMatch(): Watch | null {
    const next = this.nextMatch
    this.nextMatch = null
    return next
  }

  /** It has been told everything before this revision, which was not published yet. */
  waitFor(revision: number): void {
    this.catchUp()
    this.next = Math.max(this.next, revision)
    this.start = Math.max(this.start, revision - 1)
  }

  /** From `next` on it has to read the past. */
  fallBehind(next: number): void {
    this.next = next
    this.isBehind = true
    this.stream.behind.add(this)
    this.stream.hub.refresh(this.stream)
  }

  catchUp(): void {
    this.isBehind = false
    this.stream.behind.delete(this)
  }

  cancel(): void {
    if (this.isEnded) return
    this.isEnded = true
    this.stream.hub.remove(this)
    this.catchUp()
    this.stream.watches.delete(this)
    this.stream.hub.refresh(this.stream)
  }
}
