import {
  type Entry,
  type LogIndex,
  type Membership,
  type NodeId,
  ORIGIN,
  type Position,
  type Storage,
  type Term,
} from '@coracle/raft-core'
import { Content } from './disk-content.ts'
import { DiskSession } from './disk-session.ts'
import type { Fault } from './faults.ts'
import type { Disk, DiskHooks } from './parts.ts'
import type { Random } from './random.ts'
import type { VirtualClock } from './virtual-clock.ts'

/** How a disk behaves. Probabilities are per write. */
export interface DiskWeather {
  readonly meanLatencyMs: number
  readonly stallProbability: number
  readonly stallMs: number
  readonly failureProbability: number
  /** Per read: it gives other bytes than are on the disk, and the checksum tells. */
  readonly corruption: number
}

export const CALM: DiskWeather = {
  meanLatencyMs: 1,
  stallProbability: 0,
  stallMs: 0,
  failureProbability: 0,
  corruption: 0,
}

/**
 * A disk on virtual time. It keeps to the letter of the storage's contract and no more: whatever
 * the contract leaves open, chance decides. A write becomes durable at some moment between its call
 * and its answer, and a crash before that moment leaves nothing of it.
 */
export class VirtualDisk implements Disk {
  weather: DiskWeather
  onDurable: (what: 'batch' | 'snapshot') => void = () => {}
  readonly #clock: VirtualClock
  readonly #random: Random
  readonly #befell: (fault: Fault) => void
  readonly #content = new Content()
  #session: DiskSession | null = null

  constructor(parts: {
    readonly clock: VirtualClock
    readonly random: Random
    readonly weather: DiskWeather
    readonly befell: (fault: Fault) => void
  }) {
    this.#clock = parts.clock
    this.#random = parts.random
    this.weather = parts.weather
    this.#befell = parts.befell
  }

  open(hooks: DiskHooks): Storage {
    this.crash()
    const parts = {
      disk: this,
      content: this.#content,
      clock: this.#clock,
      random: this.#random,
      befell: this.#befell,
    }
    const session = new DiskSession({ ...parts, hooks })
    this.#session = session
    return session
  }

  rot(): void {
    this.#befell('bit rot')
    this.#content.rot(this.#random)
  }

  get isRotten(): boolean {
    return this.#content.isRotten
  }

  repair(): void {
    if (!this.isRotten) return
    this.#befell('disk repaired')
    this.#content.repair()
  }

  calm(): void {
    this.weather = CALM
  }

  crash(): void {
    this.#session?.cut()
    this.#session = null
  }

  get term(): Term {
    return this.#content.hardState.term
  }

  get votedFor(): NodeId | null {
    return this.#content.hardState.votedFor
  }

  get lastIndex(): LogIndex {
    return this.#content.outline.lastIndex
  }

  get compactedIndex(): LogIndex {
    return this.#content.outline.compacted.index
  }

  get lastPosition(): Position {
    const { snapshot, outline } = this.#content
    const { compacted, lastIndex } = outline
    const term = outline.termAt(lastIndex)
    return later(
      snapshot?.meta.position ?? ORIGIN,
      term === undefined ? compacted : { term, index: lastIndex },
    )
  }

  get snapshotIndex(): LogIndex {
    return this.#content.snapshot?.meta.position.index ?? 0
  }

  termAt(index: LogIndex): Term | null {
    const { outline } = this.#content
    if (index <= outline.compacted.index || index > outline.lastIndex) return null
    return outline.termAt(index) ?? null
  }

  get memberships(): readonly Entry[] {
    return this.#content.memberships
  }

  get snapshotMembership(): Membership | null {
    return this.#content.snapshotMembership
  }
}

/** Where the more complete of two logs ends (§5.4.1). */
export function later(a: Position, b: Position): Position {
  return a.term > b.term || (a.term === b.term && a.index > b.index) ? a : b
}
