import { assert } from '../errors.ts'
import type { LogIndex, Membership, NodeId } from '../types.ts'

/** Nobody: what a node knows before it was told who takes part. */
export const NOBODY: Membership = Object.freeze({
  voters: [],
  outgoing: [],
  learners: [],
  peers: [],
})

/**
 * The memberships that may still matter, oldest first. The newest is in effect from the moment its
 * entry is appended, committed or not (§6); if the entry is truncated, so is the membership.
 */
export class MembershipHistory {
  readonly #memberships: { readonly index: LogIndex; readonly membership: Membership }[]

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
    for (let at = this.#memberships.length - 1; at > 0; at -= 1) {
      const { index, membership } = this.#memberships[at] as {
        index: LogIndex
        membership: Membership
      }
      if (index <= commitIndex) return membership
    }
    return this.oldest
  }

  /** As of the oldest index that still matters: what a snapshot taken there must say. */
  get oldest(): Membership {
    return (this.#memberships[0] as { membership: Membership }).membership
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
    while (
      this.#memberships.length > 1 &&
      (this.#memberships[1] as { index: LogIndex }).index <= index
    )
      this.#memberships.shift()
  }

  reset(index: LogIndex, membership: Membership): void {
    this.#memberships.length = 0
    this.#memberships.push({ index, membership })
  }

  get #newest(): { readonly index: LogIndex; readonly membership: Membership } {
    return this.#memberships[this.#memberships.length - 1] as {
      index: LogIndex
      membership: Membership
    }
  }
}
