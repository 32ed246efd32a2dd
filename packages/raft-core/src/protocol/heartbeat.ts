import type { Heartbeat, HeartbeatReply } from '../messages.ts'
import { learnCommitted, newsFor } from './commit.ts'
import { send } from './effects.ts'
import { acceptPromise, promiseMs } from './lease.ts'
import { heardFrom } from './peers.ts'
import type { Progress } from './progress.ts'
import { recoverLostMessage } from './replicate.ts'
import { ownAddress, type RaftState } from './state.ts'

// The leader's side.

/** Tells everybody who leads and what is committed, and asks whether it is still so (§5.2). */
export function broadcastHeartbeat(raft: RaftState): void {
  for (const peer of raft.peers) sendHeartbeat(raft, peer)
}

function sendHeartbeat(raft: RaftState, peer: Progress): void {
  const commitIndex = newsFor(raft, peer)
  peer.sentCommit = Math.max(peer.sentCommit, commitIndex)
  send(raft, {
    type: 'heartbeat',
    from: raft.id,
    to: peer.id,
    term: raft.term,
    commitIndex,
    round: raft.reads.round,
    address: ownAddress(raft),
  })
}

/** A tick has passed, and with it, perhaps, the time until the next heartbeat. */
export function tickPeer(raft: RaftState, peer: Progress, isHeartbeatDue: boolean): void {
  const flows = peer.appended && peer.answered
  if (isHeartbeatDue) {
    const isNeeded = !(flows && peer.flowed) || needsHeartbeat(raft)
    recoverLostMessage(raft, peer)
    if (isNeeded) sendHeartbeat(raft, peer)
  }
  peer.flowed = flows
  peer.appended = false
}

/**
 * An append says all that a heartbeat does, but its answer waits for the follower's disk. So where
 * appends flow, they stand in for heartbeats only while they are answered and no read waits for that;
 * and while followers are patient, for what comes instead may have come a tick earlier. Nor is a lease
 * renewed by anything else.
 */
function needsHeartbeat({ reads, doubtedRound, options }: RaftState): boolean {
  if (reads.pending.length > 0 || doubtedRound > 0) return true
  return options.reads === 'lease' || options.heartbeatTicks + 1 >= options.electionTicks
}

export function handleHeartbeatReply(raft: RaftState, message: HeartbeatReply): void {
  const peer = heardFrom(raft, message)
  if (peer !== null) acceptPromise(raft, peer, message)
}

// The follower's side. The term rule has run, and the sender is known as the leader.

/**
 * Heartbeats carry no entries, and what the leader calls committed it knows to be here. The answer
 * leaves at once: it says that no newer leader is followed at this moment, which no crash can make
 * untrue, and a read need not wait for this node's disk.
 */
export function handleHeartbeat(raft: RaftState, message: Heartbeat): void {
  learnCommitted(raft, message)
  send(raft, {
    type: 'heartbeat-reply',
    from: raft.id,
    to: message.from,
    term: raft.term,
    round: message.round,
    promiseMs: promiseMs(raft),
  })
}
