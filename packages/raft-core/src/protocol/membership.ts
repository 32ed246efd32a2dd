import { assert } from '../errors.ts'
import type { LogIndex, Membership, NodeId } from '../types.ts'

/** Nobody: what a node knows before it was told who takes part. */
export const NOBODY: Membership = Object.freeze({
  voters: [],
  outgoing: [],
  learners: [],
  peers: [],
  removed: [],
})

/** A membership and where it stands in the log. */
interface Placed {
  readonly index: LogIndex
  readonly membership: Membership
}

/**
 * The memberships that may still matter, oldest first. The newest is in effect from the moment its
 * entry is appended, committed or not (§6); if the entry is truncated, so is the membership.
 */
export class MembershipHistory {
  readonly #memberships: Placed[]

  constructor(index: LogIndex, membership: Membership) {
    this.#memberships = [{ index, membership }]
  }

  /** In effect now. */
  get current(): Membership {
    return this.#newest.membership
  }

  /** Where the membership in effect stands in the log; 0 if it was never written there. */
  get currentIndex(): LogIndex {
    return this.#newest.index
  }

  /** The newest one that is committed, given how far that reaches. */
  committed(commitIndex: LogIndex): Membership {
    return this.#newestUpTo(commitIndex).membership
  }

  /** Where that one stands in the log. */
  committedIndex(commitIndex: LogIndex): LogIndex {
    return this.#newestUpTo(commitIndex).index
  }

  /** As of the oldest index that still matters: what a snapshot taken there must say. */
  get oldest(): Membership {
    return (this.#memberships[0] as Placed).membership
  }

  get oldestIndex(): LogIndex {
    return (this.#memberships[0] as Placed).index
  }

  /** Where a node is found, as the newest membership that names it says; null if none does. */
  addressOf(id: NodeId): string | null {
    const named = this.#memberships.findLast(({ membership }) =>
      membership.peers.some((peer) => peer.id === id),
    )
    return named?.membership.peers.find((peer) => peer.id === id)?.address ?? null
  }

  append(index: LogIndex, membership: Membership): void {
    assert(index > this.currentIndex, 'memberships are appended in order')
    this.#memberships.push({ index, membership })
  }

  /** The entries from `index` on are gone. Several memberships may go with them. */
  truncate(index: LogIndex): void {
    while (this.currentIndex >= index) {
      assert(this.#memberships.length > 1, 'a committed membership is never truncated')
      this.#memberships.pop()
    }
  }

  /** The entries up to `index` are applied: nobody asks for a membership before that any more. */
  forgetBefore(index: LogIndex): void {
    while (this.#memberships.length > 1 && (this.#memberships[1] as Placed).index <= index)
      this.#memberships.shift()
  }

  reset(index: LogIndex, membership: Membership): void {
    this.#memberships.length = 0
    this.#memberships.push({ index, membership })
  }

  get #newest(): Placed {
    return this.#memberships[this.#memberships.length - 1] as Placed
  }

  #newestUpTo(index: LogIndex): Placed {
    let at = this.#memberships.length - 1
    while (at > 0 && (this.#memberships[at] as Placed).index > index) at -= 1
    return this.#memberships[at] as Placed
  }
}
