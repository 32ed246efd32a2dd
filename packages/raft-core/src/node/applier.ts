import type { Command, StateMachine } from '../contracts/state-machine.ts'
import type { Storage } from '../contracts/storage.ts'
import { assert, RaftError } from '../errors.ts'
import type { NodeOptions } from '../options.ts'
import type { Raft } from '../protocol/raft.ts'
import type { Entry, LogIndex } from '../types.ts'
import type { Proposals } from './proposals.ts'

/**
 * Feeds the committed entries to the state machine, in order, one call at a time (Fig. 2, Rules for
 * Servers, first rule), and settles the proposals among them.
 */
export class Applier<Result> {
  readonly #raft: Raft
  readonly #storage: Storage
  readonly #stateMachine: StateMachine<Result>
  readonly #proposals: Proposals<Result>
  readonly #options: Pick<NodeOptions, 'maxApplyBytes'>
  #busy = false
  /** A snapshot up to here is stored and replaces the state before anything else is applied. */
  #restoreUpTo: LogIndex | null = null
  #isRestoring = false
  #bytesApplied = 0

  constructor(parts: {
    readonly raft: Raft
    readonly storage: Storage
    readonly stateMachine: StateMachine<Result>
    readonly proposals: Proposals<Result>
    readonly options: Pick<NodeOptions, 'maxApplyBytes'>
  }) {
    this.#raft = parts.raft
    this.#storage = parts.storage
    this.#stateMachine = parts.stateMachine
    this.#proposals = parts.proposals
    this.#options = parts.options
  }

  /** The state machine is in the middle of nothing, and its state is the one it will go on from. */
  get isIdle(): boolean {
    return !this.#busy && this.#restoreUpTo === null
  }

  /** A snapshot is still to be read from the storage, all of it. */
  get isRestoring(): boolean {
    return this.#isRestoring
  }

  get isBehind(): boolean {
    if (this.#busy) return false
    return this.#restoreUpTo !== null || this.#raft.appliedIndex < this.#raft.applicableIndex
  }

  /** Data of all commands applied since the node started. */
  get bytesApplied(): number {
    return this.#bytesApplied
  }

  /** The log was replaced by the stored snapshot, which reaches up to `index`: so will the state be. */
  restoreUpTo(index: LogIndex): void {
    this.#restoreUpTo = index
    this.#isRestoring = true
  }

  /**
   * Applies one helping of what is committed. If that takes time, answers with a promise of what is
   * to be done in a turn afterwards; until then, nothing else is started here.
   */
  applyNext(): Promise<() => void> | null {
    if (this.#restoreUpTo !== null) return this.#whileBusy(this.#restore(this.#restoreUpTo))
    const from = this.#raft.appliedIndex + 1
    const entries = this.#raft.committedEntries(from, this.#options.maxApplyBytes)
    if (entries === null) return this.#whileBusy(this.#applyStored(from))
    const results = this.#apply(entries)
    if (!(results instanceof Promise)) {
      this.#settle(entries, results)
      return null
    }
    return this.#whileBusy(results.then((settled) => () => this.#settle(entries, settled)))
  }

  async #restore(index: LogIndex): Promise<() => void> {
    this.#restoreUpTo = null
    await restoreSnapshot(this.#storage, this.#stateMachine)
    return () => {
      this.#isRestoring = false
      this.#proposals.skipped(index)
      this.#raft.applied(index)
    }
  }

  async #applyStored(from: LogIndex): Promise<() => void> {
    const to = this.#raft.applicableIndex + 1
    const entries = await this.#storage
      .entries(from, to, { maxBytes: this.#options.maxApplyBytes })
      .catch((error: unknown) => {
        // A snapshot took the place of the log meanwhile, and is restored next.
        if (this.#isRestoring && error instanceof RaftError && error.code === 'COMPACTED') return []
        throw error
      })
    const results = await this.#apply(entries)
    return () => this.#settle(entries, results)
  }

  #apply(entries: readonly Entry[]): readonly Result[] | Promise<readonly Result[]> {
    const commands = commandsAmong(entries)
    if (commands.length === 0) return []
    const results = this.#stateMachine.apply(commands)
    return results instanceof Promise
      ? results.then((late) => checkAnswers(commands, late))
      : checkAnswers(commands, results)
  }

  #settle(entries: readonly Entry[], results: readonly Result[]): void {
    const last = entries[entries.length - 1]
    if (last === undefined) return
    let answered = 0
    for (const entry of entries) {
      this.#bytesApplied += entry.data.length
      const result = entry.type === 'command' ? results[answered++] : undefined
      if (this.#proposals.hasPlaced) this.#proposals.applied(entry.index, entry.term, result)
    }
    this.#raft.applied(last.index)
  }

  /** Busy until the outcome has been taken in, not only until it is there. */
  #whileBusy(work: Promise<() => void>): Promise<() => void> {
    this.#busy = true
    return work.then((settle) => () => {
      this.#busy = false
      settle()
    })
  }
}

/** Before anybody is answered: an answer at the wrong place would go to somebody else. */
function checkAnswers<Result>(
  commands: readonly Command[],
  results: readonly Result[],
): readonly Result[] {
  assert(
    results.length === commands.length,
    'the state machine answers every command, and nothing else',
  )
  return results
}

/** An entry is a command with a type, so a run of nothing but commands needs no copy. */
function commandsAmong(entries: readonly Entry[]): readonly Command[] {
  return entries.every((entry) => entry.type === 'command')
    ? entries
    : entries.filter((entry) => entry.type === 'command')
}

/** Restores the newest stored snapshot into the state machine. */
export async function restoreSnapshot(storage: Storage, machine: StateMachine): Promise<void> {
  const snapshot = await storage.readSnapshot()
  assert(snapshot !== null, 'the snapshot that takes the place of the log is stored')
  await machine.restore(snapshot.chunks)
}
