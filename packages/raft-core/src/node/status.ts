import type { PeerStatus } from '../protocol/progress.ts'
import type { Raft } from '../protocol/raft.ts'
import type { Role } from '../trace.ts'
import type { LogIndex, Membership, NodeId, Term } from '../types.ts'

/** What one node knows at one moment, of itself and of the cluster. */
export interface NodeStatus {
  readonly id: NodeId
  readonly role: Role
  readonly term: Term
  /** Who leads `term`, as far as this node knows; null while nobody does. */
  readonly leader: NodeId | null
  /** The first and last entry in the log; `firstIndex` is one more than `lastIndex` if it is empty. */
  readonly firstIndex: LogIndex
  readonly lastIndex: LogIndex
  /** The last entry that is on this node's own disk. */
  readonly durableIndex: LogIndex
  /** The last entry that this node knows to be committed. */
  readonly commitIndex: LogIndex
  /** The last entry that the state machine has applied. */
  readonly appliedIndex: LogIndex
  /** What the newest stored snapshot covers; 0 if there is none. */
  readonly snapshotIndex: LogIndex
  /** In effect here, committed or not (§6). */
  readonly membership: Membership
  /** Where the membership stands in the log. */
  readonly membershipIndex: LogIndex
  /** The cluster has removed this node: it stops, for good. */
  readonly removed: boolean
  /** What a leader knows of each other node; empty on others. */
  readonly peers: readonly PeerProgress[]
}

/** What a leader knows of another node. */
export interface PeerProgress extends PeerStatus {
  /** The snapshot on its way to it, or null. */
  readonly snapshot: SnapshotProgress | null
}

/** How much of a snapshot has left for a follower. */
export interface SnapshotProgress {
  /** What the snapshot covers. */
  readonly index: LogIndex
  /** Together with what the follower held already. */
  readonly sentBytes: number
  /** 0 as long as the follower has not said that it wants it. */
  readonly totalBytes: number
}

/** What the snapshots of a node add to its status. */
interface SnapshotStatus {
  readonly index: LogIndex
  sendingTo(peer: NodeId): SnapshotProgress | null
}

export function statusOf(raft: Raft, snapshots: SnapshotStatus): NodeStatus {
  return {
    id: raft.id,
    role: raft.role,
    term: raft.term,
    leader: raft.leader,
    firstIndex: raft.firstIndex,
    lastIndex: raft.lastIndex,
    durableIndex: raft.durableIndex,
    commitIndex: raft.commitIndex,
    appliedIndex: raft.appliedIndex,
    snapshotIndex: snapshots.index,
    membership: raft.membership,
    membershipIndex: raft.membershipIndex,
    removed: raft.isRemoved,
    peers: raft.peers.map((peer) => ({ ...peer, snapshot: snapshots.sendingTo(peer.id) })),
  }
}
