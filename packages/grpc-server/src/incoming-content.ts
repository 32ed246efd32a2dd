/** What a client sends on one stream: within its window, and of the length that it has announced. */
import { ReceiveWindow } from './receive-window.ts'

export class IncomingContent extends ReceiveWindow {
  /** What is left of the announced length; below zero from the beginning if there is none. */
  #announced: number

  constructor(windowBytes: number, contentLength: number | null) {
    super(windowBytes)
    this.#announced = contentLength ?? -1
  }

  /** Counts what a DATA frame has beside padding. False if that is more than was announced. */
  count(bytes: number): boolean {
    if (this.#announced < 0) return true
    this.#announced -= bytes
    return this.#announced >= 0
  }

  get isComplete(): boolean {
    return this.#announced <= 0
  }
}
