import { type Entry, type HardState, INITIAL_HARD_STATE, ORIGIN } from '../types.ts'
import { check, checkEqual, checkRejects, seededBytes } from './check.ts'
import { batchOf, checkAgainst, entriesOf, entryOf, StorageModel } from './storage-model.ts'
import type { Bench, BenchTest } from './storage.ts'

const ALL = { maxBytes: 2 ** 40 }
const HARD_STATE: HardState = { term: 7, votedFor: 'b', commitIndex: 3 }

/** `load`, `append` and `entries`. */
export function logTests(test: BenchTest): void {
  startTests(test)
  appendTests(test)
  rangeTests(test)
  sizeTests(test)
}

function startTests(test: BenchTest): void {
  test('a second load is refused with a TypeError', async (bench) => {
    await bench.session(async (storage) => {
      await checkRejects(storage.load(), TypeError, 'a second load')
      await storage.append(batchOf({ entries: entriesOf(1, 3, 1) }))
    })
    await bench.session(async (_, stored) => checkEqual(stored.lastIndex, 2, 'the last index'))
  })

  test('a storage that was never written to has nothing in it', async (bench) => {
    const nothing = {
      hardState: INITIAL_HARD_STATE,
      snapshot: null,
      compacted: ORIGIN,
      lastIndex: 0,
      termRuns: [],
      memberships: [],
    }
    await bench.session(async (storage, stored) => {
      checkEqual(stored, nothing, 'stored')
      checkEqual(await storage.readSnapshot(), null, 'the snapshot')
      await checkRejects(storage.entries(1, 2, ALL), RangeError, 'reading entry 1')
    })
    await bench.session(async (_, stored) => {
      checkEqual(stored, nothing, 'stored after opening twice')
    })
  })

  test('disposing a storage twice is no different from once', async (bench) => {
    const storage = await bench.open()
    await storage.load()
    await storage.append(batchOf({ entries: entriesOf(1, 3, 1) }))
    await Promise.all([storage[Symbol.asyncDispose](), storage[Symbol.asyncDispose]()])
    await storage[Symbol.asyncDispose]()
    await bench.session(async (_, stored) => checkEqual(stored.lastIndex, 2, 'the last index'))
  })
}

