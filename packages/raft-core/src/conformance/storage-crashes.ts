import type { AppendBatch, Storage, Stored } from '../contracts/storage.ts'
import { check, checkEqual, seededBytes, seededDice } from './check.ts'
import {
  batchOf,
  checkAgainst,
  chunksOf,
  entriesOf,
  entryOf,
  randomBatch,
  StorageModel,
} from './storage-model.ts'
import { checkSnapshot, metaAt } from './storage-snapshots.ts'
import type { Bench, BenchTest } from './storage.ts'

const OLD = seededBytes(50_000, 1)
const NEW = seededBytes(90_000, 2)

/** What a power cut leaves. */
export function crashTests(test: BenchTest): void {
  appendTests(test)
  compactionTests(test)
  snapshotTests(test)
}

async function loaded(bench: Bench): Promise<Storage> {
  const storage = await bench.open()
  await storage.load()
  return storage
}

/** Starts what is going to be cut off. Whether and how it settles is of no interest. */
function abandon(work: Promise<unknown>): void {
  work.catch(() => {})
}

/** Lets `count` rounds of promise callbacks pass, so that a crash falls into another moment. */
async function rounds(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await Promise.resolve()
}

function appendTests(test: BenchTest): void {
  test('once append has resolved, a crash keeps all of the batch', async (bench) => {
    const dice = seededDice(6)
    const model = new StorageModel()
    for (let crashes = 0; crashes < 12; crashes++) {
      const storage = await bench.open()
      await checkAgainst(model, storage, await storage.load())
      for (let batches = 1 + dice(4); batches > 0; batches--) {
        const batch = randomBatch(dice, model)
        model.append(batch)
        await storage.append(batch)
      }
      await bench.crash()
    }
    await bench.session((storage, stored) => checkAgainst(model, storage, stored))
  })

  test('a crash during append leaves all of the batch or none of it', async (bench) => {
    const dice = seededDice(7)
    let model = new StorageModel()
    for (let moment = 0; moment < 16; moment++) {
      const storage = await bench.open()
      await checkAgainst(model, storage, await storage.load())
      const batch: AppendBatch = {
        ...randomBatch(dice, model),
        hardState: { term: 100 + moment, votedFor: null, commitIndex: moment },
      }
      const after = model.copy()
      after.append(batch)
      abandon(storage.append(batch))
      await rounds(moment % 8)
      await bench.crash()
      model = await bench.session(async (reopened, stored) => {
        const left = stored.hardState.term === 100 + moment ? after : model
        await checkAgainst(left, reopened, stored)
        return left
      })
    }
  })

  test('what was not resolved before a crash does not come back later', async (bench) => {
    const storage = await loaded(bench)
    await storage.append(batchOf({ entries: entriesOf(1, 5, 1) }))
    abandon(storage.append(batchOf({ entries: entriesOf(5, 9, 1) })))
    await bench.crash()
    await bench.session(async (reopened, { lastIndex }) => {
      check(lastIndex === 4 || lastIndex === 8, 'all of the batch or none of it')
      await reopened.append(batchOf({ entries: entriesOf(3, 4, 2) }))
    })
    await bench.session(async (reopened, { lastIndex }) => {
      checkEqual(lastIndex, 3, 'the last index')
      const read = await reopened.entries(1, 4, { maxBytes: 1_000 })
      checkEqual(read, [...entriesOf(1, 3, 1), entryOf(3, 2)], 'entries')
    })
  })
}

function compactionTests(test: BenchTest): void {
  test('a crash after compact may bring entries back, from some index on and without a gap', async (bench) => {
    const entries = [...entriesOf(1, 40, 1), ...entriesOf(40, 101, 3)]
    const compaction = { index: 60, term: 3 }
    for (const resolved of [true, false]) {
      const storage = await loaded(bench)
      await storage.append(batchOf({ reset: { index: 0, term: 0 }, entries }))
      if (resolved) await storage.compact(compaction)
      else abandon(storage.compact(compaction))
      await bench.crash()
      await bench.session((reopened, stored) => checkSuffix(reopened, stored))
    }

    /** Whatever begins somewhere up to the compaction, and is the same as before from there on. */
    async function checkSuffix(storage: Storage, stored: Stored): Promise<void> {
      check(stored.compacted.index <= compaction.index, 'nothing beyond the position is forgotten')
      const model = new StorageModel()
      model.append(batchOf({ entries }))
      const last = model.entries[stored.compacted.index - 1]
      if (last !== undefined) model.compact({ index: last.index, term: last.term })
      await checkAgainst(model, storage, stored)
    }
  })
}

function snapshotTests(test: BenchTest): void {
  test('once writeSnapshot has resolved, a crash keeps the snapshot', async (bench) => {
    const storage = await loaded(bench)
    await storage.writeSnapshot(metaAt(1), chunksOf(OLD, 7_000))
    await storage.writeSnapshot(metaAt(2), chunksOf(NEW, 9_000))
    await bench.crash()
    await bench.session((reopened) => checkSnapshot(reopened, 2, NEW))
  })

  test('a crash between two chunks leaves the old snapshot, whole', async (bench) => {
    await bench.session((storage) => storage.writeSnapshot(metaAt(1), chunksOf(OLD, 7_000)))
    for (const chunksBefore of [0, 1, 5]) {
      const storage = await loaded(bench)
      await new Promise<void>((reached) => {
        async function* chunks(): AsyncGenerator<Uint8Array> {
          for (let i = 0; i < chunksBefore; i++) yield NEW.slice(i * 9_000, (i + 1) * 9_000)
          reached()
          await new Promise<never>(() => {})
        }
        abandon(storage.writeSnapshot(metaAt(2), chunks()))
      })
      await bench.crash()
      await bench.session((reopened) => checkSnapshot(reopened, 1, OLD))
    }
    // What the crashes left behind must not end up in a later snapshot.
    const short = seededBytes(9_001, 3)
    await bench.session((storage) => storage.writeSnapshot(metaAt(3), chunksOf(short, 9_000)))
    await bench.session((storage) => checkSnapshot(storage, 3, short))
  })

  test('a crash during writeSnapshot leaves the old snapshot or the new one, whole', async (bench) => {
    await bench.session((storage) => storage.writeSnapshot(metaAt(1), chunksOf(OLD, 7_000)))
    for (let moment = 0; moment < 12; moment++) {
      const storage = await loaded(bench)
      abandon(storage.writeSnapshot(metaAt(2), chunksOf(NEW, 30_000)))
      await rounds(moment * 4)
      await bench.crash()
      await bench.session(async (reopened, { snapshot }) => {
        const isNew = snapshot?.position.index === 2
        await checkSnapshot(reopened, isNew ? 2 : 1, isNew ? NEW : OLD)
        if (isNew) await reopened.writeSnapshot(metaAt(1), chunksOf(OLD, 7_000))
      })
    }
  })
}
