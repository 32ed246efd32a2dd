import {
  type AppendBatch,
  type Entry,
  INITIAL_HARD_STATE,
  LogOutline,
  type LogIndex,
  type Position,
  RaftError,
  type SnapshotMeta,
  type Storage,
  type Stored,
  type StoredLog,
  type StoredSnapshot,
  type TermRun,
} from '@coracle/raft-core'
import {
  type Reader,
  readHardState,
  readTermRuns,
  type Writer,
  writeHardState,
  writeTermRuns,
} from '@coracle/raft-core/codec'
import type { Database } from './database.ts'
import { openDirectory, type DirectoryOptions } from './directory.ts'
import { putEntries, readEntries, truncation, type Truncation } from './entry-records.ts'
import { StorageError } from './errors.ts'
import { entryKeys, HARD_STATE_KEY, MEMBERSHIPS_KEY, TERM_RUNS_KEY } from './keys.ts'
import { Ledger, type LedgerBatch } from './ledger.ts'
import { SnapshotStore } from './snapshots.ts'
import { Sweeper } from './sweeper.ts'

/** What is there once the directory is open. */
interface Opened {
  readonly database: Database
  readonly ledger: Ledger
  readonly sweeper: Sweeper
  readonly snapshots: SnapshotStore
}

/** The storage that `levelStorage` hands out, on any engine. */
export class LevelStorage implements Storage {
  readonly #location: string
  readonly #options: DirectoryOptions
  #opened: Opened | null = null
  #outline: LogOutline = new LogOutline()
  #disposal: Promise<void> | null = null

  constructor(location: string, options: DirectoryOptions) {
    this.#location = location
    this.#options = options
  }

