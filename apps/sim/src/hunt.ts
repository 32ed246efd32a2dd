/** Simulates a mutant, seed after seed, until a rule breaks. */
import { Worker } from 'node:worker_threads'
import { ask, NoReport } from './ask.ts'
import type { Mutant, Mutation } from './mutant.ts'

export interface Hunt {
  readonly mutation: Mutation
  /** The first seed that shows the bug, and the rule that it breaks; null if none did. */
  readonly found: { readonly seed: number; readonly rule: string } | null
  /** How many seeds were run. */
  readonly seeds: number
  readonly seconds: number
}

/** A seed that takes this long runs in circles, which is a way of showing a bug, too. */
const SEED_TIMEOUT_MS = 120_000

export async function hunt(
  mutation: Mutation,
  { worker }: Mutant,
  { seeds, workers }: { readonly seeds: number; readonly workers: number },
): Promise<Hunt> {
  const startedAt = performance.now()
  let next = 1
  const broken: { readonly seed: number; readonly rule: string }[] = []
  const seek = async (): Promise<void> => {
    const thread = new Worker(worker, { workerData: 0 })
    try {
      while (broken.length === 0 && next <= seeds) {
        const seed = next
        next += 1
        const rule = await ruleBrokenBy(thread, seed)
        if (rule !== null) broken.push({ seed, rule })
      }
    } finally {
      await thread.terminate()
    }
  }
  await Promise.all(Array.from({ length: workers }, seek))
  const seconds = (performance.now() - startedAt) / 1000
  // The smallest seed counts, whichever thread was done first.
  const [found = null] = broken.sort((a, b) => a.seed - b.seed)
  return { mutation, found, seeds: next - 1, seconds }
}

/** The rule, or null if all held. A thread that dies has broken one, too. */
async function ruleBrokenBy(thread: Worker, seed: number): Promise<string | null> {
  try {
    const { violation } = await ask(thread, seed, SEED_TIMEOUT_MS)
    return violation?.property ?? null
  } catch (error) {
    if (error instanceof NoReport) return error.rule
    throw error
  }
}
