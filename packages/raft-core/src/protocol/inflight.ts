import { assert } from '../errors.ts'
import type { LogIndex } from '../types.ts'

/** The append messages on their way to one follower, oldest first: the last index and size of each. */
export class Inflight {
  #lastIndex: LogIndex[]
  #bytes: number[]
  #capacity: number
  #start = 0
  #count = 0
  #totalBytes = 0

  constructor(capacity: number) {
    this.#capacity = capacity
    this.#lastIndex = Array.from({ length: capacity }, () => 0)
    this.#bytes = Array.from({ length: capacity }, () => 0)
  }

  get count(): number {
    return this.#count
  }

  get bytes(): number {
    return this.#totalBytes
  }

  get full(): boolean {
    return this.#count >= this.#capacity
  }

  /** Has room for so many from now on. What is on the way already stays, even if it is more. */
  resize(capacity: number): void {
    const lastIndex = rotated(this.#lastIndex, this.#start)
    const bytes = rotated(this.#bytes, this.#start)
    const length = Math.max(capacity, this.#count)
    this.#lastIndex = Array.from({ length }, (_, at) => lastIndex[at] ?? 0)
    this.#bytes = Array.from({ length }, (_, at) => bytes[at] ?? 0)
    this.#start = 0
    this.#capacity = capacity
  }

  push(lastIndex: LogIndex, bytes: number): void {
    assert(!this.full, 'the in-flight window is not full')
    const at = (this.#start + this.#count) % this.#lastIndex.length
    this.#lastIndex[at] = lastIndex
    this.#bytes[at] = bytes
    this.#count += 1
    this.#totalBytes += bytes
  }

  /** Everything up to `index` has arrived. */
  acknowledge(index: LogIndex): void {
    while (this.#count > 0 && (this.#lastIndex[this.#start] as LogIndex) <= index) {
      this.#totalBytes -= this.#bytes[this.#start] as number
      this.#start = (this.#start + 1) % this.#lastIndex.length
      this.#count -= 1
    }
  }

  clear(): void {
    this.#start = 0
    this.#count = 0
    this.#totalBytes = 0
  }
}

function rotated(ring: readonly number[], start: number): readonly number[] {
  return [...ring.slice(start), ...ring.slice(0, start)]
}
