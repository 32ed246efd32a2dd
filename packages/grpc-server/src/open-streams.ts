/** The streams of one connection, and what a frame may find in place of one (RFC 9113, section 5.1). */
import { CutOffStreams } from './cut-off-streams.ts'
import type { Http2Stream } from './http2-stream.ts'

export class OpenStreams {
  readonly #streams = new Map<number, Http2Stream>()
  readonly #cutOff = new CutOffStreams()
  /** The one of the last frame: the next one is mostly for it, too. */
  #current: Http2Stream | null = null
  #lastId = 0

  get size(): number {
    return this.#streams.size
  }

  /** The last stream that the client has opened, whether or not it is served. */
  get lastId(): number {
    return this.#lastId
  }

  values(): Iterable<Http2Stream> {
    return this.#streams.values()
  }

  find(id: number): Http2Stream | undefined {
    return this.#current?.id === id ? this.#current : this.#streams.get(id)
  }

  /** Was it never opened? */
  isIdle(id: number): boolean {
    return id > this.#lastId || id % 2 === 0
  }

  /** The client opens it. */
  begin(id: number): void {
    this.#lastId = id
  }

  add(stream: Http2Stream): void {
    this.#streams.set(stream.id, stream)
    this.#current = stream
  }

  delete(stream: Http2Stream): void {
    this.#streams.delete(stream.id)
    if (this.#current === stream) this.#current = null
  }

  /** It was ended from this side while the client could still send. */
  noteCutOff(id: number): void {
    this.#cutOff.add(id)
  }

  mayBeCutOff(id: number): boolean {
    return this.#cutOff.mayHave(id)
  }
}
