import { encodeMembership } from '../codec/records.ts'
import type { AppendBatch, Storage, Stored } from '../contracts/storage.ts'
import {
  type Entry,
  type EntryType,
  type HardState,
  INITIAL_HARD_STATE,
  type LogIndex,
  type Membership,
  ORIGIN,
  type Position,
  type SnapshotMeta,
  type Term,
  type TermRun,
} from '../types.ts'
import {
  check,
  checkEqual,
  checkRejects,
  collect,
  type Dice,
  seededBytes,
  seededDice,
} from './check.ts'
import type { BenchTest } from './storage.ts'

/** A membership to put into entries and snapshots. */
export const MEMBERSHIP: Membership = {
  voters: ['a', 'b'],
  outgoing: [],
  learners: ['c'],
  peers: [
    { id: 'a', address: 'one:1' },
    { id: 'b', address: 'two:2' },
    { id: 'c', address: '' },
  ],
  removed: [{ id: 'z', address: 'three:3' }],
}

/** An entry whose data tells its index, its term and its type, so that no two look alike. */
export function entryOf(index: LogIndex, term: Term, type: EntryType = 'command'): Entry {
  const data =
    type === 'membership'
      ? encodeMembership({ ...MEMBERSHIP, peers: peersAt(`${index}:${term}`) })
      : new TextEncoder().encode(`${type} ${index} in ${term}`)
  return { index, term, type, data }
}

/** Entries of one term with the indexes of [from, to). */
export function entriesOf(from: LogIndex, to: LogIndex, term: Term): readonly Entry[] {
  return Array.from({ length: to - from }, (_, i) => entryOf(from + i, term))
}

export function batchOf(parts: Partial<AppendBatch>): AppendBatch {
  return { reset: null, entries: [], hardState: null, ...parts }
}

/** Hands out `bytes` in pieces of `chunkBytes`. */
export async function* chunksOf(bytes: Uint8Array, chunkBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += chunkBytes) yield bytes.slice(at, at + chunkBytes)
}

function peersAt(address: string): Membership['peers'] {
  return MEMBERSHIP.peers.map((peer) => ({ ...peer, address }))
}

/** The contract in its simplest form: whole arrays, searched from end to end. */
export class StorageModel {
  hardState: HardState = INITIAL_HARD_STATE
  compacted: Position = ORIGIN
  entries: readonly Entry[] = []
  snapshot: { readonly meta: SnapshotMeta; readonly bytes: Uint8Array } | null = null

  append({ reset, entries, hardState }: AppendBatch): void {
    if (reset !== null) {
      this.compacted = reset
      this.entries = []
    }
    const [first] = entries
    if (first !== undefined)
      this.entries = [...this.entries.filter((entry) => entry.index < first.index), ...entries]
    if (hardState !== null) this.hardState = hardState
  }

  compact(position: Position): void {
    if (position.index <= this.compacted.index) return
    this.compacted = position
    this.entries = this.entries.filter((entry) => entry.index > position.index)
  }

  copy(): StorageModel {
    return Object.assign(new StorageModel(), this)
  }

  get lastIndex(): LogIndex {
    return this.entries.at(-1)?.index ?? this.compacted.index
  }

  get lastTerm(): Term {
    return this.entries.at(-1)?.term ?? this.compacted.term
  }

  stored(): Stored {
    const termRuns: TermRun[] = []
    for (const { index, term } of this.entries)
      if (termRuns.at(-1)?.term !== term) termRuns.push({ from: index, term })
    return {
      hardState: this.hardState,
      snapshot: this.snapshot?.meta ?? null,
      compacted: this.compacted,
      lastIndex: this.lastIndex,
      termRuns,
      memberships: this.entries.filter((entry) => entry.type === 'membership'),
    }
  }
}

/** Asks a freshly loaded storage for everything it has, and compares it with the model. */
export async function checkAgainst(
  model: StorageModel,
  storage: Storage,
  stored: Stored,
): Promise<void> {
  checkEqual(stored, model.stored(), 'stored')
  await checkReads(model, storage)
}

