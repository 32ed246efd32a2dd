/**
 * Requests that wait for the cluster: how many there may be, how long they may wait, and what their
 * clients are told if they waited in vain.
 */
import type { Environment } from '@coracle/raft-core'
import * as errors from './errors.ts'
import type { EtcdError, FailureContext } from './errors.ts'
import type { Leadership } from './leadership.ts'
import type { EtcdLimits } from './options.ts'

/** The part of a gRPC call that says that its client is gone. */
export interface Cancellable {
  readonly cancelled: boolean
  once(event: 'cancelled', listener: () => void): unknown
}

export interface Ask<Answer> {
  readonly call: Cancellable
  /** What this request keeps in memory while it waits. */
  readonly bytes: number
  readonly ask: (signal: AbortSignal) => Promise<Answer>
  /** What an error of `ask` means to the client. */
  readonly explain: (error: unknown, context: FailureContext) => EtcdError
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
  readonly controller: AbortController
  readonly since: number
  readonly bytes: number
  readonly changes: number
}

/** Often enough that a timeout is late by a few percent only. */
const LOOKS_PER_TIMEOUT = 20

class Pending implements PendingRequests {
  readonly #leadership: Leadership
  readonly #limits: EtcdLimits
  readonly #environment: Environment
  /** Oldest first. All wait equally long, so one look at the oldest finds whose time is up. */
  readonly #waiting = new Set<Waiting>()
  #bytes = 0
  readonly #stop: () => void

  constructor(leadership: Leadership, limits: EtcdLimits, environment: Environment) {
    this.#leadership = leadership
    this.#limits = limits
    this.#environment = environment
    const intervalMs = Math.ceil(limits.requestTimeoutMs / LOOKS_PER_TIMEOUT)
    this.#stop = environment.every(intervalMs, () => this.#expire())
  }

  run<Answer>({ call, bytes, ask, explain }: Ask<Answer>): Promise<Answer> {
    const full =
      this.#waiting.size >= this.#limits.maxPendingRequests ||
      this.#bytes + bytes > this.#limits.maxPendingBytes
    if (full) return Promise.reject(errors.tooManyRequests)
    if (call.cancelled) return Promise.reject(errors.canceled)
    const controller = new AbortController()
    const { changes } = this.#leadership
    const waiting: Waiting = { controller, since: this.#environment.now(), bytes, changes }
    this.#waiting.add(waiting)
    this.#bytes += bytes
    // gRPC says "cancelled" after every call, also after those that were answered.
    call.once('cancelled', () => {
      if (this.#waiting.has(waiting)) controller.abort(errors.canceled)
    })
    return ask(controller.signal).then(
      (answer) => {
        this.#end(waiting)
        return answer
      },
      (error: unknown) => {
        this.#end(waiting)
        throw explain(error, this.#context(waiting))
      },
    )
  }

  [Symbol.dispose](): void {
    this.#stop()
    for (const { controller } of this.#waiting) controller.abort(errors.stopped)
  }

  #end(waiting: Waiting): void {
    if (this.#waiting.delete(waiting)) this.#bytes -= waiting.bytes
  }

  #context(waiting: Waiting): FailureContext {
    return {
      hasLeader: this.#leadership.leader !== null,
      leaderChanged: this.#leadership.changes !== waiting.changes,
    }
  }

  #expire(): void {
    const deadline = this.#environment.now() - this.#limits.requestTimeoutMs
    for (const waiting of this.#waiting) {
      if (waiting.since > deadline) return
      waiting.controller.abort(errors.timeoutError(this.#context(waiting)))
    }
  }
}
