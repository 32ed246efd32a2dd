import { assert } from '../errors.ts'
import type { LogIndex, Position, Term, TermRun } from '../types.ts'

/**
 * The term of every entry in the log, as one run per change of term: a log of millions of entries
 * has a handful. Votes, consistency checks and conflict hints ask for terms all the time, and with
 * this table none of them ever needs the disk.
 *
 * Covers `compacted.index`, whose term outlives its entry, to the last index.
 */
export class TermRuns {
  /** Ascending in `from` and in `term`. The first run starts at the compacted position. */
  readonly #from: LogIndex[] = []
  readonly #term: Term[] = []

  constructor(compacted: Position, runs: readonly TermRun[]) {
    this.reset(compacted)
    for (const run of runs) this.append(run.from, run.term)
  }

  /** Everything before and at `compacted` is gone, and so is everything after it. */
  reset(compacted: Position): void {
    this.#from.length = 0
    this.#term.length = 0
    this.#from.push(compacted.index)
    this.#term.push(compacted.term)
  }

  append(index: LogIndex, term: Term): void {
    const last = this.lastTerm
    assert(term >= last, 'terms in a log never fall')
    if (term === last) return
    this.#from.push(index)
    this.#term.push(term)
  }

  /** Forgets the terms from `index` on. The compacted position stays. */
  truncate(index: LogIndex): void {
    while (this.#from.length > 1 && (this.#from.at(-1) as number) >= index) {
      this.#from.pop()
      this.#term.pop()
    }
  }

  /** Forgets the terms before `index`, which becomes the compacted position. */
  compact(index: LogIndex): void {
    const run = this.#runOf(index)
    this.#from.splice(0, run)
    this.#term.splice(0, run)
    this.#from[0] = index
  }

  termAt(index: LogIndex): Term {
    return this.#term[this.#runOf(index)] as Term
  }

  get lastTerm(): Term {
    return this.#term[this.#term.length - 1] as Term
  }

  /** The last index up to `index` whose term is at most `term`; the compacted one if there is none. */
  lastAtMost(index: LogIndex, term: Term): LogIndex {
    let run = this.#runOf(index)
    if ((this.#term[run] as Term) <= term) return index
    run = lastUpTo(this.#term, term, run)
    return run === 0 && (this.#term[0] as Term) > term
      ? (this.#from[0] as LogIndex)
      : (this.#from[run + 1] as LogIndex) - 1
  }

  /**
   * The run that `index` falls into. Nearly always the last one; but a log may have as many runs as
   * entries, if none of its leaders lasted longer than one, so the others are searched by halves.
   */
  #runOf(index: LogIndex): number {
    assert(index >= (this.#from[0] as LogIndex), 'no terms are known before the compacted position')
    const last = this.#from.length - 1
    return (this.#from[last] as LogIndex) <= index ? last : lastUpTo(this.#from, index, last)
  }
}

/** The place of the last number up to `limit` among the first `end` of ascending ones; 0 if there is none. */
function lastUpTo(ascending: readonly number[], limit: number, end: number): number {
  let found = 0
  let beyond = end
  while (beyond - found > 1) {
    const middle = (found + beyond) >>> 1
    if ((ascending[middle] as number) <= limit) found = middle
    else beyond = middle
  }
  return found
}
