/** Bytes that arrive in chunks cut anywhere and are wanted in pieces of a known length. */
export class ByteQueue {
  #chunks: Uint8Array[] = []
  #length = 0

  get length(): number {
    return this.#length
  }

  /** The chunk must not change until all of it was taken. */
  push(chunk: Uint8Array): void {
    if (chunk.byteLength === 0) return
    this.#chunks.push(chunk)
    this.#length += chunk.byteLength
  }

  /** The next `length` bytes, or null if they are not all there yet. */
  take(length: number): Uint8Array | null {
    if (length > this.#length) return null
    const whole = this.#joined(length)
    const rest = whole.subarray(length)
    this.#length -= length
    if (rest.byteLength > 0) this.#chunks.unshift(rest)
    return whole.subarray(0, length)
  }

  /** Takes out as many chunks as hold `length` bytes, as one. */
  #joined(length: number): Uint8Array {
    let taken = 0
    let count = 0
    while (taken < length) taken += (this.#chunks[count++] as Uint8Array).byteLength
    const [first, ...others] = this.#chunks.splice(0, count)
    if (first === undefined) return new Uint8Array(0)
    if (others.length === 0) return first
    const whole = new Uint8Array(taken)
    let at = 0
    for (const chunk of [first, ...others]) {
      whole.set(chunk, at)
      at += chunk.byteLength
    }
    return whole
  }
}
