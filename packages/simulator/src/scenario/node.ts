import {
  type AppendBatch,
  type Entry,
  type InstallSnapshot,
  type LogIndex,
  type Membership,
  type Message,
  type NodeId,
  type RaftEvent,
  resolveOptions,
} from '@coracle/raft-core'
import {
  CheckedRaft,
  type FetchWork,
  type ProtocolMessage,
  type Raft,
} from '@coracle/raft-core/protocol'
import { ScenarioDisk, type StoredState } from './disk.ts'

/** What leaves a node: a message, with the state it carries if it opens a snapshot's stream. */
export interface Parcel {
  readonly message: Message
  readonly state?: StoredState
}

/** What of a node can be slow. */
export type Part = 'disk' | 'machine' | 'reads'

export interface NodeSettings {
  readonly id: NodeId
  /** Who founds the cluster; null for a node that waits to be added. */
  readonly founders: Membership | null
  /** Places of nodes spread their election timeouts, so that no two are alike. */
  readonly place: number
  readonly options: Parameters<typeof resolveOptions>[0]
  readonly onEvent: (event: RaftEvent) => void
  readonly onRead: (id: number, index: LogIndex) => void
  readonly onApply: (entry: Entry) => void
}

/**
 * One node of a scenario: the real protocol, which checks itself at every step, a disk that can be
 * held up, and commands applied to a list. Everything happens at once and in a fixed order, so that a
 * scenario reads the same each time.
 */
export class ScenarioNode {
  readonly disk: ScenarioDisk = new ScenarioDisk()
  readonly #settings: NodeSettings
  #raft: Raft | null = null
  /** The clock of the computer goes on when the process does not. */
  #now = 0
  #state: string[] = []
  /** What is held up: writes do not finish, nothing is applied, or reads of old entries do not finish. */
  readonly stalled: Set<Part> = new Set()
  #unfinishedWrite: AppendBatch | null = null
  readonly #unfinishedReads: FetchWork[] = []
  /** A snapshot up to here took the place of the state. */
  #restored: LogIndex | null = null

  constructor(settings: NodeSettings) {
    this.#settings = settings
  }

  get id(): NodeId {
    return this.#settings.id
  }

  get raft(): Raft {
    if (this.#raft === null) throw new Error(`${this.id} is down`)
    return this.#raft
  }

  get isUp(): boolean {
    return this.#raft !== null
  }

  /** What was applied, in order. */
  get state(): readonly string[] {
    return this.#state
  }

  /** Starts from what the disk holds. */
  start(): void {
    const { id, founders, place, options, onEvent } = this.#settings
    const snapshot = this.disk.snapshot
    this.#state = [...(snapshot?.state ?? [])]
    this.#raft = new CheckedRaft({
      id,
      options: resolveOptions(options),
      stored: this.disk.load(),
      bootstrap: founders,
      appliedIndex: snapshot?.meta.position.index ?? 0,
      random: () => place / 10,
      now: this.#now,
      trace: onEvent,
    })
  }

  tick(): void {
    this.pass(1)
    this.raft.tick()
  }

  /** So much time passes on the clock, in ticks, whether or not the process notices. */
  pass(ticks: number): void {
    this.#now += ticks * resolveOptions(this.#settings.options).tickMs
    this.raft.clock(this.#now)
  }

  /**
   * Loses everything that is not on the disk. A write under way is there whole or not at all: which of
   * the two is the disk's luck, for nobody was told.
   */
  crash({ isWritten = false }: { readonly isWritten?: boolean } = {}): void {
    if (isWritten && this.#unfinishedWrite !== null) this.disk.append(this.#unfinishedWrite)
    this.#raft = null
    this.#unfinishedWrite = null
    this.#unfinishedReads.length = 0
    this.#restored = null
  }

  /** Carries out what the protocol wants done. Answers with what it sends. */
  work(): readonly Parcel[] {
    const parcels: Parcel[] = []
    for (let busy = this.isUp; busy;) {
      const { messages, append, fetches, snapshots, reads, more } = this.raft.effects()
      for (const message of messages) parcels.push({ message })
      for (const { id, index } of reads) this.#settings.onRead(id, index)
      this.#unfinishedReads.push(...fetches)
      const fetched = !this.stalled.has('reads') && this.#finishReads()
      for (const to of snapshots) parcels.push(...this.#openSnapshot(to))
      if (append !== null) this.#unfinishedWrite = append
      const wrote = !this.stalled.has('disk') && this.finishWrite()
      const applied = !this.stalled.has('machine') && this.#apply()
      busy = messages.length > 0 || fetched || wrote || applied || more
    }
    return parcels
  }

  receive({ message, state }: Parcel): void {
    if (message.type === 'install-snapshot') this.#receiveSnapshot(message, state)
    else this.raft.step(message as ProtocolMessage)
  }

  /** Takes a snapshot of everything applied and forgets the log before it, but for `keep` entries. */
  compact(keep: number): void {
    const meta = this.raft.snapshotMeta
    this.disk.writeSnapshot({ meta, state: [...this.#state] })
    const position = this.raft.compact(meta.position.index - keep)
    if (position !== null) this.disk.compact(position)
  }

  #openSnapshot(to: NodeId): readonly Parcel[] {
    const state = this.disk.snapshot
    const message = state === null ? null : this.raft.announceSnapshot(to, state.meta)
    return state === null || message === null ? [] : [{ message, state }]
  }

  #receiveSnapshot(message: InstallSnapshot, state: StoredState | undefined): void {
    this.raft.step(message)
    if (state === undefined || !this.raft.wantsSnapshot(message)) return
    this.disk.writeSnapshot(state)
    if (!this.raft.installSnapshot(message)) return
    this.#state = [...state.state]
    // The log is replaced with the next write; the state is there as soon as that is done.
    this.#restored = message.meta.position.index
  }

  /** Finishes the write under way, even on a disk that is held up. */
  finishWrite(): boolean {
    if (this.#unfinishedWrite === null) return false
    this.disk.append(this.#unfinishedWrite)
    this.#unfinishedWrite = null
    this.raft.appendDone()
    return true
  }

  #finishReads(): boolean {
    const reads = this.#unfinishedReads.splice(0)
    for (const { id, from, end } of reads)
      this.raft.entriesFetched(id, this.disk.entries(from, end))
    return reads.length > 0
  }

  #apply(): boolean {
    if (this.#restored !== null) {
      this.raft.applied(this.#restored)
      this.#restored = null
    }
    const from = this.raft.appliedIndex + 1
    if (from > this.raft.applicableIndex) return false
    const entries =
      this.raft.committedEntries(from, Number.MAX_SAFE_INTEGER) ??
      this.disk.entries(from, this.raft.applicableIndex + 1) ??
      []
    for (const entry of entries) {
      if (entry.type === 'command') this.#state.push(new TextDecoder().decode(entry.data))
      this.#settings.onApply(entry)
    }
    this.raft.applied(from + entries.length - 1)
    return true
  }
}
