/** What a client sends on one stream, cut into the requests of its method. */
import type { JsonCodec } from './json-codec.ts'
import { jsonSplitter } from './json-text.ts'

export interface JsonRequests {
  /**
   * Takes more text, and gives the requests that are whole now. Throws for what is no request, and
   * for one that is too large.
   */
  push(text: string): Iterable<object>
  /** There is no more text: throws if what is left over is no request. */
  finish(): void
}

export function jsonRequests(codec: JsonCodec): JsonRequests {
  const splitter = jsonSplitter()
  return {
    *push(text) {
      for (const value of splitter.push(text)) yield codec.decode(value)
      const { rest } = splitter
      if (rest.length > codec.maxTextBytes) throw codec.tooLarge(rest.length)
      // No brace that is still to come would make a request of it, so nobody has to wait for one.
      if (/^\s*[^\s{[]/.test(rest)) codec.decode(rest)
    },
    finish() {
      if (splitter.rest.trim() !== '') codec.decode(splitter.rest)
    },
  }
}
