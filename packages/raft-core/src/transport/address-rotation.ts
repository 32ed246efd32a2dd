/** The addresses of one peer: one is in use for as long as it works, and then the next one is. */
export class AddressRotation {
  readonly #addresses: readonly string[]
  #at = 0
  /** Why each failed since one of them worked, or since all were tried. */
  #failures: string[] = []

  /** Several stand in one text, with commas between them, in the order in which they are tried. */
  constructor(address: string) {
    this.#addresses = address.split(',')
  }

  get current(): string {
    return this.#addresses[this.#at] ?? ''
  }

  /** All of them, beginning with the one that worked last. */
  inOrder(): readonly string[] {
    return [...this.#addresses.slice(this.#at), ...this.#addresses.slice(0, this.#at)]
  }

  worked(): void {
    this.#failures = []
  }

  /** Null if another one is to be tried at once. Otherwise all have failed, and this is why. */
  failed(why: string): string | null {
    const isOnly = this.#addresses.length === 1
    this.#failures.push(isOnly ? why : `${this.current}: ${why}`)
    this.#at = (this.#at + 1) % this.#addresses.length
    if (this.#failures.length < this.#addresses.length) return null
    // In their own order wherever the round began, so that what lasts reads the same every time.
    return this.#failures.splice(0).toSorted().join('; ')
  }
}
