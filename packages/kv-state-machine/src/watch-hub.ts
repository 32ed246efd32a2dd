import { forEachChange } from './change-log.ts'
import { eventOf, isWithin, visitChanges } from './history.ts'
import { IntervalIndex } from './interval-index.ts'
import { type Bounds, boundsOf } from './key.ts'
import type { Segment, Sequence } from './segment.ts'
import type { Store } from './store.ts'
import type {
  Watcher,
  WatchEvent,
  WatchRequest,
  WatchSink,
  WatchStream,
  WatchStreamOptions,
} from './watch.ts'

/** How much of the history those that are behind read at a time. */
export interface ReplayPace {
  /** Changes looked at in one turn, by all of them together. */
  readonly changesPerTurn: number
  /** Bytes of keys and values in one batch; a revision that is larger is a batch to itself. */
  readonly batchBytes: number
}

/** Like etcd, never more revisions than these in one batch. */
const BATCH_REVISIONS = 1000
/** What beginning to read costs, in changes, so that a turn of many who find nothing ends too. */
const HELPING_COST = 8

/**
 * All watchers of one state machine. Whoever keeps up is found by the index of intervals when a
 * revision is published, which happens while the command that made it is applied. Only after
 * {@link replaceStore} is publishing behind the store, and then catches up in turns.
 *
 * A watcher is *behind* if it needs revisions that were published before: the history is read for
 * it alone, from `next` on. Everybody else has been told all that was published.
 */
export class WatchHub {
  readonly #pace: ReplayPace
  readonly #index = new IntervalIndex<Watch>()
  readonly #streams = new Set<Stream>()
  /** Streams that have watchers behind and are not paused, in the order of their turns. */
  readonly #ready = new Set<Stream>()
  #store: Store
  /** The last revision that was published, and where the log goes on after it. */
  #published: number
  #position: Sequence
  #isPublishing = false
  #turnIsComing = false

  constructor(store: Store, pace: ReplayPace) {
    this.#store = store
    this.#pace = pace
    this.#published = store.revision
    this.#position = store.log.end
  }

  openStream(options: WatchStreamOptions): WatchStream {
    const stream = new Stream(this, options.schedule)
    this.#streams.add(stream)
    return stream
  }

  /** Everything up to this was published, if nothing waits to be. */
  get bookmark(): number | null {
    const isCurrent = this.#published === this.#store.revision && !this.#isPublishing
    return isCurrent ? this.#published : null
  }

