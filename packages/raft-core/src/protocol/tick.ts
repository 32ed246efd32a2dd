import { tickPeer } from './heartbeat.ts'
import { owesLease, stampRound } from './lease.ts'
import { tickLeaving } from './peers.ts'
import { quorumValue } from './quorum.ts'
import { campaign, mayCampaign } from './request-vote.ts'
import { becomeFollower, restartElectionTimer } from './roles.ts'
import { isDiskStalled, tickStalledDisk, tickWrite } from './stalled-leader.ts'
import { membership, progressOf, type RaftState } from './state.ts'
import { tickTransfer } from './transfer.ts'

/** Time passes, one tick at a time: the protocol has no other clock. */
export function tick(raft: RaftState): void {
  raft.electionElapsed += 1
  tickWrite(raft)
  if (raft.role === 'leader') tickLeader(raft)
  else if (raft.electionElapsed >= raft.electionTimeout) tickElection(raft)
}

/** A node that hears from no leader for an election timeout starts an election (§5.2). */
function tickElection(raft: RaftState): void {
  if (owesLease(raft)) return
  // Its own vote would not reach a disk that stands still, and it would make a poor leader.
  if (mayCampaign(raft) && !isDiskStalled(raft)) campaign(raft)
  else restartElectionTimer(raft)
}

function tickLeader(raft: RaftState): void {
  tickTransfer(raft)
  tickLeaving(raft)
  tickStalledDisk(raft)
  if (raft.role !== 'leader') return
  if (raft.electionElapsed >= raft.options.electionTicks) {
    raft.electionElapsed = 0
    if (raft.options.checkQuorum && !hearsQuorum(raft)) return becomeFollower(raft, raft.term, null)
  }
  raft.heartbeatElapsed += 1
  const isHeartbeatDue = raft.heartbeatElapsed >= raft.options.heartbeatTicks
  if (isHeartbeatDue) {
    raft.heartbeatElapsed = 0
    stampRound(raft)
  }
  for (const peer of raft.peers) tickPeer(raft, peer, isHeartbeatDue)
}

/**
 * A leader that no majority has answered for an election timeout may have been replaced, and its
 * heartbeats keep others from electing anybody: it steps down (thesis 6.2).
 */
function hearsQuorum(raft: RaftState): boolean {
  const heard = quorumValue(membership(raft), (id) =>
    id === raft.id || progressOf(raft, id)?.active === true ? 1 : 0,
  )
  for (const peer of raft.peers) {
    peer.wasActive = peer.active
    peer.active = false
  }
  return heard > 0
}
