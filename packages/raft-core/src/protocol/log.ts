import type { Stored } from '../contracts/storage.ts'
import { assert } from '../errors.ts'
import type { Entry, LogIndex, Position, Term } from '../types.ts'
import { TermRuns } from './term-runs.ts'

/**
 * What an entry costs in memory beside its data. Counted with it, so that a flood of empty
 * commands fills a quota too.
 */
const ENTRY_OVERHEAD_BYTES = 160

/** What an entry with this data counts for wherever entries in memory are bounded. */
export function entryBytes(data: Uint8Array): number {
  return data.length + ENTRY_OVERHEAD_BYTES
}

const NO_ENTRIES: readonly Entry[] = Object.freeze([])

/**
 * The log as the protocol sees it (§5.3): the term of every entry, and the newest entries
 * themselves in a window. What lies behind the window is on disk, and the protocol asks for it.
 *
 *     compacted.index < windowStart <= unsavedFrom <= lastIndex + 1
 *     stableIndex < unsavedFrom
 */
export class Log {
  readonly #terms: TermRuns
  #compacted: Position
  #lastIndex: LogIndex

  /** The window: `#entries[#head]` is the entry at `windowStart`; what precedes it is dead. */
  readonly #entries: Entry[] = []
  /** `#bytesUpTo[i]` is the size of all entries ever pushed up to and including `#entries[i]`. */
  readonly #bytesUpTo: number[] = []
  #head = 0
  #windowStart: LogIndex
  #bytesEvicted = 0

  /** The first entry that was not yet handed to the storage. */
  #unsavedFrom: LogIndex
  /** The last entry that is durable here. */
  #stableIndex: LogIndex

  /** The newest slice: followers that keep up all want the same one, and share it. */
  #slice: readonly Entry[] = NO_ENTRIES

  constructor(stored: Stored) {
    this.#terms = new TermRuns(stored.compacted, stored.termRuns)
    this.#compacted = stored.compacted
    this.#lastIndex = stored.lastIndex
    this.#windowStart = stored.lastIndex + 1
    this.#unsavedFrom = stored.lastIndex + 1
    this.#stableIndex = stored.lastIndex
  }

  get compacted(): Position {
    return this.#compacted
  }

  get firstIndex(): LogIndex {
    return this.#compacted.index + 1
  }

  get lastIndex(): LogIndex {
    return this.#lastIndex
  }

