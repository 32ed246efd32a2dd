import type { StateMachine } from '../contracts/state-machine.ts'
import type { Storage, StoredSnapshot } from '../contracts/storage.ts'
import type { Transport } from '../contracts/transport.ts'
import type { InstallSnapshot } from '../messages.ts'
import type { NodeOptions } from '../options.ts'
import type { Raft } from '../protocol/raft.ts'
import type { Trace } from '../trace.ts'
import type { LogIndex, NodeId, SnapshotMeta } from '../types.ts'

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
  #index: LogIndex
  #bytesAppliedThen = 0
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
    readonly index: LogIndex
  }) {
    this.#raft = parts.raft
    this.#storage = parts.storage
    this.#transport = parts.transport
    this.#stateMachine = parts.stateMachine
    this.#options = parts.options
    this.#trace = parts.trace
    this.#loop = parts.loop
    this.#restorer = parts.restorer
    this.#index = parts.index
  }

  /** What the newest stored snapshot covers. */
  get index(): LogIndex {
    return this.#index
  }

  /** No snapshot is being written or received. */
  get canTake(): boolean {
    return this.#writing === null && this.#receiving === 0
  }

  /** Has enough been applied since the last snapshot, in entries or in bytes? */
  isDue(bytesApplied: number): boolean {
    const entries = this.#raft.appliedIndex - this.#index
    if (entries <= 0 || !this.canTake) return false
    const bytes = bytesApplied - this.#bytesAppliedThen
    return entries >= this.#options.snapshotEntries || bytes >= this.#options.snapshotBytes
  }

  /**
   * Takes a snapshot of the state as it is at this moment; called in a turn of the loop, between
   * two calls to the state machine. Resolves when it is stored.
   */
  take(bytesApplied: number): Promise<SnapshotMeta> {
    const meta = this.#raft.snapshotMeta
    const chunks = this.#stateMachine.snapshot()
    this.#bytesAppliedThen = bytesApplied
    return this.#write(meta, chunks).then(() => {
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
    const snapshot = await this.#storage.readSnapshot()
    const message = await this.#loop.enter(() =>
      snapshot === null ? null : this.#raft.announceSnapshot(to, snapshot.meta),
    )
    const received =
      snapshot !== null && message !== null && (await this.#stream(message, snapshot))
    await this.#loop.enter(() => this.#raft.snapshotSent(to, received))
  }

  /** Did the follower get all of it? A stored snapshot that cannot be read is fatal, as any such read. */
  async #stream(message: InstallSnapshot, { chunks }: StoredSnapshot): Promise<boolean> {
    const { signal } = this.#loop
    const source = watchFailure(chunks, signal)
    try {
      await this.#transport.sendSnapshot(message, source.chunks, { signal })
      return true
    } catch (error) {
      if (source.hasFailed() && !signal.aborted) throw error
      return false
    }
  }

  /**
   * A leader sends a snapshot. Stores and installs it, unless the log here reaches as far by now, or
   * the leader is none any more. Answers with the failure of the stream, if that is what ended it: only the storage's own failure is fatal.
   */
  async receive(
    message: InstallSnapshot,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<StreamFailure | null> {
    this.#receiving += 1
    try {
      // A leader that starts again may do so before the stream it broke off has ended here.
      const receiving = this.#lastReceived.then(() => this.#receiveNext(message, chunks))
      this.#lastReceived = Promise.allSettled([receiving])
      return await receiving
    } finally {
      this.#receiving -= 1
    }
  }

  async #receiveNext(
    message: InstallSnapshot,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<StreamFailure | null> {
    await this.#writing
    // Until the state machine has read the snapshot that is stored now, no other may take its place:
    // it would be taken for the first, and what lies between the two applied twice.
    const { isWanted } = await this.#loop.eventually(() =>
      this.#restorer.isRestoring ? null : { isWanted: this.#raft.wantsSnapshot(message) },
    )
    if (!isWanted) return null
    const stream = watchFailure(chunks, this.#loop.signal)
    try {
      await this.#write(message.meta, stream.chunks)
    } catch (error) {
      if (stream.hasFailed()) return { failure: error }
      throw error
    }
    await this.#loop.enter(() => {
      if (this.#raft.installSnapshot(message))
        this.#restorer.restoreUpTo(message.meta.position.index)
    })
    return null
  }

  async #write(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const write = this.#storage.writeSnapshot(meta, chunks)
    this.#writing = Promise.allSettled([write])
    try {
      await write
      this.#index = meta.position.index
    } finally {
      this.#writing = null
    }
  }
}

/**
 * Tells a failure of the source from one of whoever consumes it. A source that hangs fails when the
 * node stops.
 */
function watchFailure(
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): { readonly chunks: AsyncIterable<Uint8Array>; readonly hasFailed: () => boolean } {
  let failed = false
  async function* watched(): AsyncGenerator<Uint8Array> {
    const iterator = source[Symbol.asyncIterator]()
    const stopped = rejectionOf(signal)
    try {
      for (;;) {
        const { value, done } = await Promise.race([iterator.next(), stopped.rejection])
        if (done === true) return
        yield value
      }
    } catch (error) {
      failed = true
      throw error
    } finally {
      stopped.forget()
      // Not awaited: a source that hangs would hang here too.
      iterator.return?.().catch(() => {})
    }
  }
  return { chunks: watched(), hasFailed: () => failed }
}

function rejectionOf(signal: AbortSignal): {
  readonly rejection: Promise<never>
  readonly forget: () => void
} {
  let abort: () => void = () => {}
  const rejection = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort)
  })
  return { rejection, forget: () => signal.removeEventListener('abort', abort) }
}
