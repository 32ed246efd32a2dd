import type { Message } from '../messages.ts'
import type { NodeId } from '../types.ts'
import {
  handleAppendEntries,
  handleAppendEntriesReply,
  refuseStaleLeader,
} from './append-entries.ts'
import { learnCommitted } from './commit.ts'
import { ignore } from './effects.ts'
import { handleHeartbeat, handleHeartbeatReply } from './heartbeat.ts'
import { oweLease } from './lease.ts'
import { handleReadIndex, handleReadIndexReply } from './read-index.ts'
import { handleRemoved, isRemoved, turnAway } from './removal.ts'
import {
  handlePreVote,
  handlePreVoteReply,
  handleRequestVote,
  handleRequestVoteReply,
  hearsLeader,
  mayCampaign,
  requestVotes,
} from './request-vote.ts'
import { becomeFollower } from './roles.ts'
import { isDiskStalled } from './stalled-leader.ts'
import type { RaftState } from './state.ts'

/** The messages that the protocol itself answers; the rest carry proposals between nodes. */
export type ProtocolMessage = Exclude<Message, { readonly type: 'propose' | 'propose-reply' }>

/** Takes one message: the rule for terms first, once for all of them, then the rule of its kind. */
export function step(raft: RaftState, message: ProtocolMessage): void {
  raft.trace?.({
    type: 'message-received',
    node: raft.id,
    term: raft.term,
    from: message.from,
    message: message.type,
  })
  if (message.to !== raft.id) return ignore(raft, message, 'it is for another node')
  if (isRemoved(raft, message.from)) return turnAway(raft, message)
  if (disturbs(raft, message)) return ignore(raft, message, 'the leader is alive')
  if (message.term > raft.term) becomeFollower(raft, message.term, leaderSpeaking(message))
  else if (message.term < raft.term && !mayBeLate(message)) return handleStale(raft, message)
  dispatch(raft, message)
}

/**
 * A node that was away, or was removed, may campaign with a term that nobody else has reached.
 * While a leader is heard it gets no vote, and its term is not adopted (thesis 4.2.3), unless the
 * leader itself asked for the election. A member that really is ahead refuses what the leader sends,
 * and the leader learns of the term from that.
 */
function disturbs(raft: RaftState, message: ProtocolMessage): boolean {
  if (message.type !== 'pre-vote' && (message.type !== 'request-vote' || message.transfer))
    return false
  return raft.options.checkQuorum && message.term > raft.term && hearsLeader(raft)
}

/** The sender leads its term if it says what only a leader says. */
function leaderSpeaking(message: ProtocolMessage): NodeId | null {
  const { type } = message
  const speaks =
    type === 'append-entries' ||
    type === 'commit' ||
    type === 'heartbeat' ||
    type === 'install-snapshot'
  return speaks ? message.from : null
}

/**
 * Questions are answered whatever their term: the answer tells the sender ours. And once removed is
 * removed, whatever term the node has reached by itself.
 */
function mayBeLate({ type }: ProtocolMessage): boolean {
  return (
    type === 'pre-vote' || type === 'request-vote' || type === 'read-index' || type === 'removed'
  )
}

/** Of an earlier term: worthless, but a leader of that term should learn that it is over (Fig. 2). */
function handleStale(raft: RaftState, message: ProtocolMessage): void {
  ignore(raft, message, 'its term is over')
  if (leaderSpeaking(message) !== null) refuseStaleLeader(raft, message)
}

function dispatch(raft: RaftState, message: ProtocolMessage): void {
  switch (message.type) {
    case 'pre-vote':
      return handlePreVote(raft, message)
    case 'pre-vote-reply':
      return handlePreVoteReply(raft, message)
    case 'request-vote':
      return handleRequestVote(raft, message)
    case 'request-vote-reply':
      return handleRequestVoteReply(raft, message)
    case 'append-entries':
      if (!follow(raft, message)) return
      return handleAppendEntries(raft, message)
    case 'commit':
      if (!follow(raft, message)) return
      return learnCommitted(raft, message)
    case 'heartbeat':
      if (!follow(raft, message)) return
      return handleHeartbeat(raft, message)
    case 'install-snapshot':
      // The stream that follows is the driver's business: see `wantsSnapshot`.
      follow(raft, message)
      return
    case 'append-entries-reply':
      return handleAppendEntriesReply(raft, message)
    case 'heartbeat-reply':
      return handleHeartbeatReply(raft, message)
    case 'timeout-now':
      return handleTimeoutNow(raft, message)
    case 'read-index':
      return handleReadIndex(raft, message)
    case 'read-index-reply':
      return handleReadIndexReply(raft, message)
    case 'removed':
      return handleRemoved(raft, message)
  }
}

/** The leader of this term has spoken: follow it, and put off any election (§5.2). */
function follow(raft: RaftState, message: ProtocolMessage): boolean {
  if (raft.role === 'leader') {
    // Two leaders in one term cannot be (Election Safety); a stranger claims to be the second.
    ignore(raft, message, 'this node leads the term')
    return false
  }
  becomeFollower(raft, raft.term, message.from)
  raft.electionElapsed = 0
  oweLease(raft)
  return true
}

/** The leader hands over: campaign at once, and without asking around first (thesis 3.10). */
function handleTimeoutNow(raft: RaftState, message: ProtocolMessage): void {
  if (raft.role !== 'follower') return ignore(raft, message, 'only a follower takes over')
  if (!mayCampaign(raft)) return ignore(raft, message, 'only a voter takes over')
  if (isDiskStalled(raft)) return ignore(raft, message, 'the disk stands still')
  requestVotes(raft, { transfer: true })
}
