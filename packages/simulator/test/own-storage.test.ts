import { INITIAL_HARD_STATE, type Storage } from '@coracle/raft-core'
import { memoryDisk } from '@coracle/storage-memory'
import { describe, expect, test } from 'vitest'
import { simulate, type StorageWorld, type TestedDisk } from '../src/index.ts'

/** The first seed that breaks a rule, and what the simulation says of it; null if none does. */
async function firstViolation(
  storage: (world: StorageWorld) => TestedDisk,
  seeds = 20,
): Promise<{ seed: number; property: string; why: string } | null> {
  for (let seed = 1; seed <= seeds; seed++) {
    const { violation } = await simulate({ seed, storage, storyLines: 0 })
    if (violation !== null) return { seed, ...violation }
  }
  return null
}

/** A memory disk whose storages are a little different. */
function altered(
  { sync }: StorageWorld,
  alter: (storage: Storage, life: number) => Partial<Storage>,
): TestedDisk {
  const disk = memoryDisk({ sync })
  let lives = 0
  return {
    open() {
      const storage = disk.open()
      lives += 1
      const changes = alter(storage, lives)
      return new Proxy(storage, {
        get: (target, name) => {
          const value: unknown = Reflect.get(changes, name) ?? Reflect.get(target, name)
          return typeof value === 'function' ? value.bind(target) : value
        },
      })
    },
    crash: () => disk.crash(),
  }
}

describe('a storage of your own', () => {
  test('that keeps its contract, holds: the disk of storage-memory', async () => {
    expect(await firstViolation(({ sync }) => memoryDisk({ sync }), 2)).toBeNull()
  })

  test('is a function of the seed like everything else', async () => {
    const storage = ({ sync }: StorageWorld): TestedDisk => memoryDisk({ sync })
    const first = await simulate({ seed: 4, storage })
    expect(await simulate({ seed: 4, storage })).toEqual(first)
    expect(first.tally.lives).toBeGreaterThan(first.plan.nodes)
  })

  test('that forgets its vote in a crash, is found by what it loads', async () => {
    const found = await firstViolation((world) =>
      altered(world, (storage) => ({
        async load() {
          const stored = await storage.load()
          return { ...stored, hardState: { ...stored.hardState, votedFor: null } }
        },
      })),
    )
    expect(found).toMatchObject({
      property: 'the storage keeps its contract',
      why: expect.stringMatching(/a vote for [a-z] .*and loads .*a vote for nobody/),
    })
  })

  test('that says it is durable before it is, is found', async () => {
    const found = await firstViolation((world) =>
      altered(world, (storage) => ({
        async append(batch) {
          storage.append(batch).catch(() => {})
        },
      })),
    )
    expect(found?.property).toBe('the storage keeps its contract')
  })

  test('that reads other entries than were written, is found', async () => {
    const found = await firstViolation((world) =>
      altered(world, (storage) => ({
        async entries(from, to, options) {
          const entries = await storage.entries(from, to, options)
          return entries.map((entry) => ({ ...entry, data: entry.data.slice(1) }))
        },
      })),
    )
    expect(found?.property).toBe('the storage keeps its contract')
  })

  test('that loses everything now and then, is found', async () => {
    const found = await firstViolation((world) =>
      altered(world, (storage, life) => ({
        async load() {
          const stored = await storage.load()
          const isLost = life % 5 === 0
          const empty = { hardState: INITIAL_HARD_STATE, snapshot: null, lastIndex: 0 }
          const nothing = { compacted: { term: 0, index: 0 }, termRuns: [], memberships: [] }
          return isLost ? { ...stored, ...empty, ...nothing } : stored
        },
      })),
    )
    expect(found?.property).toBe('the storage keeps its contract')
  })
})
