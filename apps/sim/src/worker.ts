/** One thread that simulates: it is sent one seed after the other, and answers each with its report. */
import { parentPort, workerData } from 'node:worker_threads'
import { simulate, type StorageWorld, type TransportWorld } from '@coracle/simulator'
import { memoryDisk } from '@coracle/storage-memory'
import { memoryNetwork } from '@coracle/transport-memory'
import { kvWorkload } from './kv-workload.ts'
import type { Setting } from './threads.ts'

// Nodes fail by the thousand here, as they should, and nobody reads where in the code that was.
Error.stackTraceLimit = 0

const { machine, storyLines, memoryStorage, memoryTransport } = workerData as Setting

const how = {
  storyLines,
  ...(memoryStorage ? { storage: ({ sync }: StorageWorld) => memoryDisk({ sync }) } : {}),
  ...(memoryTransport ? { transport: (world: TransportWorld) => memoryNetwork(world) } : {}),
}

parentPort?.on('message', (seed: number) => {
  simulate(machine === 'kv' ? { seed, ...how, workload: kvWorkload() } : { seed, ...how }).then(
    (report) => parentPort?.postMessage(report),
    // Left to itself the rejection ends this thread, and whoever started it learns why.
    (error: unknown) => {
      throw error
    },
  )
})
