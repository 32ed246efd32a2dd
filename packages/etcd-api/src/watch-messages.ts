/** What watchers are told, as messages of the wire. */
import type { WatchBatch, WatchEvent } from '@coracle/kv-state-machine'
import type { ServiceContext } from './context.ts'
import { fromBigInt } from './int64.ts'
import { keyValue } from './kv-responses.ts'
import { codecOf } from './schema.ts'
import { fragments } from './watch-fragments.ts'
import type * as wire from './wire.ts'

const responses = codecOf<Partial<wire.WatchResponse>>('etcdserverpb.WatchResponse')

/**
 * Messages of protobuf that stand one after the other are one message. So what all watchers of a key
 * are told alike is encoded once, and only put together with the id of each.
 */
export class WatchMessages {
  readonly #context: ServiceContext
  /** The batch that was asked for last: whoever is told the same is told right after each other. */
  #batch: WatchBatch | null = null
  #header: Uint8Array = new Uint8Array(0)
  #events: Uint8Array = new Uint8Array(0)

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
  events(id: Uint8Array, batch: WatchBatch): Uint8Array {
    if (batch !== this.#batch) this.#encode(batch)
    const header = this.#header
    const events = this.#events
    const message = Buffer.allocUnsafe(header.length + id.length + events.length)
    message.set(header)
    message.set(id, header.length)
    message.set(events, header.length + id.length)
    return message
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
    this.#batch = batch
    this.#header = responses.encode({ header: this.#context.header(batch.revision) })
    this.#events = responses.encode({ events: batch.events.map(eventOf) })
  }
}

const PUT = 0
const DELETE = 1

function eventOf({ type, kv, prevKv }: WatchEvent): wire.Event {
  const event = { type: type === 'put' ? PUT : DELETE, kv: keyValue(kv) }
  return prevKv === null ? event : { ...event, prev_kv: keyValue(prevKv) }
}
