/** Two-way streams of one answer per request. */
import type { ServerDuplexStream } from '@grpc/grpc-js'
import { EtcdError } from './errors.ts'
import { roomIn } from './method.ts'

/** Requests of one stream that are being answered at a time; the client waits with the rest. */
const MOST_AT_ONCE = 1_024

/**
 * Answers every request of the stream, many at a time, in the order in which they came. Resolves when
 * the client has ended its side and has all answers, or has gone. Rejects with the first answer that
 * fails, after all answers before it.
 */
export async function answerInOrder<Request, Response>(
  call: ServerDuplexStream<Request, Response>,
  answer: (request: Request) => Promise<Response>,
): Promise<void> {
  const answers: Promise<Response>[] = []
  let hasEnded = false
  let wake = (): void => {}
  const onData = (request: Request): void => {
    const promise = answerOf(request, answer)
    // It is looked at when its turn comes, and until then nobody may take it for overlooked.
    promise.catch(() => {})
    answers.push(promise)
    if (answers.length >= MOST_AT_ONCE) call.pause()
    wake()
  }
  const onEnd = (): void => {
    hasEnded = true
    wake()
  }
  const onCancelled = (): void => wake()
  call.on('data', onData).on('end', onEnd).on('cancelled', onCancelled)
  try {
    while (!call.cancelled) {
      const first = answers.shift()
      if (first === undefined) {
        if (hasEnded) return
        await new Promise<void>((resolve) => {
          wake = resolve
        })
        continue
      }
      const response = await first
      if (call.isPaused() && answers.length <= MOST_AT_ONCE / 2) call.resume()
      if (!call.cancelled && !call.write(response)) await roomIn(call)
    }
  } finally {
    call.off('data', onData).off('end', onEnd).off('cancelled', onCancelled)
  }
}

/** Bytes that were no request come as the error to answer with. */
async function answerOf<Request, Response>(
  request: Request,
  answer: (request: Request) => Promise<Response>,
): Promise<Response> {
  if (request instanceof EtcdError) throw request
  return await answer(request)
}
