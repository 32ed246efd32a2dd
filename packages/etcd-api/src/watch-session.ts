/**
 * One client's watch stream, whatever carries it: requests in, responses out, in etcd's order. A
 * create is answered before anything else that bears its id, and what a response says was done has
 * been sent before it.
 */
import type { WatchBatch, Watcher, WatchSink, WatchStream } from '@coracle/kv-state-machine'
import type { ServiceContext } from './context.ts'
import type { Encoded } from './encoded.ts'
import * as errors from './errors.ts'
import type { EtcdError } from './errors.ts'
import { fromBigInt, toBigInt, toSafeInteger } from './int64.ts'
import type { EventCounts } from './metrics/watch-metrics.ts'
import type { WatchMessages } from './watch-messages.ts'
import type * as wire from './wire.ts'

export interface WatchSession extends Disposable {
  /** `refusal` is why the client may not ask for this, if it may not. */
  handle(request: wire.WatchRequest, refusal?: EtcdError | null): void
  /** The client has no room: from now on only answers to its requests are sent. */
  pause(): void
  /** What was held back is sent, sooner or later. */
  resume(): void
}

/** Where what a session says goes. All but `send` may be shared by all sessions. */
export interface WatchOutlet {
  readonly messages: WatchMessages
  readonly counts: Pick<EventCounts, 'previous'>
  /** Told how many events a message counts for: all of them for the first piece. Must not throw. */
  readonly send: (message: Encoded, events: number) => void
}

export function watchSession(context: ServiceContext, outlet: WatchOutlet): WatchSession {
  return new Session(context, outlet)
}

const NO_PUT = 0
const NO_DELETE = 1
/** Stands for "no watcher": for creates that failed, and for answers that are about all of them. */
const NO_ID = -1

class Session implements WatchSession {
  readonly #context: ServiceContext
  readonly outlet: WatchOutlet
  readonly #stream: WatchStream
  readonly #subscriptions = new Map<bigint, Subscription>()
  #nextId = 0n
  #isPaused = false
  #stopReporting: (() => void) | null = null

  constructor(context: ServiceContext, outlet: WatchOutlet) {
    const { stateMachine, environment } = context.options
    this.#context = context
    this.outlet = outlet
    this.#stream = stateMachine.watchStream({ schedule: (turn) => environment.schedule(turn) })
  }

  /** As in etcd, a request without a member is passed over: newer clients may say more. */
  handle(request: wire.WatchRequest, refusal: EtcdError | null = null): void {
    if (request.create_request) this.#create(request.create_request, refusal)
    else if (request.cancel_request) this.#cancel(toBigInt(request.cancel_request.watch_id))
    else if (request.progress_request) this.#tellProgress()
  }

  pause(): void {
    this.#isPaused = true
    this.#stream.pause()
  }

  resume(): void {
    this.#isPaused = false
    this.#stream.resume()
  }

  [Symbol.dispose](): void {
    this.#stopReporting?.()
    this.#stream[Symbol.dispose]()
    this.#subscriptions.clear()
  }

  /** A response about one watcher, or all of them, as of a revision. */
  tell(revision: number, response: Omit<wire.WatchResponse, 'header'>): void {
    this.outlet.send(this.outlet.messages.response(revision, response), 0)
  }