  async load(): Promise<Stored> {
    if (this.#disposal !== null) throw new RaftError('STOPPED', 'the storage was disposed')
    if (this.#opened !== null) throw new TypeError('a storage is loaded only once')
    const database = await openDirectory(this.#location, this.#options)
    try {
      return await this.#loadFrom(database)
    } catch (error) {
      await database.close()
      throw error
    }
  }

  async append(batch: AppendBatch): Promise<void> {
    const { ledger, sweeper } = this.#open()
    const before = this.#outline
    before.checkBatch(batch)
    const { reset, entries, hardState } = batch
    // A log that begins earlier than it did would put new entries where old ones are being removed.
    if (reset !== null && reset.index < before.compacted.index) await sweeper.done()
    const after = new LogOutline(before.stored())
    after.append(batch)
    const { removed, kept } = await this.#truncation(batch)
    await ledger.write((write) => {
      for (const key of removed) write.delete(key)
      putEntries(write, kept)
      putEntries(write, entries)
      if (hardState !== null)
        write.putRecord(HARD_STATE_KEY, (writer) => writeHardState(writer, hardState))
      putLog(write, before.stored(), after.stored())
    }, after)
    this.#outline = after
    if (reset !== null) sweeper.add(entryKeys(before.compacted.index + 1, reset.index + 1))
  }

  /** Where the batch begins another log than there is. */
  async #truncation({ reset, entries }: AppendBatch): Promise<Truncation> {
    const { compacted, lastIndex } = this.#outline
    const from = reset === null ? entries[0]?.index : reset.index + 1
    if (from === undefined || from > lastIndex) return { removed: [], kept: [] }
    const { database } = this.#open()
    return truncation(database, { from, compacted: reset?.index ?? compacted.index })
  }

  async entries(
    from: LogIndex,
    to: LogIndex,
    { maxBytes }: { readonly maxBytes: number },
  ): Promise<readonly Entry[]> {
    const { database, ledger } = this.#open()
    const outline = this.#outline
    outline.checkRange(from, to)
    try {
      return await readEntries(database, outline, { from, to, maxBytes })
    } catch (error) {
      if (!(error instanceof StorageError && error.code === 'CORRUPT')) throw error
      // A write under way may have changed what was to be read. Once it is over, the outline knows.
      await ledger.settled()
      this.#outline.checkRange(from, to)
      return await readEntries(database, this.#outline, { from, to, maxBytes })
    }
  }

  async compact(position: Position): Promise<void> {
    const { ledger, sweeper } = this.#open()
    const before = this.#outline
    before.checkCompaction(position)
    if (position.index <= before.compacted.index) return
    const after = new LogOutline(before.stored())
    after.compact(position)
    await ledger.write((write) => putLog(write, before.stored(), after.stored()), after)
    this.#outline = after
    sweeper.add(entryKeys(before.compacted.index + 1, position.index + 1))
  }

  async writeSnapshot(
    meta: SnapshotMeta,
    chunks: AsyncIterable<Uint8Array>,
    { after = 0 }: { readonly after?: number } = {},
  ): Promise<void> {
    await this.#open().snapshots.write(meta, chunks, { after })
  }

  async dropUnfinished(): Promise<void> {
    this.#open().snapshots.dropUnfinished()
  }

  async readSnapshot(): Promise<StoredSnapshot | null> {
    return this.#open().snapshots.read()
  }

  async defragment(): Promise<void> {
    const { sweeper, database } = this.#open()
    await sweeper.done()
    await database.rewrite()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#dispose()
    await this.#disposal
  }

  async #dispose(): Promise<void> {
    const opened = this.#opened
    if (opened === null) return
    await opened.sweeper.stop()
    await opened.database.close()
  }

  #open(): Opened {
    if (this.#disposal !== null) throw new RaftError('STOPPED', 'the storage was disposed')
    if (this.#opened === null) throw new TypeError('a storage is loaded before anything else')
    return this.#opened
  }

  async #loadFrom(database: Database): Promise<Stored> {
    const ledger = await Ledger.open(database)
    const sweeper = new Sweeper(database)
    const outline = await loadOutline(database, ledger)
    const hardState = await ledger.readRecord(HARD_STATE_KEY, readHardState)
    const snapshots = await SnapshotStore.open(database, ledger, sweeper)
    sweeper.add(entryKeys(0, outline.compacted.index + 1))
    this.#opened = { database, ledger, sweeper, snapshots }
    this.#outline = outline
    return {
      hardState: hardState ?? INITIAL_HARD_STATE,
      snapshot: snapshots.newest,
      ...outline.stored(),
    }
  }
}

/** Reads what is known of the log beside its entries, of which it reads the memberships only. */
async function loadOutline(database: Database, ledger: Ledger): Promise<LogOutline> {
  const { compacted, lastIndex } = ledger.bounds
  const termRuns = (await ledger.readRecord(TERM_RUNS_KEY, readTermRuns)) ?? []
  const indexes = (await ledger.readRecord(MEMBERSHIPS_KEY, readIndexes)) ?? []
  const outline = new LogOutline({ compacted, lastIndex, termRuns, memberships: [] })
  const memberships: Entry[] = []
  for (const index of indexes)
    memberships.push(
      ...(await readEntries(database, outline, { from: index, to: index + 1, maxBytes: 0 })),
    )
  return new LogOutline({ compacted, lastIndex, termRuns, memberships })
}

/** Writes what a batch changes in the term runs and memberships: most change neither. */
function putLog(batch: LedgerBatch, before: StoredLog, after: StoredLog): void {
  if (!isSame(before.termRuns, after.termRuns, isSameRun))
    batch.putRecord(TERM_RUNS_KEY, (writer) => writeTermRuns(writer, after.termRuns))
  if (!isSame(before.memberships, after.memberships, (a, b) => a === b))
    batch.putRecord(MEMBERSHIPS_KEY, (writer) =>
      writeIndexes(
        writer,
        after.memberships.map((entry) => entry.index),
      ),
    )
}

function isSame<T>(a: readonly T[], b: readonly T[], same: (a: T, b: T) => boolean): boolean {
  return a.length === b.length && a.every((item, i) => same(item, b[i] as T))
}

function isSameRun(a: TermRun, b: TermRun): boolean {
  return a.from === b.from && a.term === b.term
}

function writeIndexes(writer: Writer, indexes: readonly LogIndex[]): void {
  writer.u32(indexes.length)
  for (const index of indexes) writer.u64(index)
}

function readIndexes(reader: Reader): readonly LogIndex[] {
  return Array.from({ length: reader.count(8) }, () => reader.u64())
}