  /** Tells of what the last command changed. Called after each command. */
  publish(): void {
    const { revision } = this.#store
    if (revision === this.#published) return
    if (this.#index.size === 0) this.#skip()
    else if (revision === this.#published + 1) this.#publishSome(Infinity)
    else this.#askForTurn()
  }

  /** Goes on with another store, whose history is the same as far as both know it. */
  replaceStore(store: Store): void {
    const told = this.#published
    this.#store = store
    if (this.#index.size === 0) return this.#skip()
    // What was told already is not told again when it comes back.
    if (store.revision < told) this.#goBack(told)
    this.#position = store.endOfRevision(this.#published)
    this.#askForTurn()
  }

  add(watch: Watch): void {
    if (this.#index.size === 0) this.#skip()
    watch.next = watch.start > 0 ? watch.start : this.#store.revision + 1
    this.#index.add(watch.bounds, watch)
    if (watch.next <= this.#published) this.#fallBehind(watch, watch.next)
  }

  remove(watch: Watch): void {
    this.#index.remove(watch.bounds, watch)
  }

  removeStream(stream: Stream): void {
    this.#streams.delete(stream)
    this.#ready.delete(stream)
  }

  /** Notes whether the stream has something to read and may read it. */
  refresh(stream: Stream): void {
    if (stream.isPaused || stream.behind.size === 0) {
      this.#ready.delete(stream)
      return
    }
    this.#ready.add(stream)
    this.#askForTurn()
  }

  #skip(): void {
    this.#published = this.#store.revision
    this.#position = this.#store.log.end
  }

  #goBack(told: number): void {
    this.#published = this.#store.revision
    for (const stream of this.#streams) {
      for (const watch of stream.watches) {
        if (watch.isBehind && watch.next <= this.#published) continue
        watch.waitFor(watch.isBehind ? watch.next : told + 1)
        stream.leaveBehind(watch)
      }
    }
  }

  #fallBehind(watch: Watch, next: number): void {
    watch.next = next
    watch.isBehind = true
    watch.stream.behind.add(watch)
    this.refresh(watch.stream)
  }

  /** Publishes at least one revision, if there are any, and answers how many changes it looked at. */
  #publishSome(limit: number): number {
    if (this.#published + 1 < this.#store.compactRevision) {
      this.#giveUpPublishing()
      return 0
    }
    const matches: Match[] = []
    let revision = this.#published
    let count = 0
    let isWhole = true
    forEachChange(this.#store.log, { from: this.#position, to: Infinity }, (segment, slot) => {
      const main = segment.main(slot)
      if (main !== revision) {
        this.#tell(revision, matches)
        if (count >= limit) {
          isWhole = false
          return false
        }
        revision = main
      }
      count += 1
      this.#position = segment.sequenceAt(slot) + 1
      this.#collect(segment, slot, matches)
      return true
    })
    this.#tell(isWhole ? this.#store.revision : revision, matches)
    return count
  }

  /** What was not published is compacted: whoever needs it must end, which each finds out alone. */
  #giveUpPublishing(): void {
    const next = this.#published + 1
    this.#skip()
    for (const stream of this.#streams) {
      for (const watch of stream.watches) {
        if (watch.isBehind || watch.next > this.#published) continue
        this.#fallBehind(watch, Math.max(watch.next, next))
      }
    }
  }

  #collect(segment: Segment, slot: number, matches: Match[]): void {
    const main = segment.main(slot)
    const isDelete = segment.isTombstone(slot)
    // Watchers share the events.
    let bare: WatchEvent | null = null
    let full: WatchEvent | null = null
    this.#index.forEach(segment.key(slot), (watch) => {
      if (watch.isBehind || main < watch.next || watch.leavesOut(isDelete)) return
      if (watch.stream.isPaused) return this.#fallBehind(watch, main)
      const event = watch.prevKv
        ? (full ??= eventOf(this.#store, { segment, slot }, true))
        : (bare ??= eventOf(this.#store, { segment, slot }, false))
      if (watch.collected !== null) watch.collected.push(event)
      else matches.push({ watch, events: (watch.collected = [event]) })
    })
  }

  /** Ends the publishing of one revision: everybody is told all of it at once. */
  #tell(revision: number, matches: Match[]): void {
    this.#published = revision
    this.#isPublishing = true
    for (const { watch, events } of matches) {
      watch.collected = null
      if (watch.isEnded || watch.isBehind) continue
      // One that was told before it in this loop may have filled their stream.
      if (watch.stream.isPaused) this.#fallBehind(watch, revision)
      else watch.sink.events({ revision, events })
    }
    this.#isPublishing = false
    matches.length = 0
  }

  #askForTurn(): void {
    const [stream] = this.#ready.size > 0 ? this.#ready : this.#streams
    const isIdle = this.#ready.size === 0 && this.#published === this.#store.revision
    if (this.#turnIsComing || isIdle || stream === undefined) return
    this.#turnIsComing = true
    stream.schedule(() => this.#takeTurn())
  }

  /** Streams take turns, and within each its watchers, so that none waits for another's past. */
  #takeTurn(): void {
    this.#turnIsComing = false
    let left = this.#pace.changesPerTurn
    if (this.#published < this.#store.revision) left -= this.#publishSome(left)
    while (left > 0) {
      const [stream] = this.#ready
      if (stream === undefined) break
      this.#ready.delete(stream)
      const [watch] = stream.behind
      if (watch !== undefined) left -= HELPING_COST + this.#replay(watch, left)
      this.refresh(stream)
    }
    this.#askForTurn()
  }

  /** Lets a watcher read some of what it missed; answers how many changes were looked at. */
  #replay(watch: Watch, limit: number): number {
    const { stream } = watch
    stream.leaveBehind(watch)
    if (watch.next < this.#store.compactRevision) {
      watch.cancel()
      watch.sink.compacted(this.#store.compactRevision)
      return 0
    }
    const { events, revision, cost } = this.#readSome(watch, limit)
    watch.next = revision + 1
    if (revision < this.#published) {
      watch.isBehind = true
      stream.behind.add(watch)
    }
    if (events.length > 0) watch.sink.events({ revision, events })
    return cost
  }

  #readSome(watch: Watch, limit: number): Helping {
    const { bounds, prevKv } = watch
    const store = this.#store
    const from = store.endOfRevision(watch.next - 1)
    const events: WatchEvent[] = []
    let revision = this.#published
    let current = 0
    let cost = 0
    let bytes = 0
    let revisions = 0
    visitChanges(store, { bounds, from, to: this.#position }, (segment, slot) => {
      const main = segment.main(slot)
      if (main !== current) {
        const isFull = bytes >= this.#pace.batchBytes || revisions >= BATCH_REVISIONS
        if (cost >= limit || isFull) {
          revision = main - 1
          return false
        }
        current = main
      }
      cost += 1
      if (watch.leavesOut(segment.isTombstone(slot))) return true
      if (!isWithin(segment.key(slot), bounds)) return true
      const event = eventOf(store, { segment, slot }, prevKv)
      if (events[events.length - 1]?.kv.modRevision !== main) revisions += 1
      events.push(event)
      bytes += bytesOfEvent(event)
      return true
    })
    return { events, revision, cost }
  }
}

interface Match {
  readonly watch: Watch
  readonly events: WatchEvent[]
}

interface Helping {
  readonly events: readonly WatchEvent[]
  /** Everything up to here has been read. */
  readonly revision: number
  readonly cost: number
}

function bytesOfEvent({ kv, prevKv }: WatchEvent): number {
  const pair = kv.key.length + kv.value.length
  return prevKv === null ? pair : pair + prevKv.key.length + prevKv.value.length
}

class Stream implements WatchStream {
  readonly watches: Set<Watch> = new Set()
  /** Those of its watchers that have to read the past, in the order of their turns. */
  readonly behind: Set<Watch> = new Set()
  readonly schedule: (turn: () => void) => void
  isPaused = false
  #isDisposed = false
  readonly hub: WatchHub

  constructor(hub: WatchHub, schedule: (turn: () => void) => void) {
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

  leaveBehind(watch: Watch): void {
    watch.isBehind = false
    this.behind.delete(watch)
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true
    for (const watch of this.watches) watch.cancel()
    this.hub.removeStream(this)
  }
}

class Watch implements Watcher {
  readonly stream: Stream
  readonly sink: WatchSink
  readonly bounds: Bounds
  readonly prevKv: boolean
  /** The first revision wanted, 0 for whatever comes next: no bookmark below it means anything. */
  start: number
  /** Nothing below is told, because it was told, or is not wanted. */
  next: number = 0
  isBehind: boolean = false
  isEnded: boolean = false
  /** Its events of the revision that is being published. */
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

  /** From now on, what comes before this revision has been told. */
  waitFor(revision: number): void {
    this.next = Math.max(this.next, revision)
    this.start = Math.max(this.start, revision - 1)
  }

  leavesOut(isDelete: boolean): boolean {
    return isDelete ? this.#noDelete : this.#noPut
  }

  cancel(): void {
    if (this.isEnded) return
    this.isEnded = true
    this.stream.hub.remove(this)
    this.stream.leaveBehind(this)
    this.stream.watches.delete(this)
    this.stream.hub.refresh(this.stream)
  }
}
