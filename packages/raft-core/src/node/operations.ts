import { RaftError } from '../errors.ts'
import { changeOptions, type LiveOptions, type NodeOptions } from '../options.ts'
import type { Raft } from '../protocol/raft.ts'
import type { LogIndex, Membership, MembershipChange, NodeId, Term } from '../types.ts'
import type { Waiting } from './node.ts'
import { replaceMember, type Replacement } from './replace-member.ts'
import type { Ticking } from './ticking.ts'
import type { Turns } from './turns.ts'

const REFUSALS = {
  'not-leader': 'NOT_LEADER',
  pending: 'MEMBERSHIP_CHANGE_PENDING',
  invalid: 'MEMBERSHIP_CHANGE_REFUSED',
} as const

/** What people ask of a node, not their programs: seldom, and it may take a while. */
export class Operations {
  readonly #raft: Raft
  readonly #turns: Turns
  /** The node's own, which all its parts read. Changed in place, so that they all see it at once. */
  readonly #options: NodeOptions
  readonly #ticking: Ticking
  #count = 0

  constructor(parts: {
    readonly raft: Raft
    readonly turns: Turns
    readonly options: NodeOptions
    readonly ticking: Ticking
  }) {
    this.#raft = parts.raft
    this.#turns = parts.turns
    this.#options = parts.options
    this.#ticking = parts.ticking
  }

  /** Whatever is asked for takes up room until it is done. */
  async count<Value>(operation: () => Promise<Value>): Promise<Value> {
    const { maxPendingOperations } = this.#options
    if (this.#count >= maxPendingOperations)
      throw new RaftError('UNAVAILABLE', `${maxPendingOperations} operations are under way`)
    this.#count += 1
    try {
      return await operation()
    } finally {
      this.#count -= 1
    }
  }

  transferLeadership(to: NodeId | null, { signal }: Waiting): Promise<void> {
    return this.count(async () => {
      signal?.throwIfAborted()
      const { deadline } = this.#ticking
      const { heir, term } = await this.#turns.enter(() => this.#startTransfer(to))
      await this.#turns.eventually(() => {
        if (this.#raft.term === term && this.#raft.role === 'leader') return this.#leadsOn(heir)
        return this.#isSucceeded(to, deadline)
      }, signal)
    })
  }

  #startTransfer(to: NodeId | null): { readonly heir: NodeId; readonly term: Term } {
    const { role, leader, term } = this.#raft
    if (role !== 'leader') throw new RaftError('NOT_LEADER', 'only a leader hands over', { leader })
    const heir = this.#raft.transferLeadership(to)
    if (heir === null) throw new RaftError('UNAVAILABLE', 'no other voter can take over')
    return { heir, term }
  }

  /** The heir has had its time, or has it still. */
  #leadsOn(heir: NodeId): null {
    if (this.#raft.transferring) return null
    throw new RaftError('UNAVAILABLE', `${heir} did not take over within an election timeout`, {
      leader: this.#raft.leader,
    })
  }

  /** This node leads no more. Whether that is because another does, shows only when one is known. */
  #isSucceeded(to: NodeId | null, deadline: number): true | null {
    const { leader, id } = this.#raft
    if (leader !== null) {
      if (leader === to || (to === null && leader !== id)) return true
      throw new RaftError('UNAVAILABLE', `${leader} leads, not whom it was to be`, { leader })
    }
    if (this.#ticking.now < deadline) return null
    throw new RaftError('UNAVAILABLE', 'nobody is known to have taken over in time')
  }

  changeMembership(
    changes: readonly MembershipChange[],
    waiting: Waiting & { readonly expectedIndex?: LogIndex },
  ): Promise<Membership> {
    return this.count(() => this.#changeMembership(changes, waiting))
  }

  replaceMember(replacement: Replacement, waiting: Waiting): Promise<Membership> {
    const access = {
      raft: this.#raft,
      turns: this.#turns,
      options: this.#options,
      change: (changes: readonly MembershipChange[]) => this.#changeMembership(changes, waiting),
    }
    return this.count(() => replaceMember(replacement, access, waiting))
  }

  async #changeMembership(
    changes: readonly MembershipChange[],
    { signal, expectedIndex }: Waiting & { readonly expectedIndex?: LogIndex },
  ): Promise<Membership> {
    signal?.throwIfAborted()
    const { deadline } = this.#ticking
    const term = await this.#turns.enter(() => {
      const outcome = this.#raft.changeMembership(changes, expectedIndex ?? null)
      if ('refused' in outcome)
        throw new RaftError(REFUSALS[outcome.refused], outcome.why, { leader: this.#raft.leader })
      return this.#raft.term
    })
    return this.#turns.eventually(() => this.#membershipOf(term, deadline), signal)
  }

  /** The membership that was asked for in `term`, once it is complete; null until then. */
  #membershipOf(term: Term, deadline: number): Membership | null {
    const { membership, membershipIndex, appliedIndex, leader } = this.#raft
    const unknown = (why: string): RaftError => new RaftError('OUTCOME_UNKNOWN', why, { leader })
    if (this.#raft.term !== term) throw unknown('leadership changed before the change was complete')
    if (membershipIndex <= appliedIndex && membership.outgoing.length === 0) return membership
    if (this.#ticking.now >= deadline) throw unknown('the change was not complete in time')
    return null
  }

  forgetLeader({ signal }: Waiting): Promise<boolean> {
    return this.count(async () => {
      signal?.throwIfAborted()
      if (this.#options.reads === 'lease')
        throw new TypeError("with reads: 'lease', a follower may not forget its leader")
      return this.#turns.enter(() => this.#raft.forgetLeader())
    })
  }

  reconfigure(changes: Partial<LiveOptions>, { signal }: Waiting): Promise<NodeOptions> {
    return this.count(async () => {
      signal?.throwIfAborted()
      const outcome = await this.#turns.enter(() => this.#reconfigure(changes))
      if (outcome instanceof RangeError) throw outcome
      return outcome
    })
  }

  #reconfigure(changes: Partial<LiveOptions>): NodeOptions | RangeError {
    const { tickMs } = this.#options
    try {
      Object.assign(this.#options, changeOptions(this.#options, changes))
    } catch (error) {
      // The caller's mistake, and no reason for the node to fail.
      if (error instanceof RangeError) return error
      throw error
    }
    this.#raft.reconfigure(this.#options)
    if (tickMs !== this.#options.tickMs) this.#ticking.start()
    return { ...this.#options }
  }
}
