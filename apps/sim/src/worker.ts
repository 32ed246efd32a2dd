/** One thread that simulates: it is sent one seed after the other, and answers each with its report. */
import { parentPort, workerData } from 'node:worker_threads'
import { simulate } from '@coracle/simulator'
import { kvWorkload } from './kv-workload.ts'
import type { Setting } from './threads.ts'

// Nodes fail by the thousand here, as they should, and nobody reads where in the code that was.
Error.stackTraceLimit = 0

const { machine, storyLines } = workerData as Setting

parentPort?.on('message', (seed: number) => {
  simulate(
    machine === 'kv' ? { seed, storyLines, workload: kvWorkload() } : { seed, storyLines },
  ).then(
    (report) => parentPort?.postMessage(report),
    // Left to itself the rejection ends this thread, and whoever started it learns why.
    (error: unknown) => {
      throw error
    },
  )
})
