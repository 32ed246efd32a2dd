/**
 * Keep-alives on their way through the log, many in one entry.
 *
 * A renewal that is committed proves by itself that there was a leader with a majority behind it; it
 * can be asked for on any member; and every member sees it, so that the next leader knows of it.
 */
import { encodeCommand } from '@coracle/kv-state-machine'
import type { ServiceContext } from './context.ts'
import * as errors from './errors.ts'
import { outcome } from './outcome.ts'

export interface Renewals extends Disposable {
  /** Answers with the time the lease was granted for, in seconds; 0 if there is none. */
  renew(id: bigint): Promise<number>
}

/** How long renewals gather: an entry every so often costs little, whatever it holds. */
const GATHER_MS = 5
const MOST_IN_ENTRY = 10_000
/** What a renewal takes in an entry, and the most that is around them. */
const RENEWAL_BYTES = 8
const AROUND_BYTES = 16

export function renewals(context: ServiceContext): Renewals {
  return new Batches(context)
}

interface Waiting {
  readonly id: bigint
  readonly resolve: (ttl: number) => void
  readonly reject: (reason: unknown) => void
}

/** An entry carries the renewals of many clients, and none of them can call it off. */
const CALL = { cancelled: false }

class Batches implements Renewals {
  readonly #context: ServiceContext
  readonly #mostInEntry: number
  #gathered: Waiting[] = []
  /** Gathered or proposed, and not answered yet. */
  #waiting = 0
  #stopGathering: (() => void) | null = null
  #isOver = false

  constructor(context: ServiceContext) {
    const { maxRequestBytes } = context.options.limits
    const fit = Math.floor((maxRequestBytes - AROUND_BYTES) / RENEWAL_BYTES)
    this.#mostInEntry = Math.max(1, Math.min(fit, MOST_IN_ENTRY))
    this.#context = context
  }

  renew(id: bigint): Promise<number> {
    const { limits, environment } = this.#context.options
    if (this.#isOver) return Promise.reject(errors.stopped)
    if (this.#waiting >= limits.maxPendingRequests) return Promise.reject(errors.tooManyRequests)
    this.#waiting += 1
    this.#stopGathering ??= environment.every(GATHER_MS, () => this.#beat())
    return new Promise((resolve, reject) => {
      this.#gathered.push({ id, resolve, reject })
    })
  }

  /** The timer runs only as long as there is something to gather. */
  #beat(): void {
    if (this.#gathered.length === 0) return this.#rest()
    const gathered = this.#gathered
    this.#gathered = []
    for (let at = 0; at < gathered.length; at += this.#mostInEntry) {
      const batch = gathered.slice(at, at + this.#mostInEntry)
      this.#propose(batch).catch((error: unknown) => this.#fail(batch, error))
    }
  }

  #rest(): void {
    this.#stopGathering?.()
    this.#stopGathering = null
  }

  async #propose(batch: readonly Waiting[]): Promise<void> {
    const ids = batch.map(({ id }) => id)
    const command = encodeCommand({ type: 'lease-renew', request: { ids } })
    const { ttls } = outcome(await this.#context.propose(command, CALL), 'lease-renew')
    this.#waiting -= batch.length
    for (const [at, { resolve }] of batch.entries()) resolve(ttls[at] ?? 0)
  }

  #fail(batch: readonly Waiting[], reason: unknown): void {
    this.#waiting -= batch.length
    for (const { reject } of batch) reject(reason)
  }

  [Symbol.dispose](): void {
    this.#isOver = true
    this.#rest()
    for (const { reject } of this.#gathered) reject(errors.stopped)
    this.#gathered = []
  }
}
