import type { Membership, NodeId } from '@coracle/raft-core'

/**
 * Do these nodes decide for all? A majority of the voters, and while joint also one of the old
 * voters (§5.2; §6). Written apart from the protocol's own rule, which it is to judge.
 */
export function isQuorum({ voters, outgoing }: Membership, nodes: readonly NodeId[]): boolean {
  return [voters, outgoing].every((half) => half.length === 0 || isMajority(half, nodes))
}

function isMajority(half: readonly NodeId[], nodes: readonly NodeId[]): boolean {
  return 2 * half.filter((id) => nodes.includes(id)).length > half.length
}

/** Takes part in any way. */
export function isMember(membership: Membership, id: NodeId): boolean {
  return membership.peers.some((peer) => peer.id === id)
}
