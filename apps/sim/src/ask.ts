/** One seed, simulated by a thread that takes one after the other. */
import type { Worker } from 'node:worker_threads'
import type { Report } from '@coracle/simulator'

/** Why there is no report of a seed: its thread broke down, or never came to an end. */
export class NoReport extends Error {
  override readonly name = 'NoReport'
  /** The rule that this breaks, whatever the others say. */
  readonly rule: 'it does not crash' | 'it comes to an end'

  constructor(seed: number, rule: NoReport['rule'], cause: unknown) {
    super(`seed ${seed} could not be simulated`, { cause })
    this.rule = rule
  }
}

/** Rejects with a {@link NoReport}; after that the thread is of no more use. */
export function ask(worker: Worker, seed: number, timeoutMs: number): Promise<Report> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void): void => {
      clearTimeout(timer)
      worker.off('message', answer).off('error', crash).off('exit', leave)
      settle()
    }
    const fail = (rule: NoReport['rule'], cause: unknown): void =>
      end(() => reject(new NoReport(seed, rule, cause)))
    const answer = (report: Report): void => end(() => resolve(report))
    const crash = (cause: unknown): void => fail('it does not crash', cause)
    const leave = (code: number): void => crash(new Error(`its thread ended with code ${code}`))
    const late = new Error(`it did not come to an end in ${timeoutMs / 1_000} s`)
    const timer = setTimeout(() => fail('it comes to an end', late), timeoutMs)
    worker.on('message', answer).on('error', crash).on('exit', leave)
    worker.postMessage(seed)
  })
}
