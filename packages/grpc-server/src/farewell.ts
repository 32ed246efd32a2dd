/** How a server takes leave of a client without losing a call (RFC 9113, section 6.8). */
import { ErrorCode, FrameType } from './frames.ts'
import type { Outbox } from './outbox.ts'

const LAST_STREAM_ID = 0x7fff_ffff
/** Sent with the first word; when it comes back, the client has heard that. */
const GOING_PING = Uint8Array.of(0x67, 0x6f, 0x69, 0x6e, 0x67, 0, 0, 0)

export class Farewell {
  readonly #outbox: Outbox
  #isGoing = false
  /** Streams from here on came after the last word. */
  #lastServed = LAST_STREAM_ID

  constructor(outbox: Outbox) {
    this.#outbox = outbox
  }

  /** The last word is said: what came before it is served to its end, and then it is over. */
  get isSaid(): boolean {
    return this.#lastServed !== LAST_STREAM_ID
  }

  /** Came after the last word: as if it had never been sent. */
  isTooLate(streamId: number): boolean {
    return streamId > this.#lastServed
  }

  /** The first word: no more calls, please. */
  begin(): void {
    if (this.#isGoing) return
    this.#isGoing = true
    this.#outbox.goAway(LAST_STREAM_ID, ErrorCode.NO_ERROR)
    this.#outbox.frame(FrameType.PING, 0, 0, GOING_PING)
  }

  /** Is this the answer to the ping that went with the first word? */
  isHeard(firstByte: number | undefined): boolean {
    return this.#isGoing && firstByte === GOING_PING[0]
  }

  /** Calls that were on their way when the client heard of it have arrived by now. */
  sayLastWord(lastStreamId: number): void {
    if (this.isSaid) return
    this.#lastServed = lastStreamId
    this.#outbox.goAway(lastStreamId, ErrorCode.NO_ERROR)
  }
}
