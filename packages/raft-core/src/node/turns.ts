import type { Environment } from '../environment.ts'
import { RaftError } from '../errors.ts'

interface Job {
  readonly run: () => void
  /** Called instead if the node stops first. */
  readonly cancel?: (reason: RaftError) => void
}

/**
 * What waits for a turn of the run loop. Nothing outside ever touches the protocol: it leaves a job
 * here, and the jobs of one turn run one after the other, before anything new is done.
 */
export class Turns {
  readonly #environment: Environment
  readonly #turn: () => void
  #jobs: Job[] = []
  #attempts: Job[] = []
  #isRequested = false
  #stopped: RaftError | null = null

  constructor(environment: Environment, turn: () => void) {
    this.#environment = environment
    this.#turn = turn
  }

  /** The node has stopped: there is no other turn. */
  get isOver(): boolean {
    return this.#stopped !== null
  }

  /** Asks for a turn soon. Asking twice before it comes is asking once. */
  request(): void {
    if (this.#isRequested || this.#stopped !== null) return
    this.#isRequested = true
    this.#environment.schedule(() => {
      this.#isRequested = false
      if (this.#stopped === null) this.#turn()
    })
  }

  enqueue(...jobs: readonly (() => void)[]): void {
    for (const run of jobs) this.#jobs.push({ run })
    this.request()
  }

  /** Runs `job` in the next turn and answers with what it returns. */
  enter<Value>(job: () => Value): Promise<Value> {
    if (this.#stopped !== null) return Promise.reject(this.#stopped)
    return new Promise((resolve, reject) => {
      const run = (): void => {
        try {
          resolve(job())
        } catch (error) {
          reject(error)
          // A refusal is the caller's business; anything else is the node's too.
          if (!(error instanceof RaftError)) throw error
        }
      }
      this.#jobs.push({ run, cancel: reject })
      this.request()
    })
  }

  /** Tries at the end of every turn, until `attempt` answers with something, or throws a RaftError. */
  eventually<Value>(attempt: () => Value | null, signal?: AbortSignal): Promise<Value> {
    if (this.#stopped !== null) return Promise.reject(this.#stopped)
    return new Promise((resolve, reject) => {
      const end = (): void => {
        signal?.removeEventListener('abort', abort)
        this.#attempts = this.#attempts.filter((other) => other !== job)
      }
      const abort = (): void => {
        end()
        reject(signal?.reason)
      }
      const run = (): void => {
        try {
          const value = attempt()
          if (value === null) return
          end()
          resolve(value)
        } catch (error) {
          end()
          reject(error)
          if (!(error instanceof RaftError)) throw error
        }
      }
      const job: Job = { run, cancel: reject }
      if (signal?.aborted === true) return abort()
      signal?.addEventListener('abort', abort)
      this.#attempts.push(job)
      this.request()
    })
  }

  runJobs(): void {
    if (this.#jobs.length === 0) return
    const jobs = this.#jobs
    this.#jobs = []
    for (const job of jobs) job.run()
  }

  runAttempts(): void {
    for (const attempt of this.#attempts) attempt.run()
  }

  stop(reason: RaftError): void {
    this.#stopped = reason
    for (const job of [...this.#jobs, ...this.#attempts]) job.cancel?.(reason)
    this.#jobs = []
    this.#attempts = []
  }
}
