/**
 * When leases end, by this member's own clock. Every member keeps it, because any may lead next: as
 * grants and renewals go through the log, each sees them when it applies them, which is never before
 * they were asked for. So whoever takes over knows what is left of each lease to within the time
 * that the log takes, and errs on the late side.
 *
 * Only what was renewed before this member started is not known that well: there the last checkpoint
 * counts, or the whole time.
 */
import type { KvStateMachine, Lease, LeaseObserver } from '@coracle/kv-state-machine'
import type { Environment } from '@coracle/raft-core'

export interface TimedLease {
  readonly lease: Lease
  /** When its time is over, as the environment counts milliseconds. */
  readonly deadline: number
}

export interface LeaseClock extends Disposable {
  get(id: bigint): TimedLease | null
  /** All of them, in no order. */
  all(): Iterable<TimedLease>
  readonly size: number
  /** Nobody could renew for a while: what is left of each lease, if anything, is so much longer. */
  extendAll(graceMs: number): void
}

/** Follows the leases of `stateMachine` until it is disposed. */
export function leaseClock(stateMachine: KvStateMachine, environment: Environment): LeaseClock {
  return new Clock(stateMachine, environment)
}

class Clock implements LeaseClock, LeaseObserver {
  readonly #stateMachine: KvStateMachine
  readonly #environment: Environment
  #leases = new Map<bigint, TimedLease>()
  readonly #unfollow: () => void

  constructor(stateMachine: KvStateMachine, environment: Environment) {
    this.#stateMachine = stateMachine
    this.#environment = environment
    this.restored()
    this.#unfollow = stateMachine.followLeases(this)
  }

  get size(): number {
    return this.#leases.size
  }

  get(id: bigint): TimedLease | null {
    return this.#leases.get(id) ?? null
  }

  all(): Iterable<TimedLease> {
    return this.#leases.values()
  }

  extendAll(graceMs: number): void {
    const now = this.#environment.now()
    for (const { lease, deadline } of this.#leases.values()) {
      this.#leases.set(lease.id, { lease, deadline: Math.max(deadline, now) + graceMs })
    }
  }

  renewed(lease: Lease): void {
    this.#leases.set(lease.id, { lease, deadline: this.#after(lease.ttl) })
  }

  checkpointed(lease: Lease): void {
    this.#leases.set(lease.id, this.#timed(lease))
  }

  ended(id: bigint): void {
    this.#leases.delete(id)
  }

  restored(): void {
    const timed = this.#stateMachine.leases().map((lease) => this.#timed(lease))
    this.#leases = new Map(timed.map((each) => [each.lease.id, each]))
  }

  /** Both the time measured here and what a leader wrote down err on the late side: the earlier holds. */
  #timed(lease: Lease): TimedLease {
    const known = this.#leases.get(lease.id)
    const deadline = this.#after(lease.remainingTtl)
    const isKnown = known !== undefined && known.lease.renewal === lease.renewal
    return { lease, deadline: isKnown ? Math.min(known.deadline, deadline) : deadline }
  }

  #after(seconds: number): number {
    return this.#environment.now() + seconds * 1_000
  }

  [Symbol.dispose](): void {
    this.#unfollow()
  }
}
