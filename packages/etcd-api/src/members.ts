/** Who the members are, as clients are told: what Raft knows of each, and what it said of itself. */
import type { MemberAttributes } from '@coracle/kv-state-machine'
import type { Membership, NodeId, Peer } from '@coracle/raft-core'
import { type EtcdId, memberIdOf } from './ids.ts'
import { fromBigInt } from './int64.ts'
import type { Member } from './wire.ts'

export interface MemberInfo {
  readonly id: EtcdId
  /** The same, as Raft names it. */
  readonly nodeId: NodeId
  /** Empty until the member has run and told the cluster about itself. */
  readonly name: string
  readonly peerUrls: readonly string[]
  /** Empty until the member has run and told the cluster about itself. */
  readonly clientUrls: readonly string[]
  readonly isLearner: boolean
}

/** All members in the order of their ids. */
export function describeMembers(
  membership: Membership,
  attributes: readonly MemberAttributes[],
  peerUrls: (peer: Peer) => readonly string[],
): readonly MemberInfo[] {
  const published = new Map(attributes.map((member) => [member.id, member]))
  const present = [...membership.voters, ...membership.learners].map((nodeId) => ({
    nodeId,
    id: memberIdOf(nodeId),
  }))
  present.sort((a, b) => (a.id < b.id ? -1 : 1))
  return present.map(({ id, nodeId }) => {
    const peer = membership.peers.find((each) => each.id === nodeId)
    return {
      id,
      nodeId,
      name: published.get(nodeId)?.name ?? '',
      peerUrls: peer === undefined ? [] : peerUrls(peer),
      clientUrls: published.get(nodeId)?.clientUrls ?? [],
      isLearner: membership.learners.includes(nodeId),
    }
  })
}

export function wireMember(member: MemberInfo): Member {
  return {
    ID: fromBigInt(member.id),
    name: member.name,
    peerURLs: member.peerUrls,
    clientURLs: member.clientUrls,
    isLearner: member.isLearner,
  }
}
