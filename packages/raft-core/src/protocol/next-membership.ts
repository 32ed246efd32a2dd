import {
  MAX_REMOVED,
  type Membership,
  type MembershipChange,
  type NodeId,
  type Peer,
} from '../types.ts'

/** What memberships follow from one another (§6): values only, for whoever decides when. */

/** The membership after `changes`, joint if they change more than one voter; or why there is none. */
export function applyChanges(
  current: Membership,
  changes: readonly MembershipChange[],
  isCaughtUp: (id: NodeId) => boolean,
): Membership | string {
  if (changes.length === 0) return 'nothing is to change'
  const voters = new Set(current.voters)
  const learners = new Set(current.learners)
  const peers = new Map(current.peers.map((peer) => [peer.id, peer]))
  const removed = new Set(current.removed.map((peer) => peer.id))
  const named = new Set<NodeId>()
  for (const change of changes) {
    const id = 'peer' in change ? change.peer.id : change.id
    if (named.has(id)) return `${id} is named twice`
    named.add(id)
    const refusal = refusalOf(change, { voters, learners, removed, isCaughtUp })
    if (refusal !== null) return refusal
    if ('peer' in change) peers.set(id, change.peer)
    if (change.type === 'move') continue
    voters.delete(id)
    learners.delete(id)
    if (change.type === 'add-voter' || change.type === 'promote-learner') voters.add(id)
    if (change.type === 'add-learner' || change.type === 'demote-voter') learners.add(id)
  }
  if (voters.size === 0) return 'no voter would be left'
  return assemble(current, voters, learners, peers)
}

interface Standing {
  readonly voters: ReadonlySet<NodeId>
  readonly learners: ReadonlySet<NodeId>
  readonly removed: ReadonlySet<NodeId>
  readonly isCaughtUp: (id: NodeId) => boolean
}

function refusalOf(change: MembershipChange, standing: Standing): string | null {
  const { voters, learners, removed, isCaughtUp } = standing
  switch (change.type) {
    case 'add-voter':
    case 'add-learner': {
      const { id } = change.peer
      if (voters.has(id) || learners.has(id)) return `${id} is a member already`
      // Whoever has it may have forgotten what it voted for, or hear what was sent to the other one.
      return removed.has(id) ? `${id} was removed, and ids are never used again` : null
    }
    case 'promote-learner':
      if (!learners.has(change.id)) return `${change.id} is no learner`
      return isCaughtUp(change.id) ? null : `${change.id} has not caught up with the leader`
    case 'demote-voter':
      return voters.has(change.id) ? null : `${change.id} is no voter`
    case 'remove':
      return voters.has(change.id) || learners.has(change.id) ? null : `${change.id} is no member`
    case 'move': {
      const { id } = change.peer
      return voters.has(id) || learners.has(id) ? null : `${id} is no member`
    }
  }
}

function assemble(
  current: Membership,
  voters: ReadonlySet<NodeId>,
  learners: ReadonlySet<NodeId>,
  peers: ReadonlyMap<NodeId, Peer>,
): Membership {
  const joined = [...voters].filter((id) => !current.voters.includes(id)).length
  const left = current.voters.filter((id) => !voters.has(id)).length
  // Majorities before and after a change of one voter always overlap; otherwise both must agree.
  const outgoing = joined + left > 1 ? current.voters : []
  const members = new Set([...voters, ...learners, ...outgoing])
  return {
    voters: [...voters].sort(),
    outgoing,
    learners: [...learners].sort(),
    peers: [...peers.values()].filter((peer) => members.has(peer.id)).sort(byId),
    removed: removedFrom(current, members),
  }
}

/** Those that were removed before, and those that leave now, as many as are remembered. */
export function removedFrom(current: Membership, members: ReadonlySet<NodeId>): readonly Peer[] {
  const leaving = current.peers.filter((peer) => !members.has(peer.id))
  return leaving.length === 0
    ? current.removed
    : [...current.removed, ...leaving].slice(-MAX_REMOVED)
}

/** Once both majorities have agreed to the new membership, the old one has no say any more (§6). */
export function leaveJoint(joint: Membership): Membership {
  const members = new Set([...joint.voters, ...joint.learners])
  const peers = joint.peers.filter((peer) => members.has(peer.id))
  return { ...joint, outgoing: [], peers, removed: removedFrom(joint, members) }
}

function byId(a: Peer, b: Peer): number {
  if (a.id === b.id) return 0
  return a.id < b.id ? -1 : 1
}
