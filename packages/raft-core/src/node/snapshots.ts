import type { StateMachine } from '../contracts/state-machine.ts'
import type { Storage } from '../contracts/storage.ts'
import type { HeldSnapshot, OpenSnapshot, SnapshotRest, Transport } from '../contracts/transport.ts'
import type { InstallSnapshot } from '../messages.ts'
import type { NodeOptions } from '../options.ts'
import type { Raft } from '../protocol/raft.ts'
import type { Trace } from '../trace.ts'
import type { LogIndex, NodeId, Position, SnapshotMeta } from '../types.ts'
import {
  type Counter,
  NOTHING_HELD,
  rejectionOf,
  sealed,
  skipHeld,
  verified,
  watchFailure,
} from './snapshot-stream.ts'

/** How much of a snapshot has left for a follower. */
export interface SnapshotProgress {
  /** What the snapshot covers. */
  readonly index: LogIndex
  /** Together with what the follower held already. */
  readonly sentBytes: number
  /** 0 as long as the follower has not said that it wants it. */
  readonly totalBytes: number
}

/** Why a stream ended early: not this node's fault. */
export interface StreamFailure {
  readonly failure: unknown
}

/** What the run loop lends to work that takes longer than a turn. */
export interface LoopAccess {
  /** Runs `job` in a turn of the loop, the only place where the protocol may be touched. */
  enter<Value>(job: () => Value): Promise<Value>
  /** Tries at the end of every turn, until `attempt` answers with something. */
  eventually<Value>(attempt: () => Value | null): Promise<Value>
  /** Aborted when the node stops. */
  readonly signal: AbortSignal
}

/** Who takes a received snapshot over into the state machine. */
export interface Restorer {
  /** A snapshot that is stored is still to be taken over. */
  readonly isRestoring: boolean
  restoreUpTo(index: LogIndex): void
}

/**
 * Snapshots of one node (§7): takes its own when the log has grown enough, sends the stored one to
 * followers that need entries long gone, and stores those that a leader sends. Only one is written
 * at a time.
 */
export class Snapshots {
  readonly #raft: Raft
  readonly #storage: Storage
  readonly #transport: Transport
  readonly #stateMachine: StateMachine
  readonly #options: NodeOptions
  readonly #trace: Trace | null
  readonly #loop: LoopAccess
  readonly #restorer: Restorer
  /** What describes the newest stored snapshot. */
  #newest: SnapshotMeta | null
  #bytesAppliedThen = 0
  #takenAtMs: number
  #ticks = 0
  /** Streams to followers, by follower. */
  readonly #sending = new Map<NodeId, Sending>()
  /** The tick up to which a newer snapshot is put off, so that a broken stream can go on. */
  #patientUntil = 0
  /** What has arrived of a snapshot whose stream broke: the storage keeps it. */
  #unfinished: Unfinished | null = null
  /** The write under way. It never rejects. */
  #writing: Promise<unknown> | null = null
  /** Streams that are being received or wait for their turn: no snapshot is taken meanwhile. */
  #receiving = 0
  #lastReceived: Promise<unknown> = Promise.resolve()

  constructor(parts: {
    readonly raft: Raft
    readonly storage: Storage
    readonly transport: Transport
    readonly stateMachine: StateMachine
    readonly options: NodeOptions
    readonly trace: Trace | null
    readonly loop: LoopAccess
    readonly restorer: Restorer
    readonly newest: SnapshotMeta | null
    readonly nowMs: number
  }) {
    this.#raft = parts.raft
    this.#storage = parts.storage
    this.#transport = parts.transport
    this.#stateMachine = parts.stateMachine
    this.#options = parts.options
    this.#trace = parts.trace
    this.#loop = parts.loop
    this.#restorer = parts.restorer
    this.#newest = parts.newest
    this.#takenAtMs = parts.nowMs
  }

  /** What the newest stored snapshot covers. */
  get index(): LogIndex {
    return this.#newest?.position.index ?? 0
  }

  /** How much of the snapshot on its way to this follower has left; null if none is. */
  sendingTo(to: NodeId): SnapshotProgress | null {
    const sending = this.#sending.get(to)
    return sending === undefined
      ? null
      : { index: sending.position.index, sentBytes: sending.bytes, totalBytes: sending.totalBytes }
  }

