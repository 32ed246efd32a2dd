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
  tellPosition,
  type Term,
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

  /** A log of one command per term after the founding entry, as if this node had lived through them. */
  forge(term: Term, terms: readonly Term[]): void {
    const [founding] = this.#entries
    if (founding === undefined || terms[0] !== founding.term)
      throw new Error('every log begins with the entry that founds the cluster')
    const commands = terms.slice(1).map((of, at): Entry => {
      const position = { term: of, index: at + 2 }
      return {
        ...position,
        type: 'command',
        data: new TextEncoder().encode(tellPosition(position)),
      }
    })
    this.#entries = [founding, ...commands]
    this.#hardState = { term, votedFor: null, commitIndex: 1 }
  }

  /** Loses the entries from `index` on, or everything, although it promised to keep them. */
  lose(index: LogIndex): void {
    this.#entries = this.#entries.filter((kept) => kept.index < index)
    if (index > 0) return
    this.#hardState = INITIAL_HARD_STATE
    this.#compacted = ORIGIN
    this.#snapshot = null
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
