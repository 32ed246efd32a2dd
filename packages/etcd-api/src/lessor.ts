/**
 * The leader's duty to end leases whose time is over, and to write down what is left of the others.
 *
 * It looks a few times a second, by its own monotonic clock, and proposes what follows from it. What
 * it proposes names the renewal it measured from, so that the log has the last word: a lease that was
 * renewed before its revocation came to be applied stays. A client that was told of a renewal can
 * therefore never find the lease gone before its time.
 */
import {
  encodeCommand,
  type KvCommand,
  type KvResult,
  type LeaseCheckpoint,
} from '@coracle/kv-state-machine'
import type { Term } from '@coracle/raft-core'
import { type DueQueue, dueQueue } from './due-queue.ts'
import type { LeaseClock, TimedLease } from './lease-clock.ts'
import type { ResolvedOptions } from './options.ts'

export type LessorOptions = Pick<
  ResolvedOptions,
  'node' | 'stateMachine' | 'environment' | 'electionTimeoutMs'
>

/** How often it looks. Leases are granted by the second. */
const LOOK_MS = 200
/** etcd's pace: this many at most are revoked in a second, so that a crowd does not stop the rest. */
const REVOKES_PER_SECOND = 1_000
const REVOKES_IN_FLIGHT = 16
const REVOKES_PER_LOOK = (REVOKES_PER_SECOND * LOOK_MS) / 1_000
const CHECKPOINTS_PER_LOOK = 1_000
/**
 * A lease is written down when half of what was left has passed, but not for less than 5 s and at
 * least every 5 minutes. Clients renew before half of the time is over, so most never are.
 */
const LEAST_CHECKPOINT_MS = 5_000
const MOST_CHECKPOINT_MS = 300_000

export interface Lessor extends Disposable {
  /** How many leases it has ended. */
  readonly expired: number
}

/** Does the leader's duty whenever the node leads, until it is disposed. */
export function lessor(options: LessorOptions, clock: LeaseClock): Lessor {
  return new Leading(options, clock)
}

/** When the leader has to look at a lease next, and what it had seen when it decided that. */
interface Duty {
  readonly renewal: number
  readonly checkpointAt: number
}

interface Work {
  readonly expired: readonly TimedLease[]
  readonly checkpoints: readonly LeaseCheckpoint[]
}

class Leading implements Lessor {
  expired = 0
  readonly #options: LessorOptions
  readonly #clock: LeaseClock
  readonly #queue: DueQueue = dueQueue()
  readonly #duties = new Map<bigint, Duty>()
  readonly #undo: readonly (() => void)[]
  /** The term in which this member leads, and for which the queue is filled; or null. */
  #term: Term | null = null
  #lastLook: number
  #working: Promise<void> | null = null
  #isOver = false

  constructor(options: LessorOptions, clock: LeaseClock) {
    const { environment, stateMachine } = options
    this.#options = options
    this.#clock = clock
    this.#lastLook = environment.now()
    this.#undo = [
      environment.every(LOOK_MS, () => this.#look()),
      stateMachine.followLeases({
        // A renewed lease that is in the queue already is seen to be renewed when its turn comes.
        renewed: ({ id }) => {
          if (this.#term !== null && !this.#duties.has(id)) this.#plan(id)
        },
        checkpointed: ({ id }) => {
          if (this.#duties.has(id)) this.#plan(id)
        },
        ended: (id) => this.#forget(id),
        restored: () => this.#planAll(),
      }),
    ]
  }

  #look(): void {
    const now = this.#options.environment.now()
    // However short an election, a look that is a little late is no absence.
    const awayMs = Math.max(this.#options.electionTimeoutMs, 2 * LOOK_MS)
    const wasAway = now - this.#lastLook > awayMs
    this.#lastLook = now
    const { role, term } = this.#options.node.status()
    if (role !== 'leader') return this.#resign()
    if (term !== this.#term || wasAway) this.#takeOver(term)
    if (this.#working !== null) return
    const work = this.#due(now)
    if (work.expired.length === 0 && work.checkpoints.length === 0) return
    this.#working = this.#carryOut(work, term).finally(() => {
      this.#working = null
    })
  }

  /**
   * Nobody could renew while there was no leader, or while it stood still: for that, every lease
   * gets an election timeout more than it has left.
   */
  #takeOver(term: Term): void {
    this.#term = term
    this.#clock.extendAll(this.#options.electionTimeoutMs)
    this.#planAll()
  }

  #resign(): void {
    if (this.#term === null) return
    this.#term = null
    this.#queue.clear()
    this.#duties.clear()
  }

  #planAll(): void {
    if (this.#term === null) return
    this.#queue.clear()
    this.#duties.clear()
    for (const { lease } of this.#clock.all()) this.#plan(lease.id)
  }

  #plan(id: bigint): void {
    const timed = this.#clock.get(id)
    if (timed === null) return this.#forget(id)
    const now = this.#options.environment.now()
    const interval = Math.min((timed.deadline - now) / 2, MOST_CHECKPOINT_MS)
    const checkpointAt = interval < LEAST_CHECKPOINT_MS ? Infinity : now + interval
    this.#duties.set(id, { renewal: timed.lease.renewal, checkpointAt })
    this.#queue.set(id, Math.min(checkpointAt, timed.deadline))
  }

  #forget(id: bigint): void {
    this.#duties.delete(id)
    this.#queue.delete(id)
  }