function appendTests(test: BenchTest): void {
  /** Appends batch by batch, and compares with the model after each one, here and when reopened. */
  const history = async (
    bench: Bench,
    ...batches: readonly Parameters<typeof batchOf>[0][]
  ): Promise<void> => {
    const model = new StorageModel()
    for (const parts of batches) {
      const batch = batchOf(parts)
      model.append(batch)
      await bench.session(async (storage) => {
        await storage.append(batch)
        const [first] = model.entries
        if (first === undefined) return
        const all = await storage.entries(first.index, model.lastIndex + 1, ALL)
        checkEqual(all, model.entries, 'entries in the same session')
      })
      await bench.session((storage, stored) => checkAgainst(model, storage, stored))
    }
  }

  test('what was appended is there', (bench) =>
    history(bench, { entries: entriesOf(1, 4, 1) }, { entries: entriesOf(4, 9, 1) }))

  test('entries of every type come back as they were', (bench) =>
    history(bench, {
      entries: [entryOf(1, 1, 'no-op'), entryOf(2, 1, 'command'), entryOf(3, 2, 'membership')],
    }))

  test('entries at and above the first new one are replaced', (bench) =>
    history(
      bench,
      { entries: entriesOf(1, 10, 1) },
      { entries: entriesOf(6, 8, 2) },
      { entries: entriesOf(8, 9, 2) },
      { entries: entriesOf(1, 3, 3) },
    ))

  test('the last of the replacing entries becomes the last entry', async (bench) => {
    await bench.session(async (storage) => {
      await storage.append(batchOf({ entries: entriesOf(1, 10, 1) }))
      await storage.append(batchOf({ entries: entriesOf(4, 5, 2) }))
      await checkRejects(storage.entries(5, 6, ALL), RangeError, 'reading a replaced entry')
      await storage.append(batchOf({ entries: entriesOf(5, 6, 2) }))
      checkEqual(await storage.entries(4, 6, ALL), entriesOf(4, 6, 2), 'entries')
    })
  })

  test('a hard state alone leaves the log as it is', (bench) =>
    history(bench, { entries: entriesOf(1, 4, 1) }, { hardState: HARD_STATE }))

  test('entries alone leave the hard state as it is', (bench) =>
    history(bench, { hardState: HARD_STATE }, { entries: entriesOf(1, 4, 7) }))

  test('a hard state is replaced as a whole', (bench) =>
    history(
      bench,
      { hardState: HARD_STATE },
      { hardState: { term: 8, votedFor: null, commitIndex: 0 } },
      { hardState: { term: 2 ** 53 - 1, votedFor: 'ü'.repeat(127), commitIndex: 2 ** 53 - 1 } },
    ))

  test('a batch of nothing changes nothing', (bench) =>
    history(bench, {}, { entries: entriesOf(1, 3, 1), hardState: HARD_STATE }, {}))

  test('a reset forgets the whole log, which now begins after its position', (bench) =>
    history(
      bench,
      { entries: entriesOf(1, 10, 1) },
      { reset: { index: 20, term: 3 } },
      { entries: entriesOf(21, 23, 3) },
      { reset: { index: 5, term: 3 } },
      { entries: entriesOf(6, 8, 4) },
    ))

  test('the parts of a batch are carried out in the order reset, entries, hard state', (bench) =>
    history(
      bench,
      { entries: entriesOf(1, 10, 1), hardState: HARD_STATE },
      {
        reset: { index: 5, term: 2 },
        entries: entriesOf(6, 8, 3),
        hardState: { term: 9, votedFor: null, commitIndex: 6 },
      },
    ))

  test('after a reset nothing of the old log shows through', async (bench) => {
    await bench.session(async (storage) => {
      await storage.append(batchOf({ entries: entriesOf(1, 10, 1) }))
      await storage.append(batchOf({ reset: { index: 4, term: 2 } }))
      await checkRejects(storage.entries(5, 6, ALL), RangeError, 'reading after a reset')
      await checkRejects(storage.entries(4, 5, ALL), 'COMPACTED', 'reading before a reset')
    })
  })

  test('term runs name each change of term, and no other place', async (bench) => {
    await bench.session(async (storage) => {
      await storage.append(batchOf({ entries: entriesOf(1, 4, 1) }))
      await storage.append(batchOf({ entries: entriesOf(4, 6, 1) }))
      await storage.append(batchOf({ entries: [...entriesOf(6, 8, 2), ...entriesOf(8, 9, 5)] }))
    })
    await bench.session(async (storage, { termRuns }) => {
      const runs = [
        { from: 1, term: 1 },
        { from: 6, term: 2 },
        { from: 8, term: 5 },
      ]
      checkEqual(termRuns, runs, 'term runs')
      await storage.append(batchOf({ entries: entriesOf(7, 9, 6) }))
    })
    await bench.session(async (_, { termRuns }) => {
      const runs = [
        { from: 1, term: 1 },
        { from: 6, term: 2 },
        { from: 7, term: 6 },
      ]
      checkEqual(termRuns, runs, 'term runs after a replacement')
    })
  })

  test('memberships are listed in ascending order, without those that were replaced', (bench) =>
    history(
      bench,
      {
        entries: [
          entryOf(1, 1, 'membership'),
          entryOf(2, 1),
          entryOf(3, 1, 'membership'),
          entryOf(4, 1, 'membership'),
        ],
      },
      { entries: [entryOf(4, 2), entryOf(5, 2, 'membership')] },
      { entries: [entryOf(3, 3)] },
      { reset: { index: 3, term: 3 } },
    ))

  test('entries that leave a gap are refused with a RangeError, and nothing changes', async (bench) => {
    const model = new StorageModel()
    await bench.session(async (storage) => {
      const good = batchOf({ reset: { index: 4, term: 1 }, entries: entriesOf(5, 8, 1) })
      await storage.append(good)
      model.append(good)
      const bad = [
        batchOf({ entries: entriesOf(9, 10, 2), hardState: HARD_STATE }),
        batchOf({ entries: entriesOf(4, 10, 2), hardState: HARD_STATE }),
        batchOf({ entries: [entryOf(8, 2), entryOf(10, 2)], hardState: HARD_STATE }),
        batchOf({ entries: [entryOf(8, 2), entryOf(8, 2)], hardState: HARD_STATE }),
        batchOf({ reset: { index: 9, term: 2 }, entries: entriesOf(8, 9, 2) }),
        batchOf({ reset: { index: 9, term: 2 }, entries: entriesOf(11, 12, 2) }),
      ]
      for (const batch of bad) await checkRejects(storage.append(batch), RangeError, 'a gap')
    })
    await bench.session((storage, stored) => checkAgainst(model, storage, stored))
  })
}

