import type { Storage, Stored } from '../contracts/storage.ts'
import type { TestFunction } from './check.ts'
import { compactionTests } from './storage-compaction.ts'
import { crashTests } from './storage-crashes.ts'
import { logTests } from './storage-log.ts'
import { historyTests } from './storage-model.ts'
import { snapshotTests } from './storage-snapshots.ts'

/**
 * What the suite needs to know of a storage. A `Disk` is whatever the storage is opened on: a
 * directory, a bucket, an object in memory. What is optional here decides which areas are tested.
 */
export interface StorageConformance<Disk> {
  /** Registers a test: vitest's `test`, that of `node:test`, or any other of this shape. */
  readonly test: TestFunction
  /** Makes a new, empty disk. Called once per test. */
  readonly createDisk: () => Promise<Disk>
  /** A storage on what earlier ones left there. They were disposed, or cut off by `crash`. */
  readonly open: (disk: Disk) => Promise<Storage>
  /** Called when a test is over and its storages are disposed. */
  readonly removeDisk?: (disk: Disk) => Promise<void>
  /**
   * Cuts the power: from the moment this is called, what is not durable is lost. The open storage
   * is never called again, nor disposed; what it was doing may settle or not.
   */
  readonly crash?: (disk: Disk) => Promise<void>
  /** Changes at least one byte of the newest snapshot's content. No storage is open. */
  readonly damageSnapshot?: (disk: Disk) => Promise<void>
  /** A disk refuses a second storage while one is open on it. Default false: it cannot know. */
  readonly exclusive?: boolean
}

/** One test's disk, behind functions that open it, use it and leave it as it should be left. */
export interface Bench {
  /** Opens the disk, loads, runs `body`, and disposes the storage. */
  session<T>(body: (storage: Storage, stored: Stored) => Promise<T>): Promise<T>
  /** Opens the disk and leaves it to the test to dispose the storage or to crash. */
  open(): Promise<Storage>
  crash(): Promise<void>
  damageSnapshot(): Promise<void>
}

/** Registers a test that runs on a disk of its own. */
export type BenchTest = (sentence: string, body: (bench: Bench) => Promise<void>) => void

/**
 * Registers one test per sentence of the contract of {@link Storage}. Whatever passes them all can
 * be handed to a node.
 *
 * @example
 * storageConformance({
 *   test,
 *   createDisk: () => mkdtemp(join(tmpdir(), 'storage-')),
 *   open: async (location) => myStorage({ location }),
 *   removeDisk: (location) => rm(location, { recursive: true }),
 * })
 */
export function storageConformance<Disk>(suite: StorageConformance<Disk>): void {
  const test: BenchTest = (sentence, body) => {
    suite.test(sentence, async () => {
      const disk = await suite.createDisk()
      try {
        await body(benchOn(suite, disk))
      } finally {
        await suite.removeDisk?.(disk)
      }
    })
  }
  logTests(test)
  compactionTests(test)
  snapshotTests(test, {
    damage: suite.damageSnapshot !== undefined,
    exclusive: suite.exclusive ?? false,
  })
  historyTests(test)
  if (suite.crash !== undefined) crashTests(test)
}

function benchOn<Disk>(suite: StorageConformance<Disk>, disk: Disk): Bench {
  return {
    async session(body) {
      await using storage = await suite.open(disk)
      return await body(storage, await storage.load())
    },
    open: () => suite.open(disk),
    crash: async () => suite.crash?.(disk),
    damageSnapshot: async () => suite.damageSnapshot?.(disk),
  }
}
