import type { Message, Removed } from '../messages.ts'
import type { LogIndex, Membership, NodeId, Peer } from '../types.ts'
import { ignore, send } from './effects.ts'
import { becomeFollower } from './roles.ts'
import { membership, progressOf, type RaftState } from './state.ts'

/**
 * Nodes that were removed (thesis 4.2.3). The leader feeds them until they have had time to hear of
 * it. One that was away then knows nothing and would ask for votes for ever: members refuse to have
 * anything to do with it and say why, and then it stops.
 */

/** A removed node that asks can be answered for this many election timeouts. */
const ANSWERED_TIMEOUTS = 4

/** Removed nodes that are answered at a time: each costs the transport a way to it. */
const MAX_CALLERS = 16

/** Does a committed membership say that the sender is out? Those that are being fed still are not. */
export function isRemoved(raft: RaftState, id: NodeId): boolean {
  // The two whom nearly every message comes from. A leader that removed itself leads to the end.
  if (raft.leader === id || progressOf(raft, id) !== null) return false
  return names(raft.memberships.committed(raft.commitIndex).removed, id)
}

/** Nothing a removed node says counts. What it asks is answered by the news. */
export function turnAway(raft: RaftState, message: Message): void {
  ignore(raft, message, 'its sender was removed')
  if (message.type.endsWith('-reply') || message.type === 'removed') return
  const { from } = message
  if (!raft.callers.has(from) && raft.callers.size >= MAX_CALLERS) return
  raft.callers.set(from, ANSWERED_TIMEOUTS * raft.options.electionTicks)
  const { memberships, commitIndex } = raft
  send(raft, {
    type: 'removed',
    from: raft.id,
    to: from,
    term: raft.term,
    index: memberships.committedIndex(commitIndex),
    membership: memberships.committed(commitIndex),
  })
}

/** Takes the news only from a member that knows of a later committed membership than this node does. */
export function handleRemoved(raft: RaftState, message: Removed): void {
  const { index, membership: theirs, from } = message
  if (index <= raft.memberships.committedIndex(raft.commitIndex))
    return ignore(raft, message, 'a later membership is known here')
  if (!names(theirs.removed, raft.id) || names(theirs.peers, raft.id))
    return ignore(raft, message, 'it does not say that this node was removed')
  if (!names(theirs.peers, from)) return ignore(raft, message, 'its sender is no member')
  leave(raft, index)
  if (raft.role !== 'follower') becomeFollower(raft, raft.term, null)
}

/**
 * The state machine has come as far as the membership that this node is not part of any more. A
 * leader stays until it has handed over: see `continueChange`.
 */
export function noticeRemoval(raft: RaftState): void {
  const { oldest, oldestIndex } = raft.memberships
  if (!names(oldest.peers, raft.id) && names(oldest.removed, raft.id)) leave(raft, oldestIndex)
}

function leave(raft: RaftState, index: LogIndex): void {
  if (raft.removedAt !== null) return
  raft.removedAt = index
  raft.trace?.({ type: 'node-removed', node: raft.id, term: raft.term, index })
}

export function tickCallers(raft: RaftState): void {
  for (const [id, ticks] of raft.callers)
    if (ticks > 1) raft.callers.set(id, ticks - 1)
    else raft.callers.delete(id)
}

/**
 * Who must be reachable now, if that has changed: the members; those whose removal is not committed,
 * for it may take their votes; those that are fed still; a leader that has removed itself; and
 * removed ones that have asked for something.
 */
export function takeReach(raft: RaftState): readonly Peer[] | null {
  const current = membership(raft)
  const others = othersToReach(raft, current)
  const key = others.map((peer) => peer.id).join()
  if (raft.reach.membership === current && raft.reach.others === key) return null
  raft.reach = { membership: current, others: key }
  return [...current.peers, ...others]
}

const NONE: readonly Peer[] = Object.freeze([])

function othersToReach(raft: RaftState, current: Membership): readonly Peer[] {
  if (isSettled(raft, current)) return NONE
  const committed = raft.memberships.committed(raft.commitIndex).peers
  return current.removed.filter(
    ({ id }) =>
      id === raft.leader ||
      raft.callers.has(id) ||
      progressOf(raft, id) !== null ||
      names(committed, id),
  )
}

/** Nothing is under way that a removed node could have a part in: looked at in every turn. */
function isSettled(raft: RaftState, current: Membership): boolean {
  if (current.removed.length === 0) return true
  if (raft.callers.size > 0 || raft.memberships.currentIndex > raft.commitIndex) return false
  if (raft.peers.some((peer) => peer.leavingTicks > 0)) return false
  return raft.leader === null || names(current.peers, raft.leader)
}

function names(peers: readonly Peer[], id: NodeId): boolean {
  return peers.some((peer) => peer.id === id)
}