function rangeTests(test: BenchTest): void {
  test('entries gives those in [from, to)', async (bench) => {
    await bench.session(async (storage) => {
      await storage.append(batchOf({ entries: entriesOf(1, 10, 1) }))
      for (let from = 1; from < 10; from++)
        for (let to = from + 1; to <= 10; to++)
          checkEqual(await storage.entries(from, to, ALL), entriesOf(from, to, 1), 'entries')
    })
  })

  test('entries gives as many as fit in maxBytes of data, but at least one', async (bench) => {
    const entries: readonly Entry[] = [10, 20, 30, 0, 40].map((length, i) => ({
      index: i + 1,
      term: 1,
      type: 'command',
      data: seededBytes(length, i),
    }))
    await bench.session(async (storage) => {
      await storage.append(batchOf({ entries }))
      const fitting: readonly (readonly [maxBytes: number, count: number])[] = [
        [0, 1],
        [9, 1],
        [10, 1],
        [29, 1],
        [30, 2],
        [59, 2],
        [60, 4],
        [99, 4],
        [100, 5],
        [Number.MAX_SAFE_INTEGER, 5],
      ]
      for (const [maxBytes, count] of fitting)
        checkEqual(
          await storage.entries(1, 6, { maxBytes }),
          entries.slice(0, count),
          `entries of at most ${maxBytes} bytes`,
        )
      checkEqual(await storage.entries(5, 6, { maxBytes: 0 }), entries.slice(4), 'the last entry')
    })
  })

  test('entries rejects with a RangeError if the range is empty or reaches too far', async (bench) => {
    await bench.session(async (storage) => {
      await storage.append(batchOf({ entries: entriesOf(1, 4, 1) }))
      for (const [from, to] of [
        [2, 2],
        [3, 2],
        [1, 5],
        [4, 5],
        [9, 10],
      ] as const)
        await checkRejects(storage.entries(from, to, ALL), RangeError, `entries [${from}, ${to})`)
      checkEqual(await storage.entries(1, 4, ALL), entriesOf(1, 4, 1), 'entries')
    })
  })
}

function sizeTests(test: BenchTest): void {
  test('data of 8 MiB, of nothing, and in part of a larger buffer come back as they were', async (bench) => {
    const part = seededBytes(300, 9).subarray(100, 200)
    const entries = [seededBytes(8 << 20, 1), new Uint8Array(), part].map((data, i): Entry => ({
      index: i + 1,
      term: 1,
      type: 'command',
      data,
    }))
    await bench.session((storage) => storage.append(batchOf({ entries })))
    await bench.session(async (storage) => {
      const read = await storage.entries(1, 4, ALL)
      checkEqual(read, entries, 'entries')
      for (const { data } of read)
        check(Object.getPrototypeOf(data) === Uint8Array.prototype, 'data is a plain Uint8Array')
    })
  })

  test('a log of 50,000 entries is as exact as a short one', async (bench) => {
    const count = 50_000
    await bench.session(async (storage) => {
      for (let from = 1; from <= count; from += 5_000)
        await storage.append(batchOf({ entries: entriesOf(from, from + 5_000, from) }))
    })
    await bench.session(async (storage, stored) => {
      checkEqual(stored.lastIndex, count, 'the last index')
      checkEqual(stored.termRuns.length, 10, 'the number of term runs')
      const read: Entry[] = []
      while (read.length < count)
        read.push(...(await storage.entries(read.length + 1, count + 1, { maxBytes: 100_000 })))
      for (const entry of [read[0], read[12_345], read[count - 1]]) {
        check(entry !== undefined, 'all entries are there')
        const term = Math.floor((entry.index - 1) / 5_000) * 5_000 + 1
        checkEqual(entry, entryOf(entry.index, term), `entry ${entry.index}`)
      }
      check(
        read.every((entry, i) => entry.index === i + 1),
        'the entries are in order',
      )
      await storage.append(batchOf({ entries: entriesOf(2, 3, 60_000) }))
      checkEqual(await storage.entries(2, 3, ALL), entriesOf(2, 3, 60_000), 'entries')
    })
    await bench.session(async (_, stored) => {
      checkEqual(stored.lastIndex, 2, 'the last index after a long truncation')
    })
  })

  test('entries may run beside append', async (bench) => {
    await bench.session(async (storage) => {
      await storage.append(batchOf({ entries: entriesOf(1, 101, 1) }))
      for (let round = 0; round < 20; round++) {
        const writing = storage.append(batchOf({ entries: entriesOf(101 + round, 102 + round, 1) }))
        const reads = await Promise.all([
          storage.entries(1, 101, ALL),
          storage.entries(50, 60, ALL),
          storage.entries(100 + round, 101 + round, ALL),
        ])
        checkEqual(reads[0], entriesOf(1, 101, 1), 'entries beside an append')
        checkEqual(reads[1], entriesOf(50, 60, 1), 'entries beside an append')
        checkEqual(reads[2], entriesOf(100 + round, 101 + round, 1), 'the last entry')
        await writing
      }
    })
  })

  test('entries beside an append that replaces them are the old ones, the new ones, or refused', async (bench) => {
    await bench.session(async (storage) => {
      for (let term = 1; term <= 20; term++) {
        await storage.append(batchOf({ entries: entriesOf(1, 50, 2 * term) }))
        const writing = storage.append(batchOf({ entries: entriesOf(1, 10, 2 * term + 1) }))
        const [read] = await Promise.allSettled([storage.entries(1, 50, ALL), writing])
        if (read.status === 'rejected') {
          check(read.reason instanceof RangeError, `reading failed: ${String(read.reason)}`)
        } else {
          const before = entriesOf(1, 50, 2 * term)
          const after = entriesOf(1, 10, 2 * term + 1)
          checkEqual(read.value, read.value.length < 50 - 1 ? after : before, 'entries')
        }
      }
    })
  })
}
