import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AppendBatch } from '@coracle/raft-core'
import { ClassicLevel } from 'classic-level'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Engine } from '../src/database.ts'
import { CHUNK_KEYS, chunkKey, entryKeys, numberIn } from '../src/keys.ts'
import { LevelStorage } from '../src/level-storage.ts'

let location = ''
let engine: Engine
beforeEach(async () => {
  location = await mkdtemp(join(tmpdir(), 'storage-level-'))
})
afterEach(() => rm(location, { recursive: true }))

function open(): LevelStorage {
  const createEngine = (path: string): Engine => {
    engine = new ClassicLevel(path, { keyEncoding: 'view', valueEncoding: 'view' })
    return engine
  }
  return new LevelStorage(location, { fsync: false, createEngine })
}

function batch(from: number, to: number): AppendBatch {
  const data = new Uint8Array(10)
  const entries = Array.from({ length: to - from }, (_, i) => ({
    index: from + i,
    term: 1,
    type: 'command' as const,
    data,
  }))
  return { reset: null, entries, hardState: null }
}

/** Appends [from, to) in records of ten. */
async function appendByTen(storage: LevelStorage, from: number, to: number): Promise<void> {
  for (let index = from; index < to; index += 10)
    await storage.append(batch(index, Math.min(index + 10, to)))
}

/** The last index in each record of entries. */
async function lastIndexes(): Promise<number[]> {
  const keys = await engine.keys(entryKeys(0, 2 ** 50)).all()
  return keys.map(numberIn)
}

async function generations(): Promise<number[]> {
  const keys = await engine.keys(CHUNK_KEYS).all()
  return [...new Set(keys.map(numberIn))]
}

/** Waits until `check` passes. */
function eventually(check: () => Promise<void>): Promise<void> {
  return vi.waitFor(check, { timeout: 30_000, interval: 10 })
}

async function writeSnapshot(storage: LevelStorage, index: number, length: number): Promise<void> {
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(length).fill(index)
  }
  const membership = { voters: [], outgoing: [], learners: [], peers: [], removed: [] }
  await storage.writeSnapshot(
    { position: { index, term: 1 }, membership, membershipIndex: 1 },
    chunks(),
  )
}

test('compacted entries are removed from the disk, in the background', async () => {
  await using storage = open()
  await storage.load()
  await appendByTen(storage, 1, 3_001)
  await storage.compact({ index: 2_000, term: 1 })
  await eventually(async () => expect((await lastIndexes())[0]).toBe(2_010))
  await storage.compact({ index: 2_005, term: 1 })
  expect(await storage.entries(2_006, 2_007, { maxBytes: 0 })).toMatchObject([{ index: 2_006 }])
  await storage.compact({ index: 3_000, term: 1 })
  await eventually(async () => expect(await lastIndexes()).toEqual([]))
})

test('replaced entries and those before a reset are removed from the disk', async () => {
  await using storage = open()
  await storage.load()
  await storage.append(batch(1, 21))
  await storage.append(batch(5, 7))
  expect(await lastIndexes()).toEqual([4, 6])
  await storage.append({ ...batch(6, 8), reset: { index: 5, term: 1 } })
  await eventually(async () => expect(await lastIndexes()).toEqual([7]))
})

test('what a truncation leaves of a record is there after it, and after the next start', async () => {
  await using storage = open()
  await storage.load()
  await appendByTen(storage, 1, 31)
  await storage.compact({ index: 14, term: 1 })
  await storage.append(batch(18, 20))
  const indexes = async (from: LevelStorage): Promise<number[]> =>
    (await from.entries(15, 20, { maxBytes: 1_000 })).map(({ index }) => index)
  expect(await indexes(storage)).toEqual([15, 16, 17, 18, 19])
  await eventually(async () => expect(await lastIndexes()).toEqual([17, 19]))
  await storage[Symbol.asyncDispose]()
  await using again = open()
  await again.load()
  expect(await indexes(again)).toEqual([15, 16, 17, 18, 19])
})

