import type { LogIndex } from '../types.ts'

/** So many bytes of commands had been applied since the node started when the state was at `index`. */
interface Mark {
  readonly index: LogIndex
  readonly bytes: number
}

/** What is to be kept of a log is cut as finely as this part of it. */
const PARTS = 64

/**
 * How large the end of the log is. Entries that are applied may have left memory, and their sizes with
 * them, so marks are set along the way: a few for each size that matters, and none for what is older.
 */
export class AppliedSizes {
  readonly #marks: Mark[]

  /** What was applied before `start` has an unknown size, and is never too much. */
  constructor(start: LogIndex) {
    this.#marks = [{ index: start, bytes: 0 }]
  }

  /** How many marks there are: never many. */
  get count(): number {
    return this.#marks.length
  }

  /** The state has come to `index`, by so many bytes since the node started. */
  note({ index, bytes }: Mark, keepBytes: number): void {
    const newest = this.#marks[this.#marks.length - 1] as Mark
    if (bytes === newest.bytes || bytes - newest.bytes < keepBytes / PARTS) return
    this.#marks.push({ index, bytes })
    const isKept = this.#marks.findIndex((mark) => bytes - mark.bytes <= keepBytes)
    // The one before it tells that there is more than is kept.
    this.#marks.splice(0, isKept - 1)
  }

  /** Up to where the log has to go for at most `keepBytes` to be left of what is applied; 0 for nowhere. */
  cut({ index, bytes }: Mark, keepBytes: number): LogIndex {
    if (bytes <= keepBytes) return 0
    return this.#marks.find((mark) => bytes - mark.bytes <= keepBytes)?.index ?? index
  }
}
