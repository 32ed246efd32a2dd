/** How long to wait before a peer is called again: twice as long after every attempt, up to a limit. */
export class Backoff {
  readonly #minReconnectMs: number
  readonly #maxReconnectMs: number
  #attempts = 0

  constructor(limits: { readonly minReconnectMs: number; readonly maxReconnectMs: number }) {
    this.#minReconnectMs = limits.minReconnectMs
    this.#maxReconnectMs = limits.maxReconnectMs
  }

  /** An attempt has succeeded. */
  reset(): void {
    this.#attempts = 0
  }

  /** Half of it is chance, a number in [0, 1), so that peers do not call all at once. */
  nextMs(chance: number): number {
    // Doubled for ever, even a small number would be Infinity.
    const doubled = this.#minReconnectMs * 2 ** Math.min(this.#attempts, 30)
    this.#attempts += 1
    return (Math.min(this.#maxReconnectMs, doubled) * (1 + chance)) / 2
  }
}
