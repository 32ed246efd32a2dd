import type { Storage } from '../contracts/storage.ts'
import type { SnapshotMeta } from '../types.ts'
import { check, checkEqual, checkRejects, collect, rejection, seededBytes } from './check.ts'
import {
  batchOf,
  checkAgainst,
  chunksOf,
  entriesOf,
  MEMBERSHIP,
  StorageModel,
} from './storage-model.ts'
import type { BenchTest } from './storage.ts'

const BYTES = seededBytes(200_003, 1)

/** `writeSnapshot` and `readSnapshot`, and who may open a disk. */
export function snapshotTests(
  test: BenchTest,
  areas: { readonly damage: boolean; readonly exclusive: boolean },
): void {
  writeTests(test)
  besideTests(test)
  if (areas.damage) damageTests(test)
  if (areas.exclusive) exclusiveTests(test)
}

export function metaAt(index: number): SnapshotMeta {
  return { position: { index, term: 2 }, membership: MEMBERSHIP, membershipIndex: index }
}

export async function checkSnapshot(
  storage: Storage,
  index: number,
  bytes: Uint8Array,
): Promise<void> {
  const snapshot = await storage.readSnapshot()
  check(snapshot !== null, 'there is a snapshot')
  checkEqual(snapshot.meta, metaAt(index), 'what describes the snapshot')
  checkEqual(await collect(snapshot.chunks), bytes, 'the snapshot’s bytes')
}

