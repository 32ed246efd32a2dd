/** A storage whose writes are timed. */
import type { Storage } from '@coracle/raft-core'

/** Told how long each write took, in seconds. Those that failed are not told. */
export interface StorageTimes {
  appended(seconds: number, bytes: number): void
  snapshotWritten(seconds: number): void
}

export function measuredStorage(storage: Storage, times: StorageTimes, now: () => number): Storage {
  return {
    load: () => storage.load(),
    async append(batch) {
      const begun = now()
      await storage.append(batch)
      let bytes = 0
      for (const { data } of batch.entries) bytes += data.byteLength
      times.appended((now() - begun) / 1_000, bytes)
    },
    entries: (from, to, options) => storage.entries(from, to, options),
    compact: (position) => storage.compact(position),
    async writeSnapshot(meta, chunks, options) {
      const begun = now()
      await storage.writeSnapshot(meta, chunks, options)
      times.snapshotWritten((now() - begun) / 1_000)
    },
    dropUnfinished: () => storage.dropUnfinished(),
    readSnapshot: () => storage.readSnapshot(),
    [Symbol.asyncDispose]: () => storage[Symbol.asyncDispose](),
  }
}
