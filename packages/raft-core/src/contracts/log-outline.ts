import { RaftError } from '../errors.ts'
import {
  type Entry,
  type LogIndex,
  ORIGIN,
  type Position,
  type Term,
  type TermRun,
} from '../types.ts'
import type { AppendBatch, Stored } from './storage.ts'

/** The part of {@link Stored} that follows from the log alone. */
export type StoredLog = Pick<Stored, 'compacted' | 'lastIndex' | 'termRuns' | 'memberships'>

/**
 * What a storage has to know of its log beside the entries themselves: where it begins and ends,
 * its terms and its memberships. It grows by a few numbers per change of term, whatever the length
 * of the log. Any storage may keep one to check what it is asked and to answer `load` without
 * reading the log.
 */
export class LogOutline {
  #compacted: Position
  #lastIndex: LogIndex
  #termRuns: TermRun[]
  #memberships: Entry[]

  /** The outline of an empty log, or of one that was stored. */
  constructor(
    stored: StoredLog = { compacted: ORIGIN, lastIndex: 0, termRuns: [], memberships: [] },
  ) {
    this.#compacted = stored.compacted
    this.#lastIndex = stored.lastIndex
    this.#termRuns = [...stored.termRuns]
    this.#memberships = [...stored.memberships]
  }

  /** The position just before the first entry. */
  get compacted(): Position {
    return this.#compacted
  }

  get lastIndex(): LogIndex {
    return this.#lastIndex
  }

  /** The term of the entry at `index`, which is in the log. */
  termAt(index: LogIndex): Term | undefined {
    return this.#termRuns.findLast((run) => run.from <= index)?.term
  }

  /** A copy that later changes leave alone. */
  stored(): StoredLog {
    return {
      compacted: this.#compacted,
      lastIndex: this.#lastIndex,
      termRuns: [...this.#termRuns],
      memberships: [...this.#memberships],
    }
  }

  /** Throws a RangeError if the entries of a batch do not follow from each other and from the log. */
  checkBatch({ reset, entries }: AppendBatch): void {
    const first = entries[0]
    if (first === undefined) return
    const least = (reset ?? this.#compacted).index + 1
    const most = (reset === null ? this.#lastIndex : reset.index) + 1
    if (first.index < least || first.index > most)
      throw new RangeError(`entry ${first.index} cannot be placed between ${least} and ${most}`)
    for (let i = 1; i < entries.length; i++)
      if (entries[i]?.index !== first.index + i)
        throw new RangeError(`entry ${first.index + i} is missing from a batch`)
  }

  /** Throws what `entries(from, to)` rejects with, if it does. */
  checkRange(from: LogIndex, to: LogIndex): void {
    if (from <= this.#compacted.index)
      throw new RaftError(
        'COMPACTED',
        `entry ${from} was compacted: the log begins at ${this.#compacted.index + 1}`,
      )
    if (!(from < to && to <= this.#lastIndex + 1))
      throw new RangeError(`[${from}, ${to}) is not in the log, which ends with ${this.#lastIndex}`)
  }

  /** Throws a RangeError if `position` lies beyond the last entry. */
  checkCompaction(position: Position): void {
    if (position.index > this.#lastIndex)
      throw new RangeError(`${position.index} is beyond the last entry, ${this.#lastIndex}`)
  }

  /** Follows a batch that passed {@link checkBatch}. */
  append({ reset, entries }: AppendBatch): void {
    if (reset !== null) this.#reset(reset)
    const first = entries[0]
    if (first === undefined) return
    this.#truncate(first.index)
    for (const entry of entries) {
      if (this.#termRuns.at(-1)?.term !== entry.term)
        this.#termRuns.push({ from: entry.index, term: entry.term })
      if (entry.type === 'membership') this.#memberships.push(entry)
    }
    this.#lastIndex = first.index + entries.length - 1
  }

  /** Follows a compaction that passed {@link checkCompaction}. */
  compact(position: Position): void {
    if (position.index <= this.#compacted.index) return
    this.#compacted = position
    const first = position.index + 1
    const forgotten = this.#termRuns.findLastIndex((run) => run.from <= first)
    const run = this.#termRuns[forgotten]
    if (first > this.#lastIndex) this.#termRuns = []
    else if (run !== undefined)
      this.#termRuns.splice(0, forgotten + 1, { from: first, term: run.term })
    this.#memberships = this.#memberships.filter((entry) => entry.index >= first)
  }

  #reset(position: Position): void {
    this.#compacted = position
    this.#lastIndex = position.index
    this.#termRuns = []
    this.#memberships = []
  }

  /** Forgets what is known of the entries from `index` on. */
  #truncate(index: LogIndex): void {
    while ((this.#termRuns.at(-1)?.from ?? 0) >= index) this.#termRuns.pop()
    while ((this.#memberships.at(-1)?.index ?? 0) >= index) this.#memberships.pop()
  }
}
