/**
 * Which clients ping too often, by grpc-go's rules: without open calls more than every two hours, or
 * at all more often than agreed, and three times so. Whatever the server sends clears the slate, since
 * clients measure their bandwidth by pings.
 */
const IDLE_MS = 2 * 3_600_000
const MOST_STRIKES = 2

export class PingPolicy {
  readonly #minTimeMs: number
  #lastAt = -Infinity
  #strikes = 0
  /** Set when headers or data were sent. */
  isForgiven = false

  /** 0 for a server that does not mind. */
  constructor(minTimeMs: number) {
    this.#minTimeMs = minTimeMs
  }

  /** Takes note of a ping. False if it was one too many. */
  allows(openStreams: number): boolean {
    if (this.#minTimeMs === 0) return true
    const now = performance.now()
    const since = now - this.#lastAt
    this.#lastAt = now
    if (this.isForgiven) {
      this.isForgiven = false
      this.#strikes = 0
      return true
    }
    if (since < (openStreams === 0 ? IDLE_MS : this.#minTimeMs)) this.#strikes += 1
    return this.#strikes <= MOST_STRIKES
  }
}