  /** Takes what is due out of the queue. Whatever becomes of it puts it back, or forgets it. */
  #due(now: number): Work {
    const expired: TimedLease[] = []
    const checkpoints: LeaseCheckpoint[] = []
    while (expired.length < REVOKES_PER_LOOK && checkpoints.length < CHECKPOINTS_PER_LOOK) {
      const id = this.#queue.takeDue(now)
      if (id === null) break
      const timed = this.#clock.get(id)
      const duty = this.#duties.get(id)
      if (timed === null || duty === undefined) continue
      const { lease, deadline } = timed
      if (deadline <= now) expired.push(timed)
      else {
        const isNews = duty.renewal === lease.renewal && duty.checkpointAt <= now
        const remainingTtl = Math.ceil((deadline - now) / 1_000)
        if (isNews) checkpoints.push({ id, renewal: lease.renewal, remainingTtl })
        this.#plan(id)
      }
    }
    return { expired, checkpoints }
  }

  async #carryOut({ expired, checkpoints }: Work, term: Term): Promise<void> {
    if (checkpoints.length > 0)
      await this.#propose({ type: 'lease-checkpoint', request: { checkpoints } })
    if (expired.length === 0) return
    if (await this.#provesLeadership()) await this.#revokeAll(expired, term)
    // What is still there was renewed, or must be tried again.
    for (const { lease } of expired) if (this.#leads(term)) this.#plan(lease.id)
  }

  /**
   * A leader that was stopped for a while may have been replaced without knowing it, and its clock
   * has gone on: a majority must confirm it first. All that was renewed before is applied then.
   */
  async #provesLeadership(): Promise<boolean> {
    try {
      await this.#options.node.read()
      return true
    } catch {
      return false
    }
  }

  async #revokeAll(expired: readonly TimedLease[], term: Term): Promise<void> {
    const provedAt = this.#options.environment.now()
    const rest = expired.values()
    const lane = async (): Promise<void> => {
      for (const { lease } of rest) {
        const now = this.#options.environment.now()
        const isProved = now - provedAt < this.#options.electionTimeoutMs
        if (!isProved || !this.#leads(term)) return
        const timed = this.#clock.get(lease.id)
        if (timed === null || timed.deadline > now) continue
        const { id, renewal } = timed.lease
        const result = await this.#propose({ type: 'lease-revoke', request: { id, renewal } })
        if (result?.type === 'lease-revoke' && result.revoked) this.expired += 1
      }
    }
    await Promise.all(Array.from({ length: REVOKES_IN_FLIGHT }, lane))
  }

  #leads(term: Term): boolean {
    if (this.#isOver || this.#term !== term) return false
    const status = this.#options.node.status()
    return status.role === 'leader' && status.term === term
  }

  /** What fails is tried again at a later look, if it is still to be done then. */
  async #propose(command: KvCommand): Promise<KvResult | null> {
    try {
      return (await this.#options.node.propose(encodeCommand(command))).result
    } catch {
      // The node says more about itself than this could.
      return null
    }
  }

  /** What was proposed may still be carried out; nothing more is proposed. */
  [Symbol.dispose](): void {
    this.#isOver = true
    for (const undo of this.#undo) undo()
    this.#resign()
  }
}
