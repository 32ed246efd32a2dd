import { RaftError } from '../errors.ts'
import type { NodeOptions } from '../options.ts'
import type { Raft } from '../protocol/raft.ts'
import type { Membership, MembershipChange, NodeId, Peer } from '../types.ts'
import type { Waiting } from './node.ts'
import type { Turns } from './turns.ts'

export interface Replacement {
  /** Who leaves: a member. */
  readonly old: NodeId
  /** Who takes its place: a node that never was a member, or a learner already. */
  readonly replacement: Peer
}

interface Access {
  readonly raft: Raft
  readonly turns: Turns
  readonly options: Pick<NodeOptions, 'requestTimeoutTicks'>
  readonly change: (changes: readonly MembershipChange[]) => Promise<Membership>
}

/**
 * One member for another, and never fewer that count: the new node learns first, and takes the old
 * one's vote in one joint change when its log is there (thesis 4.2.1), however long that takes. What was
 * done stays done if the wait ends early: asking for the same again goes on from there.
 */
export async function replaceMember(
  { old, replacement }: Replacement,
  { raft, turns, options, change }: Access,
  { signal }: Waiting,
): Promise<Membership> {
  signal?.throwIfAborted()
  const { id } = replacement
  const isMember = (who: NodeId): boolean => raft.membership.peers.some((peer) => peer.id === who)
  if (isMember(id) && !isMember(old)) return raft.membership
  if (!isMember(old)) throw new RaftError('MEMBERSHIP_CHANGE_REFUSED', `${old} is no member`)
  const { term } = raft
  if (!isMember(id)) await change([{ type: 'add-learner', peer: replacement }])
  await turns.eventually(() => {
    const { leader } = raft
    if (raft.role !== 'leader' || raft.term !== term)
      throw new RaftError('OUTCOME_UNKNOWN', `leadership changed before ${id} had caught up`, {
        leader,
      })
    if (raft.hasCaughtUp(id)) return true
    // It may take as long as it takes, but it has to be there.
    const silentTicks = raft.peers.find((peer) => peer.id === id)?.silentTicks ?? Infinity
    if (silentTicks >= options.requestTimeoutTicks)
      throw new RaftError('OUTCOME_UNKNOWN', `${id} was not heard from in time`, { leader })
    return null
  }, signal)
  const { voters, learners } = raft.membership
  const promotion: readonly MembershipChange[] =
    voters.includes(old) && learners.includes(id) ? [{ type: 'promote-learner', id }] : []
  return change([...promotion, { type: 'remove', id: old }])
}
