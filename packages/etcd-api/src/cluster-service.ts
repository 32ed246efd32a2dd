/** etcdserverpb.Cluster: who the members are. */
import type { MemberAttributes } from '@coracle/kv-state-machine'
import type { NodeStatus, Peer } from '@coracle/raft-core'
import type { Cancellable } from './call.ts'
import type { ServiceContext } from './context.ts'
import { memberIdOf } from './ids.ts'
import { fromBigInt } from './int64.ts'
import { type Method, unary } from './method.ts'
import type { Member, MemberListRequest, MemberListResponse } from './wire.ts'

export function clusterService(context: ServiceContext): Record<string, Method> {
  return { MemberList: unary(memberList(context)) }
}

function memberList(context: ServiceContext) {
  const { node, stateMachine, peerUrls } = context.options
  const answer = (): MemberListResponse => ({
    // Answers about the cluster carry no revision.
    header: context.header(0),
    members: membersOf(node.status(), stateMachine.members(), peerUrls),
  })
  return (
    request: MemberListRequest,
    call: Cancellable,
  ): MemberListResponse | Promise<MemberListResponse> =>
    request.linearizable ? context.readBarrier(call).then(answer) : answer()
}

/**
 * All members in the order of their ids. A member has a name and client URLs once it has run and
 * told the cluster about itself.
 */
function membersOf(
  { membership }: NodeStatus,
  attributes: readonly MemberAttributes[],
  peerUrls: (peer: Peer) => readonly string[],
): Member[] {
  const published = new Map(attributes.map((member) => [member.id, member]))
  const present = [...membership.voters, ...membership.learners].map((id) => ({
    id,
    number: memberIdOf(id),
  }))
  present.sort((a, b) => (a.number < b.number ? -1 : 1))
  return present.map(({ id, number }) => {
    const peer = membership.peers.find((each) => each.id === id)
    return {
      ID: fromBigInt(number),
      name: published.get(id)?.name ?? '',
      peerURLs: peer === undefined ? [] : peerUrls(peer),
      clientURLs: published.get(id)?.clientUrls ?? [],
      isLearner: membership.learners.includes(id),
    }
  })
}