  #create(request: wire.WatchCreateRequest, refused: EtcdError | null): void {
    const reason = refused === null ? this.#refusalOf(request) : errors.asReason(refused)
    const { revision } = this.#context.options.stateMachine
    if (reason !== null) {
      const refusal = { created: true, canceled: true, cancel_reason: reason }
      return this.tell(revision, { watch_id: NO_ID, ...refusal })
    }
    const id = this.#takeId(toBigInt(request.watch_id))
    const subscription = new Subscription(this, id, request)
    this.#subscriptions.set(id, subscription)
    subscription.watcher = this.#stream.watch(
      {
        key: keyOf(request),
        rangeEnd: request.range_end,
        startRevision: toSafeInteger(request.start_revision),
        prevKv: request.prev_kv,
        noPut: request.filters.includes(NO_PUT),
        noDelete: request.filters.includes(NO_DELETE),
      },
      subscription,
    )
    this.tell(revision, { watch_id: fromBigInt(id), created: true })
    if (request.progress_notify) this.#report()
  }

  #refusalOf(request: wire.WatchCreateRequest): string | null {
    if (isEmptyRange(keyOf(request), request.range_end)) return errors.emptyWatcherRange
    if (toBigInt(request.start_revision) < 0n) return errors.compacted.message
    const id = toBigInt(request.watch_id)
    return id !== 0n && this.#subscriptions.has(id) ? errors.duplicateWatchId : null
  }

  /** 0 asks for the next free one, counted from 0. */
  #takeId(asked: bigint): bigint {
    if (asked !== 0n) return asked
    while (this.#subscriptions.has(this.#nextId)) this.#nextId += 1n
    this.#nextId += 1n
    return this.#nextId - 1n
  }

  /**
   * An id that nobody has gets no answer. One whose watcher fell behind a compaction is taken until
   * the client gives it up, as in etcd.
   */
  #cancel(id: bigint): void {
    const subscription = this.#subscriptions.get(id)
    if (subscription === undefined) return
    subscription.watcher?.cancel()
    this.#subscriptions.delete(id)
    const { revision } = this.#context.options.stateMachine
    this.tell(revision, { watch_id: fromBigInt(id), canceled: true })
  }

  /** As long as one watcher of the stream is not up to date there is no answer: clients ask again. */
  #tellProgress(): void {
    const { bookmark } = this.#stream
    if (bookmark !== null) this.tell(bookmark, { watch_id: NO_ID })
  }

  /** Begins to tell idle watchers how far they are, at times that differ from stream to stream. */
  #report(): void {
    if (this.#stopReporting !== null) return
    const { environment, limits } = this.#context.options
    const intervalMs = limits.watchProgressIntervalMs * (1 + environment.random() / 10)
    this.#stopReporting = environment.every(intervalMs, () => {
      for (const subscription of this.#subscriptions.values()) {
        if (!this.#isPaused) subscription.tellProgress()
      }
    })
  }
}

/** A watcher of a session under its id. */
class Subscription implements WatchSink {
  watcher: Watcher | null = null
  readonly #session: Session
  readonly #id: bigint
  readonly #encodedId: Uint8Array
  readonly #fragment: boolean
  readonly #prevKv: boolean
  readonly #progressNotify: boolean
  /** Nothing was sent since the last report. */
  #isIdle = true

  constructor(session: Session, id: bigint, request: wire.WatchCreateRequest) {
    this.#session = session
    this.#id = id
    this.#encodedId = session.outlet.messages.id(id)
    this.#fragment = request.fragment
    this.#prevKv = request.prev_kv
    this.#progressNotify = request.progress_notify
  }

  events(batch: WatchBatch): void {
    this.#isIdle = false
    const { messages, counts, send } = this.#session.outlet
    if (this.#prevKv) counts.previous += replacements(batch)
    let events = batch.events.length
    if (!this.#fragment) return send(messages.events(this.#encodedId, batch), events)
    for (const piece of messages.pieces(this.#id, batch)) {
      send(piece, events)
      events = 0
    }
  }

  compacted(compactRevision: number): void {
    const end = { canceled: true, compact_revision: compactRevision }
    this.watcher = null
    this.#session.tell(0, { watch_id: fromBigInt(this.#id), ...end })
  }

  tellProgress(): void {
    const wasIdle = this.#isIdle
    this.#isIdle = true
    const bookmark = this.watcher?.bookmark ?? null
    if (!this.#progressNotify || !wasIdle || bookmark === null) return
    this.#session.tell(bookmark, { watch_id: fromBigInt(this.#id) })
  }
}

/** How many of the events are about a key that there was already. */
function replacements({ events }: WatchBatch): number {
  let count = 0
  for (const { type, kv } of events)
    if (type === 'delete' || kv.createRevision !== kv.modRevision) count += 1
  return count
}

const ZERO = Uint8Array.of(0)

function keyOf(request: wire.WatchCreateRequest): Uint8Array {
  return request.key.length === 0 ? ZERO : request.key
}

/** An end of nothing is one key, an end of one zero byte no end at all. */
function isEmptyRange(key: Uint8Array, end: Uint8Array): boolean {
  if (end.length === 0 || (end.length === 1 && end[0] === 0)) return false
  for (let at = 0; at < key.length && at < end.length; at++) {
    const difference = (key[at] as number) - (end[at] as number)
    if (difference !== 0) return difference > 0
  }
  return key.length >= end.length
}
