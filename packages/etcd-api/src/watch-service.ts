/** etcdserverpb.Watch: at the client's pace, in bounded memory. */
import type { DuplexCall } from './call.ts'
import type { ServiceContext } from './context.ts'
import { type Encoded, lengthOf } from './encoded.ts'
import { type EtcdError, unexpected } from './errors.ts'
import type { Permit } from './gate.ts'
import { type Method, duplex } from './method.ts'
import type { EventCounts } from './metrics/watch-metrics.ts'
import { WatchMessages } from './watch-messages.ts'
import { watchSession } from './watch-session.ts'
import type * as wire from './wire.ts'

type Call = DuplexCall<wire.WatchRequest, wire.WatchResponse>

/** About what a message takes beside its bytes while it waits. */
const MESSAGE_BYTES = 256

/** What is told to watchers is added to `counts`. */
export function watchService(context: ServiceContext, counts: EventCounts): Record<string, Method> {
  const shared: Shared = { messages: new WatchMessages(context), counts }
  return {
    Watch: duplex((call: Call, permit: Permit<wire.WatchRequest>) =>
      serve(context, shared, call, permit),
    ),
  }
}

/** What all streams have in common. */
interface Shared {
  readonly messages: WatchMessages
  readonly counts: EventCounts
}

/**
 * Whatever is sent is counted until the client's connection has taken it. When too much waits, nothing more is taken
 * from the store, where it stays anyway, nor from the client, whose requests ask for answers; both
 * go on when half of it has gone. That a client sends no more requests ends nothing.
 */
function serve(
  context: ServiceContext,
  { messages, counts }: Shared,
  call: Call,
  permit: Permit<wire.WatchRequest>,
): void {
  const { maxWatchQueueBytes } = context.options.limits
  let queuedBytes = 0
  let queuedEvents = 0
  let isFull = false
  let isOver = false
  const pause = pauses(call)
  const send = (message: Encoded, events: number): void => {
    const bytes = lengthOf(message) + MESSAGE_BYTES
    queuedBytes += bytes
    queuedEvents += events
    counts.pending += events
    call.write(message, () => sent(bytes, events))
    if (isFull || queuedBytes < maxWatchQueueBytes) return
    isFull = true
    session.pause()
    pause.begin()
  }
  const sent = (bytes: number, events: number): void => {
    queuedBytes -= bytes
    if (isOver) return
    queuedEvents -= events
    counts.pending -= events
    counts.sent += events
    if (!isFull || queuedBytes > maxWatchQueueBytes / 2) return
    isFull = false
    session.resume()
    pause.end()
  }
  const session = watchSession(context, { messages, counts, send })
  const requests = oneByOne(call, pause, permit, (request, refusal) => {
    if (!isOver) session.handle(request, refusal)
  })
  call.receive({ message: requests, end() {} })
  call.onceOver(() => {
    isOver = true
    counts.pending -= queuedEvents
    session[Symbol.dispose]()
  })
}

/** The client is to wait as long as anybody wants it to. */
interface Pauses {
  begin(): void
  end(): void
}

function pauses(call: Pick<Call, 'pause' | 'resume'>): Pauses {
  let count = 0
  return {
    begin() {
      count += 1
      if (count === 1) call.pause()
    },
    end() {
      count -= 1
      if (count === 0) call.resume()
    },
  }
}

/**
 * Gives on the requests of a stream in the order in which they came, each with what `permit` says of
 * it. While that has to be found out, the client is to wait.
 */
function oneByOne(
  call: Call,
  pause: Pauses,
  permit: Permit<wire.WatchRequest>,
  next: (request: wire.WatchRequest, refusal: EtcdError | null) => void,
): (request: wire.WatchRequest) => void {
  let waiting = 0
  let last: Promise<void> = Promise.resolve()
  const giveOn = async (
    request: wire.WatchRequest,
    refusal: ReturnType<typeof permit>,
    before: Promise<void>,
  ): Promise<void> => {
    await before
    next(request, await refusal)
    waiting -= 1
    pause.end()
  }
  return (request) => {
    const refusal = permit(request)
    if (waiting === 0 && refusal === null) return next(request, null)
    waiting += 1
    pause.begin()
    last = giveOn(request, refusal, last)
    last.catch((error: unknown) => call.end(unexpected(error)))
  }
}
