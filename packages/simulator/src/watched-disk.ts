import {
  type AppendBatch,
  type Entry,
  type LogIndex,
  type Membership,
  type NodeId,
  ORIGIN,
  type Position,
  type SnapshotMeta,
  type Storage,
  type Term,
} from '@coracle/raft-core'
import { DiskFailure } from './disk-content.ts'
import type { Fault } from './faults.ts'
import { Ledger } from './ledger.ts'
import type { StorageWorld, TestedDisk } from './own-parts.ts'
import type { Disk, DiskHooks } from './parts.ts'
import type { Random } from './random.ts'
import type { VirtualClock } from './virtual-clock.ts'
import { CALM, type DiskWeather, later } from './virtual-disk.ts'
import { WatchedStorage } from './watched-storage.ts'

/** What was on its way to the disk when the power was cut: it may be there or not. */
interface Doubt {
  readonly batch: AppendBatch | null
  readonly snapshot: SnapshotMeta | null
}

/**
 * A disk under test, with a ledger of what it was told to keep. What can be seen of it from outside
 * is what the ledger says; whenever its storage is loaded, the two must be the same.
 */
export class WatchedDisk implements Disk {
  weather: DiskWeather
  onDurable: (what: 'batch' | 'snapshot') => void = () => {}
  readonly clock: VirtualClock
  readonly random: Random
  readonly breach: (why: string) => void
  ledger: Ledger = new Ledger()
  readonly #befell: (fault: Fault) => void
  readonly #inner: TestedDisk
  #session: WatchedStorage | null = null
  /** Counts power cuts: what waits for a sync waits for ever after one. */
  #cuts = 0
  #doubts: readonly Doubt[] = []

  constructor(parts: {
    readonly id: NodeId
    readonly clock: VirtualClock
    readonly random: Random
    readonly weather: DiskWeather
    readonly befell: (fault: Fault) => void
    readonly open: (world: StorageWorld) => TestedDisk
    readonly breach: (why: string) => void
  }) {
    this.clock = parts.clock
    this.random = parts.random
    this.weather = parts.weather
    this.breach = parts.breach
    this.#befell = parts.befell
    this.#inner = parts.open({ id: parts.id, sync: () => this.#sync() })
  }

  open(hooks: DiskHooks): Storage {
    this.crash()
    this.#session = new WatchedStorage(this, this.#inner.open(), hooks)
    return this.#session
  }

  crash(): void {
    const session = this.#session
    if (session === null) return
    this.#session = null
    this.#cuts += 1
    const { batch, snapshot } = session.cut()
    if (batch !== null) this.#befell('unsynced write lost')
    if (snapshot !== null) this.#befell('snapshot write cut short')
    this.#doubts = [...this.#doubts, { batch, snapshot }]
    this.#inner.crash()
  }

  /** What a storage has loaded settles what came of the writes that were under way in a crash. */
  settle(stored: Parameters<Ledger['whyNot']>[0]): void {
    const before = this.#doubts.reduce<readonly Ledger[]>(withDoubt, [this.ledger])
    this.#doubts = []
    const found = before.find((ledger) => ledger.whyNot(stored) === null)
    if (found === undefined) return this.breach(this.ledger.whyNot(stored) ?? '')
    this.ledger = found
    found.follow(stored)
  }

  /** How long a read takes, or what is left of a write after it took effect. */
  latency(): number {
    return this.random.exponential(this.weather.meanLatencyMs / 2)
  }

  async #sync(): Promise<void> {
    const cuts = this.#cuts
    const { stallProbability, stallMs, failureProbability } = this.weather
    const isStalled = this.random.chance(stallProbability)
    if (isStalled) this.#befell('write stalled')
    await this.clock.sleep(this.latency() + (isStalled ? this.random.next() * stallMs : 0))
    if (cuts !== this.#cuts) await new Promise<never>(() => {})
    if (!this.random.chance(failureProbability)) return
    this.#befell('write failed')
    throw new DiskFailure('the disk failed to write')
  }

  /** Where the bytes of a disk under test are, nobody here knows. */
  rot(): void {}

  repair(): void {}

  calm(): void {
    this.weather = CALM
  }

  get term(): Term {
    return this.ledger.hardState.term
  }

  get votedFor(): NodeId | null {
    return this.ledger.hardState.votedFor
  }

  get lastIndex(): LogIndex {
    return this.ledger.lastIndex
  }

  get compactedIndex(): LogIndex {
    return this.ledger.compactedIndex
  }

  get lastPosition(): Position {
    const { ledger } = this
    const index = ledger.lastIndex
    return later(ledger.snapshot?.position ?? ORIGIN, { term: ledger.termAt(index) ?? 0, index })
  }

  get snapshotIndex(): LogIndex {
    return this.ledger.snapshot?.position.index ?? 0
  }

  termAt(index: LogIndex): Term | null {
    return index <= this.ledger.compactedIndex ? null : this.ledger.termAt(index)
  }

  get memberships(): readonly Entry[] {
    return this.ledger.memberships
  }

  get snapshotMembership(): Membership | null {
    return this.ledger.snapshot?.membership ?? null
  }
}

/** Each of the two may have been done, or both, or neither. */
function withDoubt(ledgers: readonly Ledger[], { batch, snapshot }: Doubt): readonly Ledger[] {
  const choices = [
    [null, null],
    [batch, null],
    [null, snapshot],
    [batch, snapshot],
  ] as const
  return ledgers.flatMap((ledger) => choices.map((choice) => ledger.with(choice[0], choice[1])))
}
