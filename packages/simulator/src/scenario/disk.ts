import {
  type AppendBatch,
  type Entry,
  type HardState,
  INITIAL_HARD_STATE,
  type LogIndex,
  ORIGIN,
  type Position,
  type SnapshotMeta,
  type Stored,
  type TermRun,
} from '@coracle/raft-core'

/** A snapshot, and the state it stands for: the commands applied so far. */
export interface StoredState {
  readonly meta: SnapshotMeta
  readonly state: readonly string[]
}

/** What one node of a scenario would find after a crash. Written at once, or never. */
export class ScenarioDisk {
  #hardState: HardState = INITIAL_HARD_STATE
  #compacted: Position = ORIGIN
  #entries: Entry[] = []
  #snapshot: StoredState | null = null

  append({ reset, entries, hardState }: AppendBatch): void {
    if (reset !== null) {
      this.#compacted = reset
      this.#entries = []
    }
    const first = entries[0]
    if (first !== undefined)
      this.#entries = [...this.#entries.filter((kept) => kept.index < first.index), ...entries]
    if (hardState !== null) this.#hardState = hardState
  }

  entries(from: LogIndex, to: LogIndex): readonly Entry[] | null {
    if (from <= this.#compacted.index) return null
    return this.#entries.filter(({ index }) => index >= from && index < to)
  }

  compact(position: Position): void {
    this.#compacted = position
    this.#entries = this.#entries.filter((kept) => kept.index > position.index)
  }

  get snapshot(): StoredState | null {
    return this.#snapshot
  }

  writeSnapshot(snapshot: StoredState): void {
    this.#snapshot = snapshot
  }

  load(): Stored {
    const termRuns: TermRun[] = []
    for (const { index, term } of this.#entries)
      if (termRuns.at(-1)?.term !== term) termRuns.push({ from: index, term })
    return {
      hardState: this.#hardState,
      snapshot: this.#snapshot?.meta ?? null,
      compacted: this.#compacted,
      lastIndex: this.#entries.at(-1)?.index ?? this.#compacted.index,
      termRuns,
      memberships: this.#entries.filter((entry) => entry.type === 'membership'),
    }
  }
}
