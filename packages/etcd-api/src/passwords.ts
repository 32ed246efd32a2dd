/**
 * Hashes of passwords, made in a thread of their own: each takes as long as hundreds of puts, by
 * design, and nobody else is to wait for it.
 */
import { createRequire } from 'node:module'
import { Worker } from 'node:worker_threads'
import type { Cancellable } from './call.ts'
import * as errors from './errors.ts'

export interface Passwords extends AsyncDisposable {
  /** The hash to keep. Rejects if the password is longer than bcrypt looks at. */
  hash(password: string, call: Cancellable): Promise<string>
  /** Whether the hash was made of this password; never, if it is null, which takes as long. */
  matches(password: string, hash: string | null, call: Cancellable): Promise<boolean>
}

export interface PasswordsOptions {
  readonly cost: number
  /** How many may wait for their turn; more are refused. */
  readonly maxWaiting: number
}

export function passwords(options: PasswordsOptions): Passwords {
  return new BcryptThread(options)
}

const require = createRequire(import.meta.url)

/** bcrypt looks at no more. */
const MOST_PASSWORD_BYTES = 72

/** As text, since a file of its own would have to be found in the sources as well as when built. */
const THREAD = `
  const { parentPort, workerData } = require('node:worker_threads')
  const bcrypt = require(workerData)
  const answer = ({ password, hash, cost }) => {
    try {
      return hash === null ? bcrypt.hashSync(password, cost) : bcrypt.compareSync(password, hash)
    } catch {
      return false
    }
  }
  parentPort.on('message', (job) => parentPort.postMessage(answer(job)))
`

interface Job {
  readonly password: string
  /** Null to make one. */
  readonly hash: string | null
  readonly call: Cancellable
  readonly resolve: (answer: string | boolean) => void
  readonly reject: (reason: unknown) => void
}

class BcryptThread implements Passwords {
  readonly #options: PasswordsOptions
  readonly #waiting: Job[] = []
  #current: Job | null = null
  #worker: Worker | null = null
  /** What strangers' passwords are compared with, so that nobody can tell who is a user. */
  #decoy: Promise<string> | null = null
  #isOver = false

  constructor(options: PasswordsOptions) {
    this.#options = options
  }

  async hash(password: string, call: Cancellable): Promise<string> {
    if (Buffer.byteLength(password) > MOST_PASSWORD_BYTES) throw errors.passwordTooLong
    const hash = await this.#run(password, null, call)
    if (typeof hash !== 'string') throw new TypeError('the password could not be hashed')
    return hash
  }

  async matches(password: string, hash: string | null, call: Cancellable): Promise<boolean> {
    if (Buffer.byteLength(password) > MOST_PASSWORD_BYTES) return false
    this.#decoy ??= hash === null ? this.#makeDecoy() : null
    const compared = hash ?? (await this.#decoy) ?? ''
    return (await this.#run(password, compared, call)) === true && hash !== null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true
    this.#failAll(errors.stopped)
    await this.#worker?.terminate()
  }

  #makeDecoy(): Promise<string> {
    const decoy = this.hash('', { cancelled: false })
    decoy.catch(() => {
      this.#decoy = null
    })
    return decoy
  }

  #run(password: string, hash: string | null, call: Cancellable): Promise<string | boolean> {
    if (this.#isOver) return Promise.reject(errors.stopped)
    if (this.#waiting.length >= this.#options.maxWaiting)
      return Promise.reject(errors.tooManyRequests)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ password, hash, call, resolve, reject })
      this.#next()
    })
  }

  #next(): void {
    while (this.#current === null) {
      const job = this.#waiting.shift()
      if (job === undefined) return this.#worker?.unref()
      if (job.call.cancelled) job.reject(errors.canceled)
      else this.#begin(job)
    }
  }

  #begin(job: Job): void {
    this.#current = job
    const { password, hash } = job
    const worker = (this.#worker ??= this.#start())
    worker.ref()
    worker.postMessage({ password, hash, cost: this.#options.cost })
  }

  #start(): Worker {
    const workerData = require.resolve('bcryptjs')
    const worker = new Worker(THREAD, { eval: true, workerData })
    worker.on('message', (answer: string | boolean) => {
      const job = this.#current
      this.#current = null
      job?.resolve(answer)
      this.#next()
    })
    worker.on('error', (error) => {
      this.#worker = null
      this.#failAll(error)
    })
    return worker
  }

  #failAll(reason: unknown): void {
    const failing = this.#current === null ? this.#waiting : [this.#current, ...this.#waiting]
    this.#current = null
    for (const { reject } of failing.splice(0)) reject(reason)
    this.#waiting.length = 0
  }
}
