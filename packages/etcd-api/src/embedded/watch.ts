/** Watches of the client in the process. */
import { Code } from '@coracle/grpc-server'
import { compacted, EtcdError } from '../errors.ts'
import { toSafeInteger } from '../int64.ts'
import type * as wire from '../wire.ts'
import type { Caller, ClientStream } from './caller.ts'
import type { InProcessOptions } from './in-process-call.ts'
import { intervalOf, type Keys, type Pair, pairOf } from './values.ts'

export interface WatchOptions extends InProcessOptions {
  /** The first revision to be told of. Default: the next one. */
  readonly startRevision?: number
  /** Whether events tell what there was before. Default: no. */
  readonly previous?: boolean
}

export interface WatchedEvent {
  readonly type: 'put' | 'delete'
  /** As it is now; of a deleted pair only the key and the revision. */
  readonly pair: Pair
  /** As it was before, if that was asked for and there was any. */
  readonly previous: Pair | null
}

type Stream = ClientStream<object, wire.WatchResponse>

const DELETE = 1

export function watchKeys(
  caller: Caller,
  keys: Keys,
  options: WatchOptions = {},
): AsyncIterable<WatchedEvent> {
  return {
    [Symbol.asyncIterator]() {
      // Opened by the first look, so that one that is never begun leaves nothing open.
      return events(caller, keys, options)
    },
  }
}

async function* events(
  caller: Caller,
  keys: Keys,
  options: WatchOptions,
): AsyncGenerator<WatchedEvent> {
  if (options.signal?.aborted === true) return
  using stream: Stream = caller.open('etcdserverpb.Watch/Watch', options)
  const { startRevision = 0, previous = false } = options
  const create = { ...intervalOf(keys), start_revision: startRevision, prev_kv: previous }
  stream.send({ create_request: create })
  for (;;) {
    const response = await nextUnlessAborted(stream, options.signal)
    if (response === null) return
    if (response.canceled === true) throw reasonOf(response)
    for (const event of response.events ?? []) yield eventOf(event)
  }
}

async function nextUnlessAborted(
  stream: Stream,
  signal: AbortSignal | undefined,
): Promise<wire.WatchResponse | null> {
  try {
    return await stream.next()
  } catch (error) {
    if (signal?.aborted === true) return null
    throw error
  }
}

function reasonOf({
  compact_revision: revision,
  cancel_reason: reason,
}: wire.WatchResponse): Error {
  if (toSafeInteger(revision ?? 0) > 0) return compacted
  return new EtcdError(Code.CANCELLED, reason ?? 'etcdserver: watch canceled')
}

function eventOf({ type, kv, prev_kv: before }: wire.Event): WatchedEvent {
  return {
    type: type === DELETE ? 'delete' : 'put',
    pair: pairOf(kv),
    previous: before ? pairOf(before) : null,
  }
}