test('large entries have records of their own', async () => {
  await using storage = open()
  await storage.load()
  const { entries } = batch(1, 6)
  const large = entries.map((entry) => ({ ...entry, data: new Uint8Array(40_000) }))
  await storage.append({ reset: null, entries: large, hardState: null })
  expect(await lastIndexes()).toEqual([1, 2, 3, 4, 5])
  expect(await storage.entries(2, 6, { maxBytes: 80_000 })).toHaveLength(2)
})

test('a log that is reset to an earlier place keeps what it is given there', async () => {
  await using storage = open()
  await storage.load()
  await appendByTen(storage, 1, 3_001)
  await storage.compact({ index: 2_900, term: 1 })
  await storage.append({ ...batch(11, 21), reset: { index: 10, term: 1 } })
  await storage[Symbol.asyncDispose]()
  await using again = open()
  await again.load()
  expect(await again.entries(11, 21, { maxBytes: 1_000 })).toHaveLength(10)
})

test('a removal that a stop interrupted is finished after the next start', async () => {
  await using storage = open()
  await storage.load()
  await appendByTen(storage, 1, 3_001)
  await storage.compact({ index: 2_990, term: 1 })
  await storage[Symbol.asyncDispose]()
  await using again = open()
  await again.load()
  await eventually(async () => expect((await lastIndexes())[0]).toBe(3_000))
})

test('the chunks of a replaced snapshot are removed once nobody reads them', async () => {
  await using storage = open()
  await storage.load()
  await writeSnapshot(storage, 1, 600_000)
  const [first] = await generations()
  const read = (await storage.readSnapshot())?.chunks[Symbol.asyncIterator]()
  await read?.next()
  await writeSnapshot(storage, 2, 10)
  await writeSnapshot(storage, 3, 10)
  await eventually(async () => expect(await generations()).toHaveLength(2))
  expect(await generations()).toContain(first)
  await read?.return?.()
  await eventually(async () => expect(await generations()).toHaveLength(1))
})

test('the chunks of a snapshot whose stream failed are removed once nobody goes on with it', async () => {
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(600_000)
    throw new Error('the stream broke')
  }
  await using storage = open()
  await storage.load()
  const membership = { voters: [], outgoing: [], learners: [], peers: [], removed: [] }
  const meta = { position: { index: 1, term: 1 }, membership, membershipIndex: 1 }
  await expect(storage.writeSnapshot(meta, broken())).rejects.toThrow('the stream broke')
  expect(await generations()).toEqual([1])
  await storage.dropUnfinished()
  await eventually(async () => expect(await generations()).toEqual([]))
})

test('what a crash left of an unfinished snapshot is removed after the next start', async () => {
  await using storage = open()
  await storage.load()
  await writeSnapshot(storage, 1, 10)
  const [kept = 0] = await generations()
  await engine.put(chunkKey(kept + 1, 0), new Uint8Array(9))
  await engine.put(chunkKey(kept + 7, 3), new Uint8Array(9))
  await storage[Symbol.asyncDispose]()
  await using again = open()
  await again.load()
  await writeSnapshot(again, 2, 10)
  await eventually(async () => expect(await generations()).toEqual([kept + 8]))
})

test('defragmenting gives back what was removed, and changes nothing else', async () => {
  await using storage = open()
  await storage.load()
  const size = async (): Promise<number> => {
    await storage.defragment()
    const { gte, lt } = entryKeys(0, 2 ** 50)
    return (engine as ClassicLevel<Uint8Array, Uint8Array>).approximateSize(gte, lt)
  }
  await appendByTen(storage, 1, 2_000)
  const before = await size()
  await writeSnapshot(storage, 1_500, 1_000)
  await storage.compact({ index: 1_500, term: 1 })
  expect(await size()).toBeLessThan(before / 2)
  const left = Array.from({ length: 50 }, (_, i) => Math.min(1_510 + 10 * i, 1_999))
  expect(await lastIndexes()).toEqual(left)
  await storage.append(batch(2_000, 2_010))
  expect(await storage.entries(2_000, 2_010, { maxBytes: 1 << 20 })).toHaveLength(10)
})
