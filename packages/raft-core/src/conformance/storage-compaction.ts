import { type Entry, ORIGIN } from '../types.ts'
import { check, checkEqual, checkRejects } from './check.ts'
import { batchOf, checkAgainst, entriesOf, entryOf, StorageModel } from './storage-model.ts'
import type { BenchTest } from './storage.ts'

const ALL = { maxBytes: 2 ** 40 }
const ENTRIES: readonly Entry[] = [
  ...entriesOf(1, 4, 1),
  entryOf(4, 2, 'membership'),
  ...entriesOf(5, 8, 2),
  entryOf(8, 4, 'membership'),
  ...entriesOf(9, 11, 4),
]

/** `compact`. */
export function compactionTests(test: BenchTest): void {
  test('compact forgets the entries up to and including its position', async (bench) => {
    for (const { index, term } of ENTRIES) {
      const model = new StorageModel()
      const batch = batchOf({ reset: ORIGIN, entries: ENTRIES })
      model.append(batch)
      model.compact({ index, term })
      await bench.session(async (storage) => {
        await storage.append(batch)
        await storage.compact({ index, term })
        await checkRejects(storage.entries(index, index + 1, ALL), 'COMPACTED', 'reading')
        await checkRejects(storage.entries(1, 11, ALL), 'COMPACTED', 'reading')
      })
      await bench.session((storage, stored) => checkAgainst(model, storage, stored))
    }
  })

  test('compacting what is forgotten already changes nothing', async (bench) => {
    const model = new StorageModel()
    await bench.session(async (storage) => {
      model.append(batchOf({ entries: ENTRIES }))
      model.compact({ index: 6, term: 2 })
      await storage.append(batchOf({ entries: ENTRIES }))
      await storage.compact({ index: 6, term: 2 })
      await storage.compact({ index: 6, term: 2 })
      await storage.compact({ index: 3, term: 1 })
      await storage.compact(ORIGIN)
      model.append(batchOf({ entries: entriesOf(11, 12, 4) }))
      await storage.append(batchOf({ entries: entriesOf(11, 12, 4) }))
      await storage.compact({ index: 3, term: 1 })
      checkEqual(await storage.entries(7, 11, ALL), ENTRIES.slice(6), 'entries')
    })
    await bench.session((storage, stored) => checkAgainst(model, storage, stored))
  })

  test('the compacted position is kept when all entries are forgotten, and the log goes on', async (bench) => {
    const model = new StorageModel()
    model.append(batchOf({ entries: ENTRIES }))
    model.compact({ index: 10, term: 4 })
    await bench.session(async (storage) => {
      await storage.append(batchOf({ entries: ENTRIES }))
      await storage.compact({ index: 10, term: 4 })
      await checkRejects(storage.entries(11, 12, ALL), RangeError, 'reading')
    })
    await bench.session(async (storage, stored) => {
      await checkAgainst(model, storage, stored)
      const batch = batchOf({ entries: entriesOf(11, 14, 5) })
      model.append(batch)
      await storage.append(batch)
      checkEqual(await storage.entries(11, 14, ALL), entriesOf(11, 14, 5), 'entries')
    })
    await bench.session((storage, stored) => checkAgainst(model, storage, stored))
  })

  test('a position beyond the last entry is refused with a RangeError', async (bench) => {
    await bench.session(async (storage) => {
      await storage.append(batchOf({ entries: ENTRIES }))
      await checkRejects(storage.compact({ index: 11, term: 4 }), RangeError, 'compacting')
      checkEqual(await storage.entries(1, 11, ALL), ENTRIES, 'entries')
    })
  })

  test('entries beside compact are right or COMPACTED', async (bench) => {
    await bench.session(async (storage) => {
      await storage.append(batchOf({ entries: entriesOf(1, 1_001, 1) }))
      for (let index = 50; index <= 1_000; index += 50) {
        const from = index - 49
        const [read, kept] = await Promise.allSettled([
          storage.entries(from, 1_001, ALL),
          index < 1_000 ? storage.entries(index + 1, 1_001, ALL) : [],
          storage.compact({ index, term: 1 }),
        ])
        if (read.status === 'fulfilled')
          checkEqual(read.value, entriesOf(from, 1_001, 1), 'entries beside a compaction')
        else checkEqual((read.reason as { code?: unknown }).code, 'COMPACTED', String(read.reason))
        check(kept.status === 'fulfilled', 'what is not compacted can be read')
        checkEqual(kept.value, entriesOf(index + 1, 1_001, 1), 'kept entries')
      }
    })
  })
}
