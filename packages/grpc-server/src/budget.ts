/** How much of something a peer may do: so much at once, and so much each second. */
export class Budget {
  readonly #capacity: number
  readonly #perSecond: number
  #left: number
  #filledAt = performance.now()

  constructor(capacity: number, perSecond: number) {
    this.#capacity = capacity
    this.#perSecond = perSecond
    this.#left = capacity
  }

  /** Takes one. False if there is none left. */
  take(): boolean {
    if (this.#left < 1) this.#fill()
    if (this.#left < 1) return false
    this.#left -= 1
    return true
  }

  /** The clock is looked at only when nothing is left. */
  #fill(): void {
    const now = performance.now()
    const gained = ((now - this.#filledAt) * this.#perSecond) / 1_000
    this.#left = Math.min(this.#capacity, this.#left + gained)
    this.#filledAt = now
  }

  /** All of it again. */
  refill(): void {
    this.#left = this.#capacity
  }
}
