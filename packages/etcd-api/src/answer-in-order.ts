/** Two-way streams of one answer per request. */
import type { DuplexCall } from './call.ts'
import { unexpected } from './errors.ts'

/** Requests of one stream that are being answered at a time; the client waits with the rest. */
const MOST_AT_ONCE = 1_024

/**
 * Answers every request of the stream, many at a time, in the order in which they came, at the pace
 * at which the client takes them. Ends the stream when the client has ended its side and has all
 * answers, or with the first answer that fails.
 */
export function answerInOrder<Request, Response>(
  call: DuplexCall<Request, Response>,
  answer: (request: Request) => Promise<Response>,
): void {
  const answers: { readonly made: Promise<Response> }[] = []
  let hasAskedAll = false
  let isOver = false
  let hasRoom = true
  /** Somebody waits for the first answer already. */
  let isWaiting = false
  call.onceOver(() => {
    isOver = true
  })
  call.onRoom(() => {
    hasRoom = true
    giveNext()
  })
  call.receive({
    message(request) {
      const made = answer(request)
      // It is looked at when its turn comes, and until then nobody may take it for overlooked.
      made.catch(() => {})
      answers.push({ made })
      if (answers.length === MOST_AT_ONCE) call.pause()
      giveNext()
    },
    end() {
      hasAskedAll = true
      giveNext()
    },
  })

  function giveNext(): void {
    if (isOver || isWaiting || !hasRoom) return
    const first = answers[0]
    if (first === undefined) {
      if (hasAskedAll) call.end()
      return
    }
    isWaiting = true
    first.made.then(give, (error: unknown) => call.end(unexpected(error)))
  }

  function give(response: Response): void {
    isWaiting = false
    answers.shift()
    if (isOver) return
    hasRoom = call.write(response)
    if (answers.length === MOST_AT_ONCE / 2) call.resume()
    giveNext()
  }
}
