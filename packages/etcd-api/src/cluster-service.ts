/** etcdserverpb.Cluster: who the members are, and who they are to be. */
import type { Membership } from '@coracle/raft-core'
import type { ServiceContext } from './context.ts'
import { type EtcdId, nodeIdOf } from './ids.ts'
import { type Int64, toUnsigned } from './int64.ts'
import type { Declared, LeaderCalls } from './leader-calls.ts'
import { memberChanges } from './member-changes.ts'
import { describeMembers, wireMember } from './members.ts'
import type { Promotions } from './metrics/promotion-metrics.ts'
import { type Method, unary } from './method.ts'
import type { Cancellable } from './call.ts'
import * as errors from './errors.ts'
import type * as wire from './wire.ts'

export function clusterService(
  context: ServiceContext,
  calls: LeaderCalls,
  promotions: Promotions,
): Record<string, Method> {
  const changes = memberChanges(context)
  const members = (membership: Membership): wire.Member[] => membersOf(context, membership)
  const promote = async (id: Int64): Promise<Membership> => changes.promote(nodeOf(toUnsigned(id)))
  // Answers about the cluster carry no revision.
  const header = (): wire.ResponseHeader => context.header(0)
  return {
    MemberList: unary(memberList(context)),
    MemberAdd: calls.method(
      declared('MemberAdd'),
      async ({ peerURLs, isLearner }: wire.MemberAddRequest) => {
        const { id, membership } = await changes.add(peerURLs, isLearner)
        const all = describeMembers(
          membership,
          context.options.stateMachine.members(),
          context.options.peerUrls,
        )
        const added = all.filter((member) => member.nodeId === id).map(wireMember)
        return { header: header(), member: added[0], members: all.map(wireMember) }
      },
    ),
    MemberRemove: calls.method(declared('MemberRemove'), async ({ ID }: wire.MemberId) => {
      const membership = await changes.remove(nodeOf(toUnsigned(ID)))
      return { header: header(), members: members(membership) }
    }),
    MemberUpdate: calls.method(
      declared('MemberUpdate'),
      async ({ ID, peerURLs }: wire.MemberUpdateRequest) => {
        const membership = await changes.update(nodeOf(toUnsigned(ID)), peerURLs)
        return { header: header(), members: members(membership) }
      },
    ),
    MemberPromote: calls.method(declared('MemberPromote'), async ({ ID }: wire.MemberId) => {
      const membership = await promotions.count(promote(ID))
      return { header: header(), members: members(membership) }
    }),
  }
}

function declared(method: string): Declared {
  return {
    path: `/etcdserverpb.Cluster/${method}`,
    request: `etcdserverpb.${method}Request`,
    response: `etcdserverpb.${method}Response`,
  }
}

/** Nobody has the id 0. */
function nodeOf(id: EtcdId): string {
  if (id === 0n) throw errors.memberNotFound
  return nodeIdOf(id)
}

function memberList(context: ServiceContext) {
  const answer = (): wire.MemberListResponse => ({
    header: context.header(0),
    members: membersOf(context, context.options.node.status().membership),
  })
  return (
    request: wire.MemberListRequest,
    call: Cancellable,
  ): wire.MemberListResponse | Promise<wire.MemberListResponse> =>
    request.linearizable ? context.readBarrier(call).then(answer) : answer()
}

function membersOf(context: ServiceContext, membership: Membership): wire.Member[] {
  const { stateMachine, peerUrls } = context.options
  return describeMembers(membership, stateMachine.members(), peerUrls).map(wireMember)
}