function writeTests(test: BenchTest): void {
  test('a snapshot comes back byte by byte, however its chunks are cut', async (bench) => {
    for (const chunkBytes of [1, 7, 4_096, 65_537, BYTES.byteLength]) {
      const bytes = chunkBytes < 10 ? BYTES.slice(0, 1_000) : BYTES
      await bench.session(async (storage) => {
        await storage.writeSnapshot(metaAt(chunkBytes), chunksOf(bytes, chunkBytes))
        await checkSnapshot(storage, chunkBytes, bytes)
      })
      await bench.session(async (storage, stored) => {
        checkEqual(stored.snapshot, metaAt(chunkBytes), 'the stored snapshot')
        await checkSnapshot(storage, chunkBytes, bytes)
      })
    }
  })

  test('a snapshot of 8 MiB in one chunk, and of nothing at all, come back as they were', async (bench) => {
    const large = seededBytes(8 << 20, 2)
    await bench.session(async (storage) => {
      await storage.writeSnapshot(metaAt(1), chunksOf(large, large.byteLength))
      await checkSnapshot(storage, 1, large)
      await storage.writeSnapshot(metaAt(2), chunksOf(large, 0x7fff_ffff))
    })
    await bench.session(async (storage) => {
      await checkSnapshot(storage, 2, large)
      await storage.writeSnapshot(metaAt(3), chunksOf(new Uint8Array(), 1))
    })
    await bench.session((storage) => checkSnapshot(storage, 3, new Uint8Array()))
  })

  test('empty chunks among the others mean nothing', async (bench) => {
    async function* chunks(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array()
      yield new Uint8Array([1, 2])
      yield new Uint8Array()
      yield new Uint8Array([3])
    }
    await bench.session((storage) => storage.writeSnapshot(metaAt(1), chunks()))
    await bench.session((storage) => checkSnapshot(storage, 1, new Uint8Array([1, 2, 3])))
  })

  test('a snapshot takes the place of the one before it, be it longer or shorter', async (bench) => {
    for (const [index, length] of [
      [1, 100_000],
      [2, 10],
      [3, 200_000],
    ] as const) {
      const bytes = seededBytes(length, index)
      await bench.session((storage) =>
        storage.writeSnapshot(metaAt(index), chunksOf(bytes, 10_000)),
      )
      await bench.session((storage) => checkSnapshot(storage, index, bytes))
    }
  })

  test('if the chunks fail, the promise rejects with that error and the old snapshot stays', async (bench) => {
    const failure = new Error('the stream broke')
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield* chunksOf(BYTES, 9_999)
      throw failure
    }
    await bench.session(async (storage) => {
      const error = await rejection(storage.writeSnapshot(metaAt(1), broken()), 'a broken stream')
      check(error === failure, `the stream’s own error comes through, not ${String(error)}`)
      checkEqual(await storage.readSnapshot(), null, 'the snapshot')
      await storage.writeSnapshot(metaAt(2), chunksOf(BYTES, 5_000))
      check((await rejection(storage.writeSnapshot(metaAt(3), broken()), '')) === failure, 'again')
      await checkSnapshot(storage, 2, BYTES)
      await storage.append(batchOf({ entries: entriesOf(1, 3, 1) }))
    })
    await bench.session(async (storage, stored) => {
      checkEqual(stored.lastIndex, 2, 'the last index: the failure was not fatal')
      await checkSnapshot(storage, 2, BYTES)
    })
  })

  test('what the chunks gave before they failed is set aside, and gone on from', async (bench) => {
    for (const cuts of [[1], [0, 100], [70_000, 150_001, 150_002], [200_003]]) {
      await bench.session(async (storage) => {
        let at = 0
        for (const cut of cuts) {
          const part = storage.writeSnapshot(metaAt(1), brokenAt(BYTES.subarray(at, cut)), {
            after: at,
          })
          await rejection(part, 'a part of a snapshot')
          at = cut
        }
        const rest = chunksOf(BYTES.subarray(at), 33_333)
        await storage.writeSnapshot(metaAt(at + 1), rest, { after: at })
        await checkSnapshot(storage, at + 1, BYTES)
      })
    }
    await bench.session((storage) => checkSnapshot(storage, 200_004, BYTES))
  })

  test('another place to go on from is refused with a RangeError, and changes nothing', async (bench) => {
    await bench.session(async (storage) => {
      const none = storage.writeSnapshot(metaAt(1), chunksOf(BYTES, 999), { after: 1 })
      await checkRejects(none, RangeError, 'going on from nothing')
      const part = storage.writeSnapshot(metaAt(1), brokenAt(BYTES.subarray(0, 99_999)))
      await rejection(part, 'a part of a snapshot')
      for (const after of [99_998, 100_000]) {
        const wrong = storage.writeSnapshot(metaAt(1), chunksOf(BYTES, 999), { after })
        await checkRejects(wrong, RangeError, `going on from ${after}`)
      }
      checkEqual(await storage.readSnapshot(), null, 'the snapshot')
      const rest = chunksOf(BYTES.subarray(99_999), 999)
      await storage.writeSnapshot(metaAt(1), rest, { after: 99_999 })
      await checkSnapshot(storage, 1, BYTES)
    })
  })

  const setAside = async (storage: Storage): Promise<void> => {
    const part = storage.writeSnapshot(metaAt(1), brokenAt(BYTES.subarray(0, 90_000)))
    await rejection(part, 'a part of a snapshot')
  }
  const checkGone = async (storage: Storage): Promise<void> => {
    const late = storage.writeSnapshot(metaAt(1), chunksOf(BYTES, 999), { after: 90_000 })
    await checkRejects(late, RangeError, 'going on from what is gone')
  }

  test('what is set aside is gone after dropUnfinished', async (bench) => {
    await bench.session(async (storage) => {
      await storage.dropUnfinished()
      await setAside(storage)
      await storage.dropUnfinished()
      await checkGone(storage)
    })
  })

  test('what is set aside is gone after another snapshot was written, or failed', async (bench) => {
    await bench.session(async (storage) => {
      await setAside(storage)
      await storage.writeSnapshot(metaAt(2), chunksOf(BYTES, 999))
      await checkGone(storage)
      await setAside(storage)
      await rejection(storage.writeSnapshot(metaAt(3), brokenAt(BYTES.subarray(0, 5))), 'another')
      await checkGone(storage)
      await checkSnapshot(storage, 2, BYTES)
    })
  })

  test('what is set aside is gone when the storage is opened again', async (bench) => {
    await bench.session(setAside)
    await bench.session(checkGone)
  })

  test('readSnapshot says how many bytes the chunks come to', async (bench) => {
    await bench.session(async (storage) => {
      await storage.writeSnapshot(metaAt(1), chunksOf(BYTES, 12_345))
    })
    await bench.session(async (storage) => {
      checkEqual((await storage.readSnapshot())?.bytes, BYTES.byteLength, 'the length')
    })
  })

  test('a snapshot leaves the log as it is, even if it lies beyond the log', async (bench) => {
    const model = new StorageModel()
    model.append(batchOf({ entries: entriesOf(1, 6, 1) }))
    for (const index of [3, 5, 99]) {
      model.snapshot = { meta: metaAt(index), bytes: BYTES }
      await bench.session(async (storage) => {
        if (index === 3) await storage.append(batchOf({ entries: entriesOf(1, 6, 1) }))
        await storage.writeSnapshot(metaAt(index), chunksOf(BYTES, 50_000))
      })
      await bench.session((storage, stored) => checkAgainst(model, storage, stored))
    }
  })

  test('a reset leaves the snapshot as it is', async (bench) => {
    await bench.session(async (storage) => {
      await storage.writeSnapshot(metaAt(9), chunksOf(BYTES, 50_000))
      await storage.append(batchOf({ reset: { index: 9, term: 2 } }))
    })
    await bench.session((storage) => checkSnapshot(storage, 9, BYTES))
  })
}

