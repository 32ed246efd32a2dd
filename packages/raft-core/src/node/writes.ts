import type { Storage } from '../contracts/storage.ts'
import type { Position } from '../types.ts'

/**
 * The writes to the log, one at a time and in the order they were asked for. While one is under way
 * the protocol gathers what comes next, so that under load one write serves many proposals.
 */
export class Writes {
  readonly #storage: Storage
  readonly #spawn: (work: Promise<unknown>) => void
  readonly #waiting: (() => Promise<void>)[] = []
  #isBusy = false
  #toCompact: Position | null = null

  /** A failure of what is given to `spawn` is the failure of the node. */
  constructor(storage: Storage, spawn: (work: Promise<unknown>) => void) {
    this.#storage = storage
    this.#spawn = spawn
  }

  add(write: () => Promise<void>): void {
    this.#waiting.push(write)
    this.#next()
  }

  /** Forgets the log up to `position`. Two that wait become one. */
  compact(position: Position): void {
    const isWaiting = this.#toCompact !== null
    this.#toCompact = position
    if (isWaiting) return
    this.add(() => {
      const upTo = this.#toCompact ?? position
      this.#toCompact = null
      return this.#storage.compact(upTo)
    })
  }

  #next(): void {
    const write = this.#isBusy ? undefined : this.#waiting.shift()
    if (write === undefined) return
    this.#isBusy = true
    this.#spawn(this.#run(write))
  }

  async #run(write: () => Promise<void>): Promise<void> {
    await write()
    this.#isBusy = false
    this.#next()
  }
}
