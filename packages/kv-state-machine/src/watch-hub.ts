import { forEachChange } from './change-log.ts'
import { Circle } from './circle.ts'
import { eventOf, isWithin, visitChanges } from './history.ts'
import { IntervalIndex } from './interval-index.ts'
import type { Segment, Sequence } from './segment.ts'
import type { Store } from './store.ts'
import type {
  WatchBatch,
  WatchCounts,
  WatchEvent,
  WatchStream,
  WatchStreamOptions,
} from './watch.ts'
import { type Hub, Stream, type Watch } from './watcher.ts'

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
export class WatchHub implements Hub {
  readonly #pace: ReplayPace
  readonly #index = new IntervalIndex<Watch>()
  readonly #streams = new Circle<Stream>()
  /** Streams that have watchers behind and are not paused. */
  readonly #ready = new Circle<Stream>()
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

  counts(): WatchCounts {
    let behind = 0
    for (const stream of this.#streams) behind += stream.behind.size
    return { streams: this.#streams.size, watchers: this.#index.size, behind }
  }

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
    if (watch.next <= this.#published) watch.fallBehind(watch.next)
  }

  remove(watch: Watch): void {
    this.#index.remove(watch.bounds, watch)
  }

  removeStream(stream: Stream): void {
    this.#streams.delete(stream)
    this.#ready.delete(stream)
  }

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
      }
    }
  }

  /** Publishes at least one revision, if there are any, and answers how many changes it looked at. */
  #publishSome(limit: number): number {
    if (this.#published + 1 < this.#store.compactRevision) {
      this.#giveUpPublishing()
      return 0
    }
    const told: Stream[] = []
    let revision = this.#published
    let count = 0
    let isWhole = true
    forEachChange(this.#store.log, { from: this.#position, to: Infinity }, (segment, slot) => {
      const main = segment.main(slot)
      if (main !== revision) {
        this.#tell(revision, told)
        if (count >= limit) {
          isWhole = false
          return false
        }
        revision = main
      }
      count += 1
      this.#position = segment.sequenceAt(slot) + 1
      this.#collect(segment, slot, told)
      return true
    })
    this.#tell(isWhole ? this.#store.revision : revision, told)
    return count
  }

  /** What was not published is compacted: whoever needs it must end, which each finds out alone. */
  #giveUpPublishing(): void {
    const next = this.#published + 1
    this.#skip()
    for (const stream of this.#streams) {
      for (const watch of stream.watches) {
        if (watch.isBehind || watch.next > this.#published) continue
        watch.fallBehind(Math.max(watch.next, next))
      }
    }
  }

  #collect(segment: Segment, slot: number, told: Stream[]): void {
    const main = segment.main(slot)
    const isDelete = segment.isTombstone(slot)
    // Made if somebody wants them, and shared by all who do.
    let bare: WatchEvent[] | null = null
    let full: WatchEvent[] | null = null
    this.#index.forEach(segment.key(slot), (watch) => {
      if (watch.isBehind || main < watch.next || watch.leavesOut(isDelete)) return
      const { stream } = watch
      if (stream.isPaused) return watch.fallBehind(main)
      const events = watch.prevKv
        ? (full ??= [eventOf(this.#store, { segment, slot }, true)])
        : (bare ??= [eventOf(this.#store, { segment, slot }, false)])
      if (watch.collected === null) {
        if (stream.firstMatch === null) told.push(stream)
        stream.match(watch)
      }
      collect(watch, events)
    })
  }

  /**
   * Ends the publishing of one revision: everybody is told all of it at once, stream by stream, so
   * that what leaves on one of them can leave together.
   */
  #tell(revision: number, told: Stream[]): void {
    this.#published = revision
    this.#isPublishing = true
    let batch: WatchBatch = { revision, events: [] }
    for (const stream of told) {
      let next = stream.takeMatches()
      while (next !== null) {
        const watch = next
        next = watch.takeNextMatch()
        const events = watch.collected ?? []
        watch.collected = null
        if (watch.isEnded || watch.isBehind) continue
        if (batch.events !== events) batch = { revision, events }
        // One that was told before it in this loop may have filled their stream.
        if (stream.isPaused) watch.fallBehind(revision)
        else watch.sink.events(batch)
      }
    }
    this.#isPublishing = false
    told.length = 0
  }

  #askForTurn(): void {
    const isIdle = this.#ready.size === 0 && this.#published === this.#store.revision
    if (this.#turnIsComing || isIdle) return
    const stream = this.#streams.next()
    if (stream === undefined) return
    this.#turnIsComing = true
    stream.schedule(() => this.#takeTurn())
  }

  /** Streams take turns, and within each its watchers, so that none waits for another's past. */
  #takeTurn(): void {
    this.#turnIsComing = false
    let left = this.#pace.changesPerTurn
    if (this.#published < this.#store.revision) left -= this.#publishSome(left)
    while (left > 0) {
      const stream = this.#ready.next()
      if (stream === undefined) break
      const watch = stream.behind.next()
      if (watch !== undefined) left -= HELPING_COST + this.#replay(watch, left)
      this.refresh(stream)
    }
    this.#askForTurn()
  }

  /** Lets a watcher read some of what it missed; answers how many changes were looked at. */
  #replay(watch: Watch, limit: number): number {
    const { compactRevision } = this.#store
    if (watch.next < compactRevision) {
      watch.cancel()
      watch.sink.compacted(compactRevision)
      return 0
    }
    const { events, revision, cost } = this.#readSome(watch, limit)
    watch.next = revision + 1
    if (revision === this.#published) watch.catchUp()
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

/** An event more for a watcher: the first is shared as it is, and copied when a second one comes. */
function collect(watch: Watch, events: WatchEvent[]): void {
  const { collected } = watch
  if (collected === null) watch.collected = events
  else if (collected.length === 1) watch.collected = [...collected, ...events]
  else collected.push(...events)
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
