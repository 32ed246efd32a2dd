const BLOCK_BYTES = 8192
const LARGEST = BLOCK_BYTES / 8

/**
 * Gives out small pieces of shared blocks: an ArrayBuffer for each would cost several times as much
 * as filling it. A piece keeps its block in memory, so the blocks are small too.
 */
export class BytePool {
  #block = new Uint8Array(0)
  #used = 0

  /** `length` zero bytes that nobody else holds. */
  take(length: number): Uint8Array {
    if (length > LARGEST) return new Uint8Array(length)
    if (this.#used + length > this.#block.length) {
      this.#block = new Uint8Array(BLOCK_BYTES)
      this.#used = 0
    }
    const at = this.#used
    this.#used = at + length
    return new Uint8Array(this.#block.buffer, at, length)
  }
}