  get last(): Position {
    return { term: this.#terms.lastTerm, index: this.#lastIndex }
  }

  get windowStart(): LogIndex {
    return this.#windowStart
  }

  get stableIndex(): LogIndex {
    return this.#stableIndex
  }

  get unsavedFrom(): LogIndex {
    return this.#unsavedFrom
  }

  /** The term of the entry at `index`, which lies between the compacted position and the end. */
  termAt(index: LogIndex): Term {
    assert(index <= this.#lastIndex, 'no terms are known after the last entry')
    return this.#terms.termAt(index)
  }

  /** Does this log hold the entry at `position`? (§5.3, the consistency check) */
  matches(position: Position): boolean {
    const { index } = position
    if (index < this.#compacted.index || index > this.#lastIndex) return false
    return this.#terms.termAt(index) === position.term
  }

  /**
   * Is a log that ends with `last` at least as up-to-date as this one? The later last term wins;
   * with equal terms, the longer log (§5.4.1).
   */
  isUpToDate(last: Position): boolean {
    const own = this.#terms.lastTerm
    return last.term > own || (last.term === own && last.index >= this.#lastIndex)
  }

  /**
   * Where this log and another that has `term` at `index` may still agree: the last position up to
   * `index` whose term is not later. Skips a whole term per question (§5.3, end).
   */
  agreementBefore(index: LogIndex, term: Term): Position {
    const end = Math.min(index, this.#lastIndex)
    if (end <= this.#compacted.index) return this.#compacted
    const at = this.#terms.lastAtMost(end, term)
    return { term: this.#terms.termAt(at), index: at }
  }

  append(entry: Entry): void {
    assert(entry.index === this.#lastIndex + 1, 'entries are appended without a gap')
    this.#terms.append(entry.index, entry.term)
    this.#entries.push(entry)
    this.#bytesUpTo.push(this.#bytesTotal + entryBytes(entry.data))
    this.#lastIndex = entry.index
  }

  /** Removes the entry at `index` and all that follow it (§5.3: the leader's log wins). */
  truncate(index: LogIndex): void {
    assert(index > this.#compacted.index, 'what a snapshot covers is never truncated')
    const keep = Math.max(0, index - this.#windowStart)
    this.#entries.length = this.#head + keep
    this.#bytesUpTo.length = this.#head + keep
    this.#terms.truncate(index)
    this.#lastIndex = index - 1
    this.#windowStart = Math.min(this.#windowStart, index)
    this.#unsavedFrom = Math.min(this.#unsavedFrom, index)
    this.#stableIndex = Math.min(this.#stableIndex, index - 1)
    this.#slice = NO_ENTRIES
  }

  /** Starts again after `position`, which a snapshot stands for. */
  reset(position: Position): void {
    this.#entries.length = 0
    this.#bytesUpTo.length = 0
    this.#head = 0
    this.#terms.reset(position)
    this.#compacted = position
    this.#lastIndex = position.index
    this.#windowStart = position.index + 1
    this.#unsavedFrom = position.index + 1
    this.#stableIndex = position.index
    this.#slice = NO_ENTRIES
  }

  /** Forgets the entries up to and including `index`. Answers with the new compacted position. */
  compact(index: LogIndex): Position {
    assert(index > this.#compacted.index && index <= this.#stableIndex, 'compact what is durable')
    this.#compacted = { term: this.termAt(index), index }
    this.#terms.compact(index)
    if (index >= this.#windowStart) this.#evictBefore(index + 1)
    return this.#compacted
  }

  /** Keeps the window at `maxBytes`, if that takes no entry after `index` away. */
  evict(index: LogIndex, maxBytes: number): void {
    const floor = Math.min(index, this.#stableIndex, this.#lastIndex)
    let start = this.#windowStart
    while (start <= floor && this.#bytesTotal - this.#bytesBefore(start + 1) >= maxBytes) start += 1
    if (start > this.#windowStart) this.#evictBefore(start)
  }

  /** The size of the entries in [from, to) that are in the window. */
  bytesBetween(from: LogIndex, to: LogIndex): number {
    const start = Math.max(from, this.#windowStart)
    return to <= start ? 0 : this.#bytesBefore(to) - this.#bytesBefore(start)
  }

  /** The entries in [from, to) as far as `maxBytes` allow, but at least one. They are in the window. */
  slice(from: LogIndex, to: LogIndex, maxBytes: number): readonly Entry[] {
    assert(from >= this.#windowStart && to <= this.#lastIndex + 1, 'slices are cut from the window')
    if (from >= to) return NO_ENTRIES
    const limit = this.#bytesBefore(from) + maxBytes
    let end = from + 1
    if (this.#bytesBefore(to) <= limit) end = to
    else while (end < to && this.#bytesBefore(end + 1) <= limit) end += 1
    const known = this.#slice
    if (known.length === end - from && known[0]?.index === from) return known
    const offset = this.#head - this.#windowStart
    this.#slice = this.#entries.slice(from + offset, end + offset)
    return this.#slice
  }

  /** The entries that the storage has not been handed yet; from now on it has. */
  takeUnsaved(): readonly Entry[] {
    const entries = this.slice(this.#unsavedFrom, this.#lastIndex + 1, Number.POSITIVE_INFINITY)
    this.#unsavedFrom = this.#lastIndex + 1
    return entries
  }

  /** The entries up to `index`, as they are now, are durable. */
  stabilize(index: LogIndex): void {
    assert(index < this.#unsavedFrom, 'only what was handed to the storage can be durable')
    if (index > this.#stableIndex) this.#stableIndex = index
  }

  get #bytesTotal(): number {
    return this.#bytesUpTo.length > 0
      ? (this.#bytesUpTo[this.#bytesUpTo.length - 1] as number)
      : this.#bytesEvicted
  }

  #bytesBefore(index: LogIndex): number {
    const at = this.#head + (index - this.#windowStart) - 1
    return at < 0 ? this.#bytesEvicted : (this.#bytesUpTo[at] as number)
  }

  /** Moves the window's start. The dead part of the arrays is cut off once it is the larger half. */
  #evictBefore(index: LogIndex): void {
    this.#bytesEvicted = this.#bytesBefore(index)
    this.#entries.fill(
      undefined as unknown as Entry,
      this.#head,
      this.#head + (index - this.#windowStart),
    )
    this.#head += index - this.#windowStart
    this.#windowStart = index
    if (this.#head * 2 > this.#entries.length) {
      this.#entries.splice(0, this.#head)
      this.#bytesUpTo.splice(0, this.#head)
      this.#head = 0
    }
  }
}
