import { Worker } from 'node:worker_threads'
import type { Report } from '@coracle/simulator'
import type { Machine } from './arguments.ts'
import { ask } from './ask.ts'

/** Most seeds take less than a second, and the longest that was seen 82 s: this one never ends. */
const SEED_TIMEOUT_MS = 300_000

/** What is the same for all seeds. */
export interface Setting {
  readonly machine: Machine
  /** How much of the story of a seed to keep. */
  readonly storyLines: number
  readonly memoryStorage: boolean
  readonly memoryTransport: boolean
}

export interface Work {
  /** The next seed, or null if none is left to begin. */
  readonly next: () => number | null
  readonly workers: number
  readonly setting: Setting
  readonly done: (report: Report) => void
}

/** Runs seeds on several threads. A thread that dies, or hangs, takes the run with it. */
export async function runSeeds({ next, workers, setting, done }: Work): Promise<void> {
  const work = async (): Promise<void> => {
    let seed = next()
    if (seed === null) return
    const worker = new Worker(new URL('worker.js', import.meta.url), { workerData: setting })
    try {
      for (; seed !== null; seed = next()) done(await ask(worker, seed, SEED_TIMEOUT_MS))
    } finally {
      await worker.terminate()
    }
  }
  await Promise.all(Array.from({ length: workers }, work))
}
