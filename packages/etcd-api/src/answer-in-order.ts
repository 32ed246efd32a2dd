/** Two-way streams of one answer per request. */
import type { ServerDuplexStream } from '@grpc/grpc-js'
import { EtcdError, unexpected } from './errors.ts'

/** Requests of one stream that are being answered at a time; the client waits with the rest. */
const MOST_AT_ONCE = 1_024

/**
 * Answers every request of the stream, many at a time, in the order in which they came. Ends the
 * stream when the client has ended its side and has all answers, or with the first answer that fails.
 * Resolves when the stream has ended.
 */
export async function answerInOrder<Request, Response>(
  call: ServerDuplexStream<Request, Response>,
  answer: (request: Request) => Promise<Response>,
): Promise<void> {
  const answers: { readonly made: Promise<Response> }[] = []
  let hasAskedAll = false
  let wake = (): void => {}
  const onEvent = (): void => wake()
  const woken = (): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve
    })
  const onData = (request: Request): void => {
    // Bytes that were no request come as an error, with which the call ends without our help.
    if (request instanceof EtcdError) return wake()
    const promise = answer(request)
    // It is looked at when its turn comes, and until then nobody may take it for overlooked.
    promise.catch(() => {})
    answers.push({ made: promise })
    if (answers.length >= MOST_AT_ONCE) call.pause()
    wake()
  }
  const onEnd = (): void => {
    hasAskedAll = true
    wake()
  }
  const isOver = (): boolean => call.cancelled || call.writableEnded
  call.on('data', onData).on('end', onEnd)
  for (const event of ['drain', 'cancelled', 'error']) call.on(event, onEvent)
  while (!isOver()) {
    const first = answers[0]
    if (call.writableNeedDrain || (first === undefined && !hasAskedAll)) await woken()
    else if (first === undefined) call.end()
    else await answerOne(first.made)
  }

  async function answerOne(made: Promise<Response>): Promise<void> {
    try {
      const response = await made
      answers.shift()
      if (isOver()) return
      call.write(response)
      if (call.isPaused() && answers.length <= MOST_AT_ONCE / 2) call.resume()
    } catch (error) {
      // grpc-js ends a stream with the status of an error that is emitted on it.
      if (!isOver()) call.emit('error', unexpected(error))
    }
  }
}
