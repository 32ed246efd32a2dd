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
  /** Those that the revision which is being published concerns. */
  readonly matches: Watch[] = []
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
  readonly #noPut: boolean
  readonly #noDelete: boolean

  constructor(stream: Stream, request: WatchRequest, sink: WatchSink) {
    this.stream = stream
    this.sink = sink
    this.bounds = boundsOf(request)
    this.start = request.startRevision
    this.prevKv = request.prevKv
    this.#noPut = request.noPut
    this.#noDelete = request.noDelete
  }

  get bookmark(): number | null {
    const { bookmark } = this.stream.hub
    const isCurrent = bookmark !== null && !this.isBehind && this.start <= bookmark
    return isCurrent && !this.isEnded ? bookmark : null
  }

  leavesOut(isDelete: boolean): boolean {
    return isDelete ? this.#noDelete : this.#noPut
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
