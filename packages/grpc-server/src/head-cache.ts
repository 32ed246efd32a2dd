/**
 * The heads of the requests that came last on a connection. A client repeats the same few header
 * blocks byte by byte once its table is filled, so that most requests need no decoding.
 */
import type { RequestHead } from './request-head.ts'

/** Blocks beyond are those of one request only. */
const MOST_BYTES = 512
/** As many kinds of calls as a client makes by turns. */
const PLACES = 8

interface Remembered {
  readonly block: Uint8Array
  readonly head: RequestHead
}

export class HeadCache {
  /** What the bytes mean depends on the decoder's table, which this numbers. */
  #generation = 0
  #entries: Remembered[] = []
  #oldest = 0

  find(bytes: Uint8Array, start: number, end: number, generation: number): RequestHead | null {
    if (generation !== this.#generation) return null
    for (const { block, head } of this.#entries)
      if (block.length === end - start && isEqual(block, bytes, start)) return head
    return null
  }

  /** Only for a block that left the table as it was: read again, it means the same. */
  add(block: Uint8Array, generation: number, head: RequestHead): void {
    if (block.length > MOST_BYTES) return
    if (generation !== this.#generation) {
      this.#generation = generation
      this.#entries = []
      this.#oldest = 0
    }
    this.#entries[this.#oldest] = { block: new Uint8Array(block), head }
    this.#oldest = (this.#oldest + 1) % PLACES
  }
}

/** Requests differ at the end, if at all: the path is often the one literal, and comes late. */
function isEqual(block: Uint8Array, bytes: Uint8Array, start: number): boolean {
  for (let at = block.length - 1; at >= 0; at -= 1)
    if (block[at] !== bytes[start + at]) return false
  return true
}
