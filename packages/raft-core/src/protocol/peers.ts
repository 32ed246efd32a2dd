import type { AppendEntriesReply, HeartbeatReply } from '../messages.ts'
import { ignore } from './effects.ts'
import { createProgress, type Progress } from './progress.ts'
import { acknowledgeRound } from './read-index.ts'
import { membership, progressOf, type RaftState } from './state.ts'

/**
 * One {@link Progress} for each other node of the membership in effect, in the order of their ids.
 * What is known of those that stay is kept. Those that leave are fed for a while longer, so that
 * they hear that they are out.
 */
export function trackPeers(raft: RaftState): void {
  const next = raft.log.lastIndex + 1
  const known = new Map(raft.peers.map((peer) => [peer.id, peer]))
  const staying: Progress[] = []
  for (const { id } of membership(raft).peers) {
    if (id === raft.id) continue
    const peer = known.get(id) ?? createProgress(id, next, raft.options.maxInflightMessages)
    peer.leavingTicks = 0
    staying.push(peer)
    known.delete(id)
  }
  for (const peer of known.values())
    if (peer.leavingTicks === 0) peer.leavingTicks = raft.options.electionTicks
  raft.peers = [...staying, ...known.values()]
}

/** Once their removal is committed, those that leave have an election timeout to hear of it. */
export function tickLeaving(raft: RaftState): void {
  if (raft.memberships.currentIndex > raft.commitIndex) return
  if (raft.peers.every((peer) => peer.leavingTicks === 0)) return
  raft.peers = raft.peers.filter((peer) => {
    if (peer.leavingTicks === 0) return true
    peer.leavingTicks -= 1
    return peer.leavingTicks > 0
  })
}

/** Any answer of this term shows that the follower still follows. */
export function heardFrom(
  raft: RaftState,
  message: AppendEntriesReply | HeartbeatReply,
): Progress | null {
  if (raft.role !== 'leader') {
    ignore(raft, message, 'only a leader takes answers')
    return null
  }
  const peer = progressOf(raft, message.from)
  if (peer === null) {
    ignore(raft, message, 'the sender is no member')
    return null
  }
  peer.active = true
  peer.silentTicks = 0
  peer.answered = true
  acknowledgeRound(raft, peer, message.round)
  return peer
}
