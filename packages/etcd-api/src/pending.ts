/**
 * Requests that wait for the cluster: how many there may be, how long they may wait, and what their
 * clients are told if they waited in vain.
 *
 * The node is not given an AbortSignal for each of them: making one costs as much as a tenth of a
 * whole put, and a proposal cannot be taken back anyway. Instead all that wait are looked at a few
 * times a second. What ends early here ends in the node when the node's own time is up, and takes
 * its place among the pending until then, so that the bounds hold for both.
 */
import type { Environment } from '@coracle/raft-core'
import type { Cancellable } from './call.ts'
import * as errors from './errors.ts'
import type { EtcdError, FailureContext } from './errors.ts'
import type { Leadership } from './leadership.ts'
import type { EtcdLimits } from './options.ts'

export interface Ask<Answer> {
  readonly call: Cancellable
  /** What this request keeps in memory while it waits. */
  readonly bytes: number
  readonly ask: () => Promise<Answer>
  /** What an error of `ask` means to the client. */
  readonly explain: (error: unknown, context: FailureContext) => EtcdError
  /** Where this request counts. */
  readonly tally?: Tally
}

/** Requests of one kind. */
export interface Tally {
  /** The node has not answered them. */
  pending: number
  /** Their clients were told of an error. */
  failed: number
  /** Those of them that took too long. */
  timedOut: number
}

export interface PendingRequests extends Disposable {
  /** Waits for the cluster's answer. Rejects with an {@link EtcdError}, whatever went wrong. */
  run<Answer>(request: Ask<Answer>): Promise<Answer>
}

export function pendingRequests(
  leadership: Leadership,
  limits: EtcdLimits,
  environment: Environment,
): PendingRequests {
  return new Pending(leadership, limits, environment)
}

interface Waiting {
  readonly call: Cancellable
  readonly reject: (reason: EtcdError) => void
  readonly tally: Tally
  readonly since: number
  /** How often the leader had changed when the wait began. */
  readonly changes: number
}

export function noTally(): Tally {
  return { pending: 0, failed: 0, timedOut: 0 }
}

/** Often enough that a timeout is late by a few percent only. */
const LOOKS_PER_TIMEOUT = 20

class Pending implements PendingRequests {
  readonly #leadership: Leadership
  readonly #limits: EtcdLimits
  readonly #environment: Environment
  readonly #waiting = new Set<Waiting>()
  /** What the node has not answered yet, whether or not somebody still waits for it. */
  #requests = 0
  #bytes = 0
  readonly #stopLooking: () => void

  constructor(leadership: Leadership, limits: EtcdLimits, environment: Environment) {
    this.#leadership = leadership
    this.#limits = limits
    this.#environment = environment
    const intervalMs = Math.ceil(limits.requestTimeoutMs / LOOKS_PER_TIMEOUT)
    this.#stopLooking = environment.every(intervalMs, () => this.#look())
  }

  run<Answer>({ call, bytes, ask, explain, tally = noTally() }: Ask<Answer>): Promise<Answer> {
    const { maxPendingRequests, maxPendingBytes } = this.#limits
    if (this.#requests >= maxPendingRequests || this.#bytes + bytes > maxPendingBytes)
      return Promise.reject(errors.tooManyRequests)
    const { changes } = this.#leadership
    const asked = ask()
    this.#requests += 1
    tally.pending += 1
    this.#bytes += bytes
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { call, reject, tally, since: this.#environment.now(), changes }
      this.#waiting.add(waiting)
      asked.then(
        (answer) => {
          this.#end(waiting, bytes)
          return resolve(answer)
        },
        (error: unknown) => {
          const reason = explain(error, this.#context(waiting))
          if (this.#end(waiting, bytes)) countFailure(tally, reason)
          return reject(reason)
        },
      )
    })
  }

  [Symbol.dispose](): void {
    this.#stopLooking()
    for (const waiting of this.#waiting) this.#giveUp(waiting, errors.stopped)
  }

  /** Whether anybody still waited. */
  #end(waiting: Waiting, bytes: number): boolean {
    this.#requests -= 1
    this.#bytes -= bytes
    waiting.tally.pending -= 1
    return this.#waiting.delete(waiting)
  }

  #look(): void {
    const deadline = this.#environment.now() - this.#limits.requestTimeoutMs
    for (const waiting of this.#waiting) {
      if (waiting.call.cancelled) this.#giveUp(waiting, errors.canceled)
      else if (waiting.since <= deadline)
        this.#giveUp(waiting, errors.timeoutError(this.#context(waiting)))
    }
  }

  #giveUp(waiting: Waiting, reason: EtcdError): void {
    this.#waiting.delete(waiting)
    countFailure(waiting.tally, reason)
    waiting.reject(reason)
  }

  #context(waiting: Waiting): FailureContext {
    return {
      hasLeader: this.#leadership.leader !== null,
      leaderChanged: this.#leadership.changes !== waiting.changes,
    }
  }
}

function countFailure(tally: Tally, reason: EtcdError): void {
  tally.failed += 1
  if (errors.isTimeout(reason)) tally.timedOut += 1
}
