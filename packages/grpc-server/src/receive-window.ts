/** What a client may send before it hears that it arrived (RFC 9113, section 5.2). */
export class ReceiveWindow {
  readonly #bytes: number
  #left: number
  /** Arrived, and not given back. */
  #uncredited = 0

  constructor(bytes: number) {
    this.#bytes = bytes
    this.#left = bytes
  }

  /** Counts what has arrived. False if the client had no right to send it. */
  take(bytes: number): boolean {
    this.#left -= bytes
    this.#uncredited += bytes
    return this.#left >= 0
  }

  /** How much to give back now: what has arrived, once it is half the window; else nothing. */
  credit(): number {
    const bytes = this.#uncredited
    if (bytes < this.#bytes / 2) return 0
    this.#left += bytes
    this.#uncredited = 0
    return bytes
  }
}
