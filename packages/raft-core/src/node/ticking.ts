import type { Environment } from '../environment.ts'
import type { NodeOptions } from '../options.ts'
import type { Turns } from './turns.ts'

/**
 * The ticks of one node, which all its waits are counted in. Those missed while the process stood
 * still are not made up for: what arrived meanwhile is taken in first, and may show that the leader is
 * alive after all.
 */
export class Ticking {
  readonly #environment: Environment
  readonly #turns: Turns
  readonly #options: Pick<NodeOptions, 'tickMs' | 'requestTimeoutTicks'>
  #now = 0
  #isDue = false
  #stop: () => void = () => {}

  constructor(
    environment: Environment,
    turns: Turns,
    options: Pick<NodeOptions, 'tickMs' | 'requestTimeoutTicks'>,
  ) {
    this.#environment = environment
    this.#turns = turns
    this.#options = options
  }

  /** The ticks that have passed. */
  get now(): number {
    return this.#now
  }

  /** The tick from which on whatever is asked for now has waited too long. */
  get deadline(): number {
    return this.#now + this.#options.requestTimeoutTicks
  }

  /** Starts, or goes on with ticks of another length. */
  start(): void {
    this.stop()
    this.#stop = this.#environment.every(this.#options.tickMs, () => {
      this.#isDue = true
      this.#turns.request()
    })
  }

  stop(): void {
    this.#stop()
  }

  /** Has a tick passed since this was last asked? */
  take(): boolean {
    if (!this.#isDue) return false
    this.#isDue = false
    this.#now += 1
    return true
  }
}
