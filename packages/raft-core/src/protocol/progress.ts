import type { LogIndex, Membership, NodeId } from '../types.ts'
import { Inflight } from './inflight.ts'

/**
 * How a leader feeds one follower (thesis 10.2.1).
 *
 * - `probe`: the leader does not know where their logs agree; one message at a time finds out.
 * - `replicate`: it knows; messages follow one another without waiting, as far as the window allows.
 * - `snapshot`: the entries the follower needs are gone; a snapshot is on its way instead.
 */
export type ProgressState = 'probe' | 'replicate' | 'snapshot'

/** What a leader knows of one other node (Fig. 2, volatile state on leaders). */
export interface Progress {
  readonly id: NodeId
  state: ProgressState
  /** The highest entry known to be in the follower's log. `matchIndex < nextIndex`. */
  matchIndex: LogIndex
  /** The next entry to send. */
  nextIndex: LogIndex
  /** The highest commit index that was sent. */
  sentCommit: LogIndex
  /** `probe`: a message is on its way, so wait. */
  probing: boolean
  readonly inflight: Inflight
  /** Entries are being read from the storage for this follower; an answer to another number is late. */
  fetching: number
  /** `snapshot`: the index of the snapshot on its way, or 0 while there is none. */
  snapshotIndex: LogIndex
  /** The newest heartbeat round the follower has answered. */
  ackedRound: number
  /** The newest one with whose answer it promised what this leader's lease counts on. */
  promisedRound: number
  /** It has answered since the leader last checked its quorum. */
  active: boolean
  /** It had, when that was: right after the check, nothing newer is known of anybody. */
  wasActive: boolean
  /** Ticks since it has answered. */
  silentTicks: number
  /** It has answered since the last heartbeat. */
  answered: boolean
  /** An append was sent to it since the last tick. */
  appended: boolean
  /** In the tick before, appends were sent to it and answered. */
  flowed: boolean
  /** `matchIndex` at the last heartbeat: if it stands still, something was lost. */
  matchAtHeartbeat: LogIndex
  /** It is no member any more, and is fed for this many ticks still; 0 for members. */
  leavingTicks: number
}

/** What a leader tells of another node. */
export interface PeerStatus {
  readonly id: NodeId
  /** `leaving`: no member any more, and fed until it has heard of that. */
  readonly part: 'voter' | 'learner' | 'leaving'
  readonly state: ProgressState
  /** The highest entry known to be in its log. */
  readonly matchIndex: LogIndex
  /** The next entry to send; what lies between the two is on its way. */
  readonly nextIndex: LogIndex
  /** Append messages on their way to it. */
  readonly inflightMessages: number
  /** Entries in them, in bytes. */
  readonly inflightBytes: number
  /** Ticks since it was heard from, or since this node began to lead or the peer became a member. */
  readonly silentTicks: number
  /** Heard from within the last election timeout, or the one before. */
  readonly active: boolean
}

export function createProgress(id: NodeId, nextIndex: LogIndex, maxInflight: number): Progress {
  return {
    id,
    state: 'probe',
    matchIndex: 0,
    nextIndex,
    sentCommit: 0,
    probing: false,
    inflight: new Inflight(maxInflight),
    fetching: 0,
    snapshotIndex: 0,
    ackedRound: 0,
    promisedRound: 0,
    // A new peer gets the benefit of the doubt until the next check of the quorum.
    active: true,
    silentTicks: 0,
    wasActive: false,
    answered: false,
    appended: false,
    flowed: false,
    matchAtHeartbeat: 0,
    leavingTicks: 0,
  }
}

/** Is it there, as far as anybody can know? */
export function isHeard({ active, wasActive }: Progress): boolean {
  return active || wasActive
}

export function becomeProbe(progress: Progress, nextIndex: LogIndex): void {
  change(progress, 'probe')
  progress.nextIndex = Math.max(nextIndex, progress.matchIndex + 1)
}

export function becomeReplicate(progress: Progress): void {
  change(progress, 'replicate')
  progress.nextIndex = progress.matchIndex + 1
}

export function becomeSnapshot(progress: Progress): void {
  change(progress, 'snapshot')
}

function change(progress: Progress, state: ProgressState): void {
  progress.state = state
  progress.probing = false
  progress.fetching = 0
  progress.snapshotIndex = 0
  progress.inflight.clear()
  progress.sentCommit = Math.min(progress.sentCommit, progress.matchIndex)
}

export function statusOf(peer: Progress, membership: Membership): PeerStatus {
  return {
    id: peer.id,
    part: partOf(peer, membership),
    state: peer.state,
    matchIndex: peer.matchIndex,
    nextIndex: peer.nextIndex,
    inflightMessages: peer.inflight.count,
    inflightBytes: peer.inflight.bytes,
    silentTicks: peer.silentTicks,
    active: isHeard(peer),
  }
}

function partOf({ id, leavingTicks }: Progress, { learners }: Membership): PeerStatus['part'] {
  if (leavingTicks > 0) return 'leaving'
  return learners.includes(id) ? 'learner' : 'voter'
}
