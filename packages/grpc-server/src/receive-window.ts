/** What a client may send before it hears that it arrived (RFC 9113, section 5.2), and in all. */
export class ReceiveWindow {
  readonly #bytes: number
  #left: number
  /** Arrived, and not given back. */
  #uncredited = 0
  /** What is left of the length that was announced; below zero from the beginning if none was. */
  #announced: number

  // One class for connections and streams: one more for each call would be felt.
  constructor(bytes: number, contentLength: number | null = null) {
    this.#bytes = bytes
    this.#left = bytes
    this.#announced = contentLength ?? -1
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

  /** Counts what is content, which padding is not. False if that is more than was announced. */
  countContent(bytes: number): boolean {
    if (this.#announced < 0) return true
    this.#announced -= bytes
    return this.#announced >= 0
  }

  get hasAllContent(): boolean {
    return this.#announced <= 0
  }
}
