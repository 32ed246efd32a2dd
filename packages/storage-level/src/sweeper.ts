import type { Database } from './database.ts'
import type { KeyRange } from './keys.ts'

/**
 * How many keys are removed by one write. A step this long delays an append by less than its fsync
 * does.
 */
const STEP_KEYS = 500

/**
 * Removes what nobody can see any more, in small steps in the background, so that forgetting a
 * long log or a large snapshot never delays an append for long. What a crash leaves unswept is
 * swept after the next start.
 */
export class Sweeper {
  readonly #database: Database
  readonly #ranges: KeyRange[] = []
  #work: Promise<void> | null = null
  #stopping = false

  constructor(database: Database) {
    this.#database = database
  }

  add(range: KeyRange): void {
    this.#ranges.push(range)
    this.#work ??= this.#sweep()
  }

  /** Resolves when everything that was added so far is gone. */
  async done(): Promise<void> {
    await this.#work
  }

  /** Resolves when nothing is being removed any more. The rest stays. */
  async stop(): Promise<void> {
    this.#stopping = true
    await this.#work
  }

  async #sweep(): Promise<void> {
    try {
      for (let range = this.#ranges.shift(); range !== undefined; range = this.#ranges.shift())
        await this.#remove(range)
    } catch (error) {
      // Nobody waits for this, so the next write is to tell.
      this.#database.fail(error)
    } finally {
      this.#work = null
    }
  }

  async #remove(range: KeyRange): Promise<void> {
    for (let from = range.gte; !this.#stopping;) {
      const keys = await this.#database.keys({ ...range, gte: from }, { limit: STEP_KEYS })
      const last = keys.at(-1)
      if (last === undefined) return
      await this.#database.write((batch) => {
        for (const key of keys) batch.delete(key)
      })
      // The next step begins after what it just removed: LevelDB would step over each removed key.
      from = Uint8Array.of(...last, 0)
    }
  }
}