async function checkReads(model: StorageModel, storage: Storage): Promise<void> {
  const first = model.compacted.index + 1
  if (model.entries.length > 0) {
    const all = await storage.entries(first, model.lastIndex + 1, { maxBytes: 2 ** 40 })
    checkEqual(all, model.entries, 'entries')
  } else {
    await checkRejects(storage.entries(first, first + 1, { maxBytes: 1 }), RangeError, 'no entries')
  }
  const snapshot = await storage.readSnapshot()
  checkEqual(snapshot?.meta ?? null, model.snapshot?.meta ?? null, 'the snapshot')
  if (snapshot !== null)
    checkEqual(await collect(snapshot.chunks), model.snapshot?.bytes, 'the snapshot’s bytes')
}

/** Random histories, each told by its seed: what the tests of single sentences did not think of. */
export function historyTests(test: BenchTest): void {
  for (const seed of [1, 2, 3, 4]) {
    test(`any history gives the same answers as the model, history ${seed}`, async (bench) => {
      const dice = seededDice(seed)
      const model = new StorageModel()
      for (let sessions = 20; sessions > 0; sessions--)
        await bench.session(async (storage, stored) => {
          await checkAgainst(model, storage, stored)
          for (let steps = 1 + dice(12); steps > 0; steps--) {
            await randomStep(dice, model, storage)
            await randomRead(dice, model, storage)
          }
        })
      check(model.lastIndex > 0, 'the history should have come to something')
    })
  }

  test('reopening between every two calls gives the same answers', async (bench) => {
    const dice = seededDice(5)
    const model = new StorageModel()
    for (let steps = 40; steps > 0; steps--) {
      await bench.session(async (storage, stored) => {
        await checkAgainst(model, storage, stored)
        await randomStep(dice, model, storage)
        await checkReads(model, storage)
      })
    }
  })
}

/** Does to both what a node might do next. */
export async function randomStep(dice: Dice, model: StorageModel, storage: Storage): Promise<void> {
  const kind = dice(10)
  if (kind < 7) {
    const batch = randomBatch(dice, model)
    model.append(batch)
    await storage.append(batch)
  } else if (kind === 7 || model.lastIndex === 0) {
    const position = somePosition(dice, model)
    const meta = { position, membership: MEMBERSHIP, membershipIndex: position.index }
    const bytes = seededBytes(dice(4_000), dice(1_000))
    model.snapshot = { meta, bytes }
    await storage.writeSnapshot(meta, chunksOf(bytes, 1 + dice(1_500)))
  } else {
    const position = somePosition(dice, model)
    model.compact(position)
    await storage.compact(position)
  }
}

/** Any batch that a node could write on top of what the model holds. */
export function randomBatch(dice: Dice, model: StorageModel): AppendBatch {
  const reset =
    dice(12) === 0 ? { index: model.lastIndex + dice(20), term: model.lastTerm + dice(2) } : null
  const compacted = reset ?? model.compacted
  const last = reset?.index ?? model.lastIndex
  // Mostly at the end; now and then some of what is there is replaced, in a later term.
  const from = dice(4) === 0 ? compacted.index + 1 + dice(last - compacted.index + 1) : last + 1
  let term = Math.max(1, reset?.term ?? model.lastTerm) + (from <= last ? 1 : 0)
  const entries: Entry[] = []
  for (let index = from, end = from + dice(8); index < end; index++) {
    if (dice(10) === 0) term += 1 + dice(3)
    entries.push(entryOf(index, term, dice(8) === 0 ? 'membership' : 'command'))
  }
  const hardState =
    dice(2) === 0
      ? { term, votedFor: dice(2) === 0 ? null : `node ${dice(9)}`, commitIndex: dice(99) }
      : null
  return { reset, entries, hardState }
}

function somePosition(dice: Dice, model: StorageModel): Position {
  const entry = model.entries[dice(model.entries.length)]
  return entry === undefined ? model.compacted : { index: entry.index, term: entry.term }
}

async function randomRead(dice: Dice, model: StorageModel, storage: Storage): Promise<void> {
  if (model.entries.length === 0) return
  const from = model.compacted.index + 1 + dice(model.entries.length)
  const to = from + 1 + dice(model.lastIndex + 1 - from)
  const maxBytes = dice(200)
  const expected: Entry[] = []
  let bytes = 0
  for (const entry of model.entries.filter(({ index }) => index >= from && index < to)) {
    bytes += entry.data.byteLength
    if (expected.length > 0 && bytes > maxBytes) break
    expected.push(entry)
  }
  checkEqual(await storage.entries(from, to, { maxBytes }), expected, `entries [${from}, ${to})`)
}
