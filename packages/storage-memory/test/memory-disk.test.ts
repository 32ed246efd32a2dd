import type { AppendBatch, Entry, Storage } from '@coracle/raft-core'
import { describe, expect, test } from 'vitest'
import { memoryDisk, memoryStorage } from '../src/index.ts'

const ALL = { maxBytes: Infinity }

function entries(from: number, to: number, term = 1): readonly Entry[] {
  return Array.from({ length: to - from }, (_, i) => ({
    index: from + i,
    term,
    type: 'command',
    data: Uint8Array.of(i),
  }))
}

function batch(from: number, to: number): AppendBatch {
  return { reset: null, entries: entries(from, to), hardState: null }
}

describe('memoryStorage', () => {
  test('keeps what it is given without copying it', async () => {
    await using storage = memoryStorage()
    await storage.load()
    const given = batch(1, 4)
    await storage.append(given)
    const kept = await storage.entries(1, 4, ALL)
    kept.forEach((entry, i) => expect(entry).toBe(given.entries[i]))
  })

  test('rejects with STOPPED after it was disposed', async () => {
    const storage = memoryStorage()
    await storage[Symbol.asyncDispose]()
    for (const call of [
      storage.load(),
      storage.append(batch(1, 2)),
      storage.entries(1, 2, ALL),
      storage.compact({ index: 1, term: 1 }),
      storage.readSnapshot(),
    ])
      await expect(call).rejects.toMatchObject({ code: 'STOPPED' })
  })
})

describe('memoryDisk', () => {
  /** A disk whose writes wait until `finish` is called. */
  function slowDisk(): { disk: ReturnType<typeof memoryDisk>; finish: () => void } {
    const waiting: (() => void)[] = []
    return {
      disk: memoryDisk({ sync: () => new Promise((done) => waiting.push(done)) }),
      finish: () => waiting.shift()?.(),
    }
  }

  async function settled(work: Promise<unknown>): Promise<boolean> {
    let done = false
    const mark = (): void => {
      done = true
    }
    work.then(mark, mark)
    await new Promise((later) => setTimeout(later))
    return done
  }

  async function lastIndex(storage: Storage): Promise<number> {
    return (await storage.load()).lastIndex
  }

  test('a write is durable when its sync completes, and not before', async () => {
    const { disk, finish } = slowDisk()
    const storage = disk.open()
    await storage.load()
    const first = storage.append(batch(1, 4))
    expect(await settled(first)).toBe(false)
    finish()
    await first
    const second = storage.append(batch(4, 9))
    disk.crash()
    finish()
    expect(await settled(second)).toBe(false)
    expect(await lastIndex(disk.open())).toBe(3)
  })

  test('a snapshot is durable when its sync completes, and not before', async () => {
    const { disk, finish } = slowDisk()
    async function* chunks(): AsyncGenerator<Uint8Array> {
      yield Uint8Array.of(1)
    }
    const membership = { voters: [], outgoing: [], learners: [], peers: [], removed: [] }
    const storage = disk.open()
    const writing = storage.writeSnapshot(
      { position: { index: 1, term: 1 }, membership, membershipIndex: 1 },
      chunks(),
    )
    expect(await settled(writing)).toBe(false)
    disk.crash()
    finish()
    expect(await settled(writing)).toBe(false)
    expect(await disk.open().readSnapshot()).toBe(null)
  })

  test('a crash after compact brings the entries back, and one after the next append does not', async () => {
    const disk = memoryDisk()
    const storage = disk.open()
    await storage.append(batch(1, 10))
    await storage.compact({ index: 5, term: 1 })
    await expect(storage.entries(5, 6, ALL)).rejects.toMatchObject({ code: 'COMPACTED' })
    disk.crash()
    const again = disk.open()
    expect((await again.load()).compacted.index).toBe(0)
    await again.compact({ index: 5, term: 1 })
    await again.append(batch(10, 11))
    disk.crash()
    expect((await disk.open().load()).compacted.index).toBe(5)
  })

  test('a sync that fails fails the write, which then did not happen', async () => {
    const disk = memoryDisk({ sync: () => Promise.reject(new Error('the disk is full')) })
    const storage = disk.open()
    await expect(storage.append(batch(1, 4))).rejects.toThrow('the disk is full')
    disk.crash()
    expect(await lastIndex(disk.open())).toBe(0)
  })

  test('a crashed storage answers nothing any more, and can still be disposed', async () => {
    const disk = memoryDisk()
    const storage = disk.open()
    disk.crash()
    await expect(storage.entries(1, 2, ALL)).rejects.toMatchObject({ code: 'STOPPED' })
    const next = disk.open()
    await storage[Symbol.asyncDispose]()
    await next.append(batch(1, 2))
    expect(await next.entries(1, 2, ALL)).toHaveLength(1)
  })
})