  /** No snapshot is being written or received. */
  get canTake(): boolean {
    return this.#writing === null && this.#receiving === 0
  }

  /**
   * Has enough been applied since the last snapshot, in entries or in bytes, or anything at all for
   * long enough? While one is on its way to a follower, or broke off a moment ago, the next is put off
   * until there is twice as much: it would make worthless what the follower holds already.
   */
  isDue(bytesApplied: number, nowMs: number): boolean {
    const entries = this.#raft.appliedIndex - this.index
    if (entries <= 0 || !this.canTake) return false
    const { snapshotEntries, snapshotBytes, snapshotAgeMs } = this.#options
    const patience = this.#sending.size > 0 || this.#ticks < this.#patientUntil ? 2 : 1
    const bytes = bytesApplied - this.#bytesAppliedThen
    const ageMs = nowMs - this.#takenAtMs
    return (
      entries >= patience * snapshotEntries ||
      bytes >= patience * snapshotBytes ||
      (snapshotAgeMs > 0 && ageMs >= patience * snapshotAgeMs)
    )
  }

  /** Time passes: what arrived of a snapshot is dropped if nobody has gone on with it. */
  tick(): Promise<void> | null {
    this.#ticks += 1
    const unfinished = this.#unfinished
    if (unfinished === null || !this.canTake) return null
    const isNeeded = unfinished.position.index > this.#raft.commitIndex
    if (isNeeded && this.#ticks < unfinished.keptUntil) return null
    this.#unfinished = null
    return this.#exclusively(this.#storage.dropUnfinished())
  }

  /**
   * Takes a snapshot of the state as it is at this moment; called in a turn of the loop, between
   * two calls to the state machine. Resolves when it is stored.
   */
  take(bytesApplied: number, nowMs: number): Promise<SnapshotMeta> {
    const meta = this.#raft.snapshotMeta
    const chunks = this.#stateMachine.snapshot()
    this.#bytesAppliedThen = bytesApplied
    this.#takenAtMs = nowMs
    this.#unfinished = null
    return this.#write(meta, chunks, 0).then(() => {
      const { position } = meta
      this.#trace?.({
        type: 'snapshot-taken',
        node: this.#raft.id,
        term: this.#raft.term,
        position,
      })
      return meta
    })
  }

  /** Sends the newest stored snapshot. Whatever becomes of it, the protocol is told. */
  async send(to: NodeId): Promise<void> {
    const meta = this.#newest
    const message = meta === null ? null : this.#raft.announceSnapshot(to, meta)
    const received = message !== null && (await this.#stream(message))
    await this.#loop.enter(() => {
      this.#patientUntil = this.#ticks + this.#options.electionTicks
      this.#raft.snapshotSent(to, received)
    })
  }

  /** Did the follower get all of it? A stored snapshot that cannot be read is fatal, as any such read. */
  async #stream(message: InstallSnapshot): Promise<boolean> {
    const { to, meta } = message
    const { signal } = this.#loop
    const sending: Sending = {
      position: meta.position,
      totalBytes: 0,
      ...NOTHING_HELD,
      hasFailed: () => false,
    }
    this.#sending.set(to, sending)
    const open = (held: HeldSnapshot): Promise<SnapshotRest> => this.#openStored(sending, held)
    try {
      await this.#transport.sendSnapshot(message, open, { signal })
      return true
    } catch (error) {
      if (sending.hasFailed() && !signal.aborted) throw error
      return false
    } finally {
      this.#sending.delete(to)
    }
  }

  /** What the receiver does not hold yet: all of it, if it holds something else. */
  async #openStored(sending: Sending, held: HeldSnapshot): Promise<SnapshotRest> {
    if (held.bytes > 0) {
      const rest = await skipHeld(await this.#readStored(sending), held)
      if (rest !== null) {
        Object.assign(sending, held)
        return { offset: held.bytes, chunks: sealed(rest, sending) }
      }
    }
    return { offset: 0, chunks: sealed(await this.#readStored(sending), sending) }
  }

  async #readStored(sending: Sending): Promise<AsyncIterable<Uint8Array>> {
    const snapshot = await this.#storage.readSnapshot().catch((error: unknown) => {
      sending.hasFailed = () => true
      throw error
    })
    if (snapshot === null || !isSame(snapshot.meta.position, sending.position))
      throw new Error('the snapshot that was announced is not the newest any more')
    const source = watchFailure(snapshot.chunks, this.#loop.signal)
    sending.hasFailed = source.hasFailed
    sending.totalBytes = snapshot.bytes
    return source.chunks
  }

  /**
   * A leader sends a snapshot. Stores and installs it, unless the log here reaches as far by now, or
   * the leader is none any more. Answers with the failure of the stream, if that is what ended it: only the storage's own failure is fatal.
   */
  async receive(message: InstallSnapshot, open: OpenSnapshot): Promise<StreamFailure | null> {
    this.#receiving += 1
    try {
      // A leader that starts again may do so before the stream it broke off has ended here.
      const receiving = this.#lastReceived.then(() => this.#receiveNext(message, open))
      this.#lastReceived = Promise.allSettled([receiving])
      return await receiving
    } finally {
      this.#receiving -= 1
    }
  }

  async #receiveNext(message: InstallSnapshot, open: OpenSnapshot): Promise<StreamFailure | null> {
    await this.#writing
    // Until the state machine has read the snapshot that is stored now, no other may take its place:
    // it would be taken for the first, and what lies between the two applied twice.
    const { isWanted } = await this.#loop.eventually(() =>
      this.#restorer.isRestoring ? null : { isWanted: this.#raft.wantsSnapshot(message) },
    )
    if (!isWanted) return null
    const failure = await this.#store(message.meta, open)
    if (failure !== null) return failure
    await this.#loop.enter(() => {
      if (this.#raft.installSnapshot(message))
        this.#restorer.restoreUpTo(message.meta.position.index)
    })
    return null
  }

  /** Stores what the leader sends, behind what is here of the same snapshot. */
  async #store(meta: SnapshotMeta, open: OpenSnapshot): Promise<StreamFailure | null> {
    const unfinished = this.#unfinished
    const isHere = unfinished !== null && isSame(unfinished.position, meta.position)
    const held = isHere ? { bytes: unfinished.bytes, checksum: unfinished.checksum } : NOTHING_HELD
    const rest = await this.#opened(open, held)
    if ('failure' in rest) return rest
    const { offset } = rest
    if (offset !== 0 && offset !== held.bytes)
      return {
        failure: new Error(`the stream starts at byte ${offset}, and ${held.bytes} are here`),
      }
    const counter: Counter = offset === 0 ? { ...NOTHING_HELD } : { ...held }
    const stream = watchFailure(verified(rest.chunks, counter), this.#loop.signal)
    this.#unfinished = null
    try {
      await this.#write(meta, stream.chunks, offset)
      return null
    } catch (failure) {
      if (!stream.hasFailed()) throw failure
      if (counter.bytes > 0) this.#keep(meta.position, counter)
      else await this.#exclusively(this.#storage.dropUnfinished())
      return { failure }
    }
  }

  async #opened(open: OpenSnapshot, held: HeldSnapshot): Promise<SnapshotRest | StreamFailure> {
    const stopped = rejectionOf(this.#loop.signal)
    try {
      return await Promise.race([open(held), stopped.rejection])
    } catch (failure) {
      return { failure }
    } finally {
      stopped.forget()
    }
  }

  #keep(position: Position, counter: Counter): void {
    const keptUntil = this.#ticks + this.#options.partialSnapshotTicks
    this.#unfinished = { position, keptUntil, ...counter }
  }

  async #write(
    meta: SnapshotMeta,
    chunks: AsyncIterable<Uint8Array>,
    after: number,
  ): Promise<void> {
    await this.#exclusively(this.#storage.writeSnapshot(meta, chunks, { after }))
    this.#newest = meta
  }

  /** The storage does one thing with snapshots at a time. */
  async #exclusively(work: Promise<void>): Promise<void> {
    this.#writing = Promise.allSettled([work])
    try {
      await work
    } finally {
      this.#writing = null
    }
  }
}

/** A stream to a follower, and how far it has come. */
interface Sending extends Counter {
  readonly position: Position
  totalBytes: number
  /** Did the storage fail to read it? */
  hasFailed: () => boolean
}

/** The first part of a snapshot. */
interface Unfinished extends Counter {
  readonly position: Position
  /** The tick at which it is dropped. */
  readonly keptUntil: number
}

function isSame(a: Position, b: Position): boolean {
  return a.index === b.index && a.term === b.term
}
