import type { Membership, NodeId } from '../types.ts'

/**
 * The largest value that a majority has reached, in both halves while the membership is joint
 * (§5.2; §6). One rule serves commitment, read rounds and the leader's check on its quorum: only
 * the meaning of the value differs.
 *
 * An empty half has nothing to object, so its value is infinite and the other half decides.
 */
export function quorumValue(membership: Membership, valueOf: (id: NodeId) => number): number {
  const incoming = majorityValue(membership.voters, valueOf)
  if (membership.outgoing.length === 0) return incoming
  return Math.min(incoming, majorityValue(membership.outgoing, valueOf))
}

export type Tally = 'won' | 'lost' | 'pending'

/** Counts votes: `voteOf` answers true, false, or null for a voter that has not answered (§5.2). */
export function tally(membership: Membership, voteOf: (id: NodeId) => boolean | null): Tally {
  const granted = quorumValue(membership, (id) => (voteOf(id) === true ? 1 : 0))
  if (granted > 0) return 'won'
  const possible = quorumValue(membership, (id) => (voteOf(id) === false ? 0 : 1))
  return possible > 0 ? 'pending' : 'lost'
}

/** Has a say in elections and commitment, in either half. */
export function isVoter(membership: Membership, id: NodeId): boolean {
  return membership.voters.includes(id) || membership.outgoing.includes(id)
}

/** Decides everything alone. */
export function isOnlyVoter({ voters, outgoing }: Membership, id: NodeId): boolean {
  return voters.length === 1 && voters[0] === id && outgoing.length === 0
}

/** Never shared by two calls at a time: `valueOf` does not ask for a quorum itself. */
const scratch: number[] = []

function majorityValue(voters: readonly NodeId[], valueOf: (id: NodeId) => number): number {
  const size = voters.length
  if (size === 0) return Number.POSITIVE_INFINITY
  // Insertion sort, largest first: for a handful of voters nothing is faster.
  for (let filled = 0; filled < size; filled += 1) {
    const value = valueOf(voters[filled] as NodeId)
    let at = filled
    while (at > 0 && (scratch[at - 1] as number) < value) {
      scratch[at] = scratch[at - 1] as number
      at -= 1
    }
    scratch[at] = value
  }
  // floor(n/2) + 1 voters have reached the value at place floor(n/2).
  return scratch[Math.floor(size / 2)] as number
}
