/** etcdserverpb.Watch: at the client's pace, in bounded memory. */
import type { DuplexCall } from './call.ts'
import type { ServiceContext } from './context.ts'
import { type Method, duplex } from './method.ts'
import { codecOf } from './schema.ts'
import { watchSession } from './watch-session.ts'
import type * as wire from './wire.ts'

type Call = DuplexCall<wire.WatchRequest, wire.WatchResponse>

/** About what a message takes beside its bytes while it waits. */
const MESSAGE_BYTES = 256

const responses = codecOf<wire.WatchResponse>('etcdserverpb.WatchResponse')

export function watchService(context: ServiceContext): Record<string, Method> {
  return { Watch: duplex((call: Call) => serve(context, call)) }
}

/**
 * Whatever is sent is counted until the client's connection has taken it. When too much waits, nothing more is taken
 * from the store, where it stays anyway, nor from the client, whose requests ask for answers; both
 * go on when half of it has gone. That a client sends no more requests ends nothing.
 */
function serve(context: ServiceContext, call: Call): void {
  const { maxWatchQueueBytes } = context.options.limits
  let queuedBytes = 0
  let isFull = false
  let isOver = false
  const send = (response: wire.WatchResponse): void => {
    const message = responses.encode(response)
    const bytes = message.length + MESSAGE_BYTES
    queuedBytes += bytes
    call.write(message, () => sent(bytes))
    if (isFull || queuedBytes < maxWatchQueueBytes) return
    isFull = true
    session.pause()
    call.pause()
  }
  const sent = (bytes: number): void => {
    queuedBytes -= bytes
    if (!isFull || isOver || queuedBytes > maxWatchQueueBytes / 2) return
    isFull = false
    session.resume()
    call.resume()
  }
  const session = watchSession(context, send)
  call.receive({
    message(request) {
      if (!isOver) session.handle(request)
    },
    end() {},
  })
  call.onceOver(() => {
    isOver = true
    session[Symbol.dispose]()
  })
}
