/** Streams that were ended from this side while their client could still send: what comes is passed over. */
const MOST_REMEMBERED = 1_024

export class CutOffStreams {
  /** The oldest first. */
  readonly #ids = new Set<number>()
  /** Up to here nobody knows any more, and everything is forgiven. */
  #forgotten = 0

  add(streamId: number): void {
    this.#ids.add(streamId)
    if (this.#ids.size <= MOST_REMEMBERED) return
    for (const oldest of this.#ids) {
      this.#ids.delete(oldest)
      this.#forgotten = Math.max(this.#forgotten, oldest)
      return
    }
  }

  mayHave(streamId: number): boolean {
    return streamId <= this.#forgotten || this.#ids.has(streamId)
  }
}
