import type { NodeId, OpenSnapshot } from '@coracle/raft-core'

/** A snapshot on its way. It may break at any moment, and then both ends learn of it. */
export class SnapshotStream {
  readonly from: NodeId
  readonly to: NodeId
  readonly #broken: Promise<never>
  #break: (reason: Error) => void = () => {}

  constructor(from: NodeId, to: NodeId) {
    this.from = from
    this.to = to
    this.#broken = new Promise((_, reject) => {
      this.#break = reject
    })
    // Whoever uses the stream hears of it; that nobody does is no failure.
    this.#broken.catch(() => {})
  }

  isBetween(a: NodeId, b: NodeId): boolean {
    return (this.from === a && this.to === b) || (this.from === b && this.to === a)
  }

  break(): void {
    this.#break(new Error(`the stream from ${this.from} to ${this.to} broke`))
  }

  /** What `work` comes to, or the news that the stream broke. */
  unlessBroken<Value>(work: Promise<Value>): Promise<Value> {
    return Promise.race([work, this.#broken])
  }

  /** The receiver's way to open what the sender has: there and back, and then chunk by chunk. */
  carry(open: OpenSnapshot, pause: () => Promise<void>): OpenSnapshot {
    return async (held) => {
      await this.unlessBroken(pause())
      const { offset, chunks } = await this.unlessBroken(open(held))
      return { offset, chunks: this.#carryChunks(chunks, pause) }
    }
  }

  /** The chunks as they arrive. */
  async *#carryChunks(
    chunks: AsyncIterable<Uint8Array>,
    pause: () => Promise<void>,
  ): AsyncGenerator<Uint8Array> {
    const source = chunks[Symbol.asyncIterator]()
    try {
      for (;;) {
        const { done, value } = await this.unlessBroken(source.next())
        await this.unlessBroken(pause())
        if (done === true) return
        yield value
      }
    } finally {
      // Not awaited: it may be in the middle of what never ends.
      source.return?.()?.catch(() => {})
    }
  }
}
