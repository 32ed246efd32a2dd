import { storageConformance } from '@coracle/raft-core/conformance'
import { describe, test } from 'vitest'
import { memoryDisk } from '../src/index.ts'

describe('a memory disk that syncs at once', () => {
  storageConformance({
    test,
    createDisk: async () => memoryDisk(),
    open: async (disk) => disk.open(),
    crash: async (disk) => disk.crash(),
    exclusive: true,
  })
})

describe('a memory disk that takes a while to sync', () => {
  storageConformance({
    test,
    createDisk: async () => memoryDisk({ sync: () => new Promise((done) => setTimeout(done)) }),
    open: async (disk) => disk.open(),
    crash: async (disk) => disk.crash(),
    exclusive: true,
  })
})
