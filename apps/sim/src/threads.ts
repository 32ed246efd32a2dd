import { Worker } from 'node:worker_threads'
import type { Report } from '@coracle/simulator'
import type { Machine } from './arguments.ts'

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

/** Runs seeds on several threads. A thread that dies takes the run with it. */
export async function runSeeds({ next, workers, setting, done }: Work): Promise<void> {
  const work = async (): Promise<void> => {
    let seed = next()
    if (seed === null) return
    const worker = new Worker(new URL('worker.js', import.meta.url), { workerData: setting })
    try {
      for (; seed !== null; seed = next()) done(await ask(worker, seed))
    } finally {
      await worker.terminate()
    }
  }
  await Promise.all(Array.from({ length: workers }, work))
}

/** A seed is simulated in less than a second; one that takes this long never ends. */
const SEED_TIMEOUT_MS = 300_000

function ask(worker: Worker, seed: number): Promise<Report> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void): void => {
      clearTimeout(timer)
      worker.off('message', answer).off('error', fail).off('exit', leave)
      settle()
    }
    const answer = (report: Report): void => end(() => resolve(report))
    const fail = (cause: unknown): void =>
      end(() => reject(new Error(`seed ${seed} could not be simulated`, { cause })))
    const leave = (code: number): void => fail(new Error(`its thread ended with code ${code}`))
    const timer = setTimeout(
      () => fail(new Error(`it did not come to an end in ${SEED_TIMEOUT_MS / 1000} s`)),
      SEED_TIMEOUT_MS,
    )
    worker.on('message', answer).on('error', fail).on('exit', leave)
    worker.postMessage(seed)
  })
}
