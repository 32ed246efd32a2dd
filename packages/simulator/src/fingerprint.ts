/** A hash of all that happened, in order: two runs are the same if their fingerprints are. */
export class Fingerprint {
  #high = 0x811c9dc5
  #low = 0x1b873593

  add(text: string): void {
    for (let at = 0; at < text.length; at++) this.#mix(text.charCodeAt(at))
    this.#mix(-1)
  }

  addBytes(bytes: Uint8Array): void {
    for (const byte of bytes) this.#mix(byte)
    this.#mix(-1)
  }

  /** Whatever is made of texts, whole numbers, truth values, lists and plain objects. */
  addData(data: unknown): void {
    if (typeof data === 'string') this.add(data)
    else if (typeof data === 'number') {
      this.#mix(data | 0)
      this.#mix(Math.floor(data / 2 ** 32) | 0)
    } else if (typeof data === 'object' && data !== null) {
      for (const key in data) this.addData((data as Record<string, unknown>)[key])
      this.#mix(-2)
    } else this.add(String(data))
  }

  #mix(value: number): void {
    this.#high = Math.imul(this.#high ^ value, 0x01000193)
    this.#low = Math.imul(this.#low ^ value, 0x85ebca6b) ^ (this.#high >>> 13)
  }

  /** 16 hexadecimal digits. */
  toString(): string {
    return [this.#high, this.#low]
      .map((half) => (half >>> 0).toString(16).padStart(8, '0'))
      .join('')
  }
}
