import { LogOutline } from '../../src/contracts/log-outline.ts'
import type { AppendBatch, Stored } from '../../src/contracts/storage.ts'
import {
  type Entry,
  type HardState,
  INITIAL_HARD_STATE,
  type LogIndex,
  type Position,
  type SnapshotMeta,
} from '../../src/types.ts'

export interface DiskSnapshot {
  readonly meta: SnapshotMeta
  readonly bytes: Uint8Array
}

/** What survives a crash of one node: the simplest thing that keeps the contract of a storage. */
export class Disk {
  hardState: HardState = INITIAL_HARD_STATE
  snapshot: DiskSnapshot | null = null
  #entries: Entry[] = []
  readonly #outline = new LogOutline()

  load(): Stored {
    return {
      ...this.#outline.stored(),
      hardState: this.hardState,
      snapshot: this.snapshot?.meta ?? null,
    }
  }

  get entries(): readonly Entry[] {
    return this.#entries
  }

  append(batch: AppendBatch): void {
    this.#outline.checkBatch(batch)
    this.#outline.append(batch)
    if (batch.reset !== null) this.#entries = []
    const first = batch.entries[0]
    if (first !== undefined)
      this.#entries = [
        ...this.#entries.filter((entry) => entry.index < first.index),
        ...batch.entries,
      ]
    if (batch.hardState !== null) this.hardState = batch.hardState
  }

  compact(position: Position): void {
    this.#outline.checkCompaction(position)
    this.#outline.compact(position)
    this.#entries = this.#entries.filter((entry) => entry.index > position.index)
  }

  /** Entries in [from, to), cut at `maxBytes` of data but never to nothing. */
  read(from: LogIndex, to: LogIndex, maxBytes: number): readonly Entry[] {
    this.#outline.checkRange(from, to)
    const taken: Entry[] = []
    let bytes = 0
    for (const entry of this.#entries) {
      if (entry.index < from || entry.index >= to) continue
      bytes += entry.data.length
      if (taken.length > 0 && bytes > maxBytes) break
      taken.push(entry)
    }
    return taken
  }
}
