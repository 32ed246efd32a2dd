import {
  type AppendBatch,
  type Entry,
  type HardState,
  INITIAL_HARD_STATE,
  LogOutline,
  type LogIndex,
  ORIGIN,
  type Position,
  type SnapshotMeta,
  type Stored,
  type Term,
} from '@coracle/raft-core'

/**
 * What a storage was told to keep, written down beside it. Compacted entries stay in it, for a crash
 * may bring them back.
 */
export class Ledger {
  hardState: HardState = INITIAL_HARD_STATE
  snapshot: SnapshotMeta | null = null
  /** Where the log begins: only a reset moves it, and what is before it never comes back. */
  #base: Position = ORIGIN
  #entries: readonly Entry[] = []
  #compacted: Position = ORIGIN
  #memberships: readonly Entry[] = []

  write({ reset, entries, hardState }: AppendBatch): void {
    if (reset !== null) {
      this.#base = reset
      this.#compacted = reset
      this.#entries = []
    }
    const [first] = entries
    if (first !== undefined)
      this.#entries = [...this.#entries.slice(0, first.index - 1 - this.#base.index), ...entries]
    if (reset !== null || first !== undefined) this.#listMemberships()
    if (hardState !== null) this.hardState = hardState
  }

  compact(position: Position): void {
    if (position.index <= this.#compacted.index) return
    this.#compacted = position
    this.#listMemberships()
  }

  /** The same, and one more write that may have been done or not. */
  with(batch: AppendBatch | null, snapshot: SnapshotMeta | null): Ledger {
    const copy = new Ledger()
    copy.hardState = this.hardState
    copy.snapshot = snapshot ?? this.snapshot
    copy.#base = this.#base
    copy.#entries = this.#entries
    copy.#compacted = this.#compacted
    copy.#memberships = this.#memberships
    if (batch !== null) copy.write(batch)
    return copy
  }

  get lastIndex(): LogIndex {
    return this.#base.index + this.#entries.length
  }

  get compactedIndex(): LogIndex {
    return this.#compacted.index
  }

  termAt(index: LogIndex): Term | null {
    if (index === this.#base.index) return this.#base.term
    return this.entryAt(index)?.term ?? null
  }

  entryAt(index: LogIndex): Entry | null {
    return this.#entries[index - 1 - this.#base.index] ?? null
  }

  /** Is this what a storage that kept this log may answer? */
  holds(
    entries: readonly Entry[],
    { from, to }: { readonly from: LogIndex; readonly to: LogIndex },
  ): boolean {
    if (entries.length === 0 || entries.length > to - from) return false
    return entries.every((entry, at) => {
      const kept = this.entryAt(from + at)
      return kept !== null && isSameEntry(kept, entry)
    })
  }

  get memberships(): readonly Entry[] {
    return this.#memberships
  }

  #listMemberships(): void {
    this.#memberships = this.#entries.filter(
      ({ index, type }) => type === 'membership' && index > this.#compacted.index,
    )
  }

  /** Takes over how much the storage has forgotten, which is its own choice. */
  follow({ compacted }: Stored): void {
    this.#compacted = compacted
    this.#listMemberships()
  }

  /** Why a storage that kept this cannot have loaded that; null if it can. */
  whyNot(stored: Stored): string | null {
    const { hardState, compacted, lastIndex } = stored
    if (tellHardState(hardState) !== tellHardState(this.hardState))
      return `it kept ${tellHardState(this.hardState)}, and loads ${tellHardState(hardState)}`
    const snapshotIndex = stored.snapshot?.position.index ?? 0
    const keptIndex = this.snapshot?.position.index ?? 0
    if (snapshotIndex !== keptIndex)
      return `it kept a snapshot up to ${keptIndex}, and loads one up to ${snapshotIndex}`
    if (lastIndex !== this.lastIndex)
      return `it kept a log up to ${this.lastIndex}, and loads one up to ${lastIndex}`
    if (compacted.index < this.#base.index || compacted.index > this.#compacted.index)
      return `it was told to forget ${this.#compacted.index} entries, and forgot ${compacted.index}`
    return this.#whyNotTheLog(stored)
  }

  #whyNotTheLog(stored: Stored): string | null {
    const outline = new LogOutline(stored)
    for (let index = stored.compacted.index + 1; index <= stored.lastIndex; index++)
      if (outline.termAt(index) !== this.termAt(index))
        return `it kept entry ${index} of term ${this.termAt(index)}, and loads term ${outline.termAt(index)}`
    const kept = this.#entries.filter(
      ({ index, type }) => type === 'membership' && index > stored.compacted.index,
    )
    const isSame =
      kept.length === stored.memberships.length &&
      kept.every((entry, at) => isSameEntry(entry, stored.memberships[at]))
    return isSame ? null : 'it loads other memberships than it kept'
  }
}

function isSameEntry(a: Entry, b: Entry | undefined): boolean {
  return (
    b !== undefined &&
    a.index === b.index &&
    a.term === b.term &&
    a.type === b.type &&
    a.data.length === b.data.length &&
    a.data.every((byte, at) => byte === b.data[at])
  )
}

function tellHardState({ term, votedFor, commitIndex }: HardState): string {
  return `term ${term}, a vote for ${votedFor ?? 'nobody'} and commit index ${commitIndex}`
}