/** These bytes, and then a failure. */
async function* brokenAt(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield* chunksOf(bytes, 7_001)
  throw new Error('the stream broke')
}

function besideTests(test: BenchTest): void {
  test('the chunks can be read to the end even when newer snapshots are stored meanwhile', async (bench) => {
    await bench.session(async (storage) => {
      await storage.writeSnapshot(metaAt(1), chunksOf(BYTES, 1_000))
      const unread = await storage.readSnapshot()
      const begun = await storage.readSnapshot()
      check(unread !== null && begun !== null, 'there is a snapshot')
      const reader = begun.chunks[Symbol.asyncIterator]()
      const first = await reader.next()
      await storage.writeSnapshot(metaAt(2), chunksOf(new Uint8Array([2]), 1))
      await storage.writeSnapshot(metaAt(3), chunksOf(new Uint8Array([3]), 1))
      check(first.done !== true, 'there is a first chunk')
      const rest = { [Symbol.asyncIterator]: () => reader }
      const read = [first.value, await collect(rest)]
      checkEqual(read[0], BYTES.slice(0, first.value.byteLength), 'the first chunk')
      checkEqual(read[1], BYTES.slice(first.value.byteLength), 'the chunks after the first')
      checkEqual(await collect(unread.chunks), BYTES, 'chunks first read after the replacement')
      await checkSnapshot(storage, 3, new Uint8Array([3]))
    })
    await bench.session((storage) => checkSnapshot(storage, 3, new Uint8Array([3])))
  })

  test('chunks that are not read to the end, or not at all, harm nothing', async (bench) => {
    await bench.session(async (storage) => {
      await storage.writeSnapshot(metaAt(1), chunksOf(BYTES, 1_000))
      await storage.readSnapshot()
      const snapshot = await storage.readSnapshot()
      for await (const chunk of snapshot?.chunks ?? []) {
        check(chunk.byteLength > 0, 'chunks are not empty')
        break
      }
      await storage.writeSnapshot(metaAt(2), chunksOf(BYTES, 1_000))
    })
    await bench.session((storage) => checkSnapshot(storage, 2, BYTES))
  })

  test('append, entries and compact may run beside writeSnapshot', async (bench) => {
    const model = new StorageModel()
    const position = { index: 4, term: 1 }
    await bench.session(async (storage) => {
      async function* chunks(): AsyncGenerator<Uint8Array> {
        let index = 1
        for await (const chunk of chunksOf(BYTES, 20_000)) {
          const batch = batchOf({
            entries: entriesOf(index, index + 3, 1),
            hardState: { term: 1, votedFor: 'a', commitIndex: index },
          })
          model.append(batch)
          await storage.append(batch)
          const read = await storage.entries(index, index + 3, { maxBytes: 2 ** 40 })
          checkEqual(read, entriesOf(index, index + 3, 1), 'entries')
          index += 3
          yield chunk
        }
        model.compact(position)
        await storage.compact(position)
      }
      model.snapshot = { meta: metaAt(5), bytes: BYTES }
      await storage.writeSnapshot(metaAt(5), chunks())
    })
    await bench.session((storage, stored) => checkAgainst(model, storage, stored))
  })
}

function damageTests(test: BenchTest): void {
  test('the chunks fail rather than give a byte that is not as it was written', async (bench) => {
    await bench.session((storage) => storage.writeSnapshot(metaAt(1), chunksOf(BYTES, 10_000)))
    await bench.damageSnapshot()
    await bench.session(async (storage) => {
      const snapshot = await storage.readSnapshot()
      check(snapshot !== null, 'there is a snapshot')
      let at = 0
      const reading = (async () => {
        for await (const chunk of snapshot.chunks) {
          checkEqual(chunk, BYTES.slice(at, at + chunk.byteLength), 'a chunk before the damage')
          at += chunk.byteLength
        }
      })()
      const error = await rejection(reading, 'reading a damaged snapshot')
      check(
        !String(error).includes('differs at byte'),
        `a wrong byte came through: ${String(error)}`,
      )
    })
  })
}

function exclusiveTests(test: BenchTest): void {
  test('a disk is refused to a second storage while one is open on it', async (bench) => {
    await bench.session(async (storage) => {
      await storage.append(batchOf({ entries: entriesOf(1, 3, 1) }))
      const second = (async () => {
        await using other = await bench.open()
        await other.load()
      })()
      await checkRejects(second, Error, 'a second storage on the same disk')
      await storage.append(batchOf({ entries: entriesOf(3, 5, 1) }))
    })
    await bench.session(async (_, stored) => checkEqual(stored.lastIndex, 4, 'the last index'))
  })
}
