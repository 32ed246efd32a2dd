/** What watchers are told, as messages of the wire. */
import type { WatchBatch, WatchEvent } from '@coracle/kv-state-machine'
import type { ServiceContext } from './context.ts'
import type { Encoded } from './encoded.ts'
import { fromBigInt } from './int64.ts'
import { keyValue } from './kv-responses.ts'
import { codecOf } from './schema.ts'
import { fragments } from './watch-fragments.ts'
import type * as wire from './wire.ts'

const responses = codecOf<Partial<wire.WatchResponse>>('etcdserverpb.WatchResponse')

/**
 * Messages of protobuf that stand one after the other are one message. So what watchers are told
 * alike is encoded once, and shared by what is sent to each of them, of which only the id is its own.
 */
export class WatchMessages {
  readonly #context: ServiceContext
  /** The batch that was asked for last: whoever is told the same is told right after each other. */
  #batch: WatchBatch | null = null
  #header: Uint8Array = new Uint8Array(0)
  #events: readonly Uint8Array[] = []
  /** What was encoded of the revision of that batch: others may be told some of the same events. */
  readonly #encoded = new Map<WatchEvent, Uint8Array>()

  constructor(context: ServiceContext) {
    this.#context = context
  }

  /** The id of a watcher, for {@link events}. */
  id(id: bigint): Uint8Array {
    return responses.encode({ watch_id: fromBigInt(id) })
  }

  /** A response about one watcher, or all of them, as of a revision. */
  response(revision: number, response: Omit<wire.WatchResponse, 'header'>): Uint8Array {
    return responses.encode({ header: this.#context.header(revision), ...response })
  }

  /** All the events of a batch, for the watcher with this {@link id}. */
  events(id: Uint8Array, batch: WatchBatch): Encoded {
    if (batch !== this.#batch) this.#encode(batch)
    return [this.#header, id, ...this.#events]
  }

  /** The same in as many messages as it takes to stay below the limit of a request. */
  *pieces(id: bigint, batch: WatchBatch): Generator<Uint8Array> {
    const whole: wire.WatchResponse = {
      header: this.#context.header(batch.revision),
      watch_id: fromBigInt(id),
      events: batch.events.map(eventOf),
    }
    const { maxRequestBytes } = this.#context.options.limits
    for (const piece of fragments(whole, maxRequestBytes)) yield responses.encode(piece)
  }

  #encode(batch: WatchBatch): void {
    if (batch.revision !== this.#batch?.revision) this.#encoded.clear()
    this.#batch = batch
    this.#header = responses.encode({ header: this.#context.header(batch.revision) })
    this.#events = batch.events.map((event) => this.#encodedEvent(event))
  }

  /** As a response that has nothing but this event. */
  #encodedEvent(event: WatchEvent): Uint8Array {
    const known = this.#encoded.get(event)
    if (known !== undefined) return known
    const encoded = responses.encode({ events: [eventOf(event)] })
    this.#encoded.set(event, encoded)
    return encoded
  }
}

const PUT = 0
const DELETE = 1

function eventOf({ type, kv, prevKv }: WatchEvent): wire.Event {
  const event = { type: type === 'put' ? PUT : DELETE, kv: keyValue(kv) }
  return prevKv === null ? event : { ...event, prev_kv: keyValue(prevKv) }
}
