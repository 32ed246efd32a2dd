/** Header blocks of a client, read in the order in which they come: the table depends on each of them. */
import { ErrorCode } from './frames.ts'
import { HeadCache } from './head-cache.ts'
import { HpackDecoder } from './hpack-decoder.ts'
import { areTrailers, type RequestHead, requestHead } from './request-head.ts'

export class RequestHeads {
  readonly #decoder: HpackDecoder
  readonly #cache = new HeadCache()

  constructor(maxHeaderListBytes: number) {
    this.#decoder = new HpackDecoder(maxHeaderListBytes)
  }

  /** The head of a request, or the code of the error that it is. */
  read(bytes: Uint8Array, start: number, end: number): RequestHead | number {
    const { generation } = this.#decoder
    const known = this.#cache.find(bytes, start, end, generation)
    if (known !== null) return known
    const { fields, isTooLarge } = this.#decoder.decode(bytes, start, end)
    if (isTooLarge) return ErrorCode.ENHANCE_YOUR_CALM
    const head = requestHead(fields)
    if (head === null) return ErrorCode.PROTOCOL_ERROR
    if (this.#decoder.generation === generation)
      this.#cache.add(bytes.subarray(start, end), generation, head)
    return head
  }

  /** Reads what ends a request. Are they trailers? */
  readTrailers(bytes: Uint8Array, start: number, end: number): boolean {
    const { fields, isTooLarge } = this.#decoder.decode(bytes, start, end)
    return !isTooLarge && areTrailers(fields)
  }
}
