/** Header blocks out of HEADERS and CONTINUATION frames (RFC 9113, sections 4.3, 6.2 and 6.10). */
import { ErrorCode, Flag, Http2Error, protocolError } from './frames.ts'

/** Gets a whole header block: `bytes` in [start, end). */
export type HeaderBlockSink = (
  streamId: number,
  endsStream: boolean,
  bytes: Uint8Array,
  start: number,
  end: number,
) => void

interface Unfinished {
  readonly streamId: number
  readonly endsStream: boolean
  readonly fragments: Uint8Array[]
  bytes: number
}

export class HeaderBlocks {
  readonly #maxBytes: number
  readonly #sink: HeaderBlockSink
  #unfinished: Unfinished | null = null

  constructor(maxBytes: number, sink: HeaderBlockSink) {
    this.#maxBytes = maxBytes
    this.#sink = sink
  }

  /** Nothing but its continuation may come now. */
  get isUnfinished(): boolean {
    return this.#unfinished !== null
  }

  headers(flags: number, streamId: number, bytes: Uint8Array, start: number, end: number): void {
    if (streamId % 2 === 0) throw protocolError('headers of no stream of a client')
    let from = start
    let to = end
    if ((flags & Flag.PADDED) !== 0) {
      to -= bytes[from] as number
      from += 1
    }
    if ((flags & Flag.PRIORITY) !== 0) from += 5
    if (from > to) throw protocolError('more padding than frame')
    const endsStream = (flags & Flag.END_STREAM) !== 0
    if ((flags & Flag.END_HEADERS) !== 0) return this.#sink(streamId, endsStream, bytes, from, to)
    const fragments = [bytes.subarray(from, to)]
    this.#unfinished = { streamId, endsStream, fragments, bytes: to - from }
  }

  continuation(
    flags: number,
    streamId: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    const block = this.#unfinished
    if (block === null || block.streamId !== streamId)
      throw protocolError('a continuation of nothing')
    block.bytes += end - start
    // Compressed, the largest list that is taken could still be larger than this, but never is.
    if (block.bytes > this.#maxBytes)
      throw new Http2Error(ErrorCode.ENHANCE_YOUR_CALM, 'a header block without end')
    block.fragments.push(bytes.subarray(start, end))
    if ((flags & Flag.END_HEADERS) === 0) return
    this.#unfinished = null
    const whole = Buffer.concat(block.fragments)
    this.#sink(streamId, block.endsStream, whole, 0, whole.length)
  }
}
