import { assert } from '../errors.ts'
import type { PreVote, PreVoteReply, RequestVote, RequestVoteReply } from '../messages.ts'
import type { NodeId } from '../types.ts'
import { ignore, send, sendWhenDurable } from './effects.ts'
import { owesLease } from './lease.ts'
import { isVoter, tally } from './quorum.ts'
import {
  becomeCandidate,
  becomeFollower,
  becomeLeader,
  becomePreCandidate,
  restartElectionTimer,
} from './roles.ts'
import { membership, ownAddress, type RaftState } from './state.ts'

/**
 * Has a vote in the membership in effect, or in the committed one: a node whose removal is in its log
 * but not committed may be the only one that can still be elected (thesis 4.2.2).
 */
export function mayCampaign(raft: RaftState): boolean {
  const { memberships, commitIndex, id } = raft
  if (raft.removedAt !== null) return false
  return isVoter(memberships.current, id) || isVoter(memberships.committed(commitIndex), id)
}

/** Starts an election; with PreVote, by asking whether it could be won (§5.2; thesis 9.6). */
export function campaign(raft: RaftState): void {
  if (raft.options.preVote) requestPreVotes(raft)
  else requestVotes(raft, { transfer: false })
}

function requestPreVotes(raft: RaftState): void {
  becomePreCandidate(raft)
  raft.trace?.({ type: 'election-started', node: raft.id, term: raft.term, preVote: true })
  for (const to of otherVoters(raft))
    send(raft, {
      type: 'pre-vote',
      from: raft.id,
      to,
      term: raft.term,
      lastLog: raft.log.last,
      address: ownAddress(raft),
    })
  countPreVotes(raft)
}

/**
 * A candidate's term and vote, and the log it boasts of, are durable before anybody hears of them:
 * otherwise it could forget, after a crash, that it campaigned in this term, and win it again with
 * another log.
 */
export function requestVotes(raft: RaftState, { transfer }: { readonly transfer: boolean }): void {
  becomeCandidate(raft)
  raft.trace?.({ type: 'election-started', node: raft.id, term: raft.term, preVote: false })
  for (const to of otherVoters(raft))
    sendWhenDurable(raft, {
      type: 'request-vote',
      from: raft.id,
      to,
      term: raft.term,
      lastLog: raft.log.last,
      transfer,
      address: ownAddress(raft),
    })
}

/** This node's own vote is durable: from now on it counts like any other. */
export function countOwnVote(raft: RaftState): void {
  assert(raft.role === 'candidate' && raft.votedFor === raft.id, 'a candidate votes for itself')
  raft.votes.set(raft.id, true)
  countVotes(raft)
}

/** RequestVote RPC, receiver (Fig. 2). The term rule has already run. */
export function handleRequestVote(raft: RaftState, message: RequestVote): void {
  const refusal = refusesVote(raft, message)
  if (refusal === null) castVote(raft, message.from)
  traceVote(raft, message, refusal)
  sendWhenDurable(raft, {
    type: 'request-vote-reply',
    from: raft.id,
    to: message.from,
    term: raft.term,
    granted: refusal === null,
  })
}

function castVote(raft: RaftState, candidate: NodeId): void {
  restartElectionTimer(raft)
  // The same vote given again is on its way to the disk, or there, already.
  if (raft.votedFor === candidate) return
  raft.votedFor = candidate
  raft.outbox.hardStateChanged = true
}

/** Why not to vote for the sender, or null (Fig. 2, RequestVote, receiver steps 1 and 2). */
function refusesVote(raft: RaftState, message: RequestVote): string | null {
  assert(message.term <= raft.term, 'the term rule runs before RequestVote')
  if (message.term < raft.term) return 'the term is over'
  if (raft.votedFor !== null && raft.votedFor !== message.from) return 'voted for another'
  // Nobody else can win a term that has a leader: to put off this node's own election is all it does.
  if (raft.leader !== null && raft.leader !== message.from) return 'the term has a leader'
  if (owesLease(raft) && !message.transfer) return 'a leader counts on this vote'
  // The candidate must hold everything that may be committed (§5.4.1).
  if (!raft.log.isUpToDate(message.lastLog)) return 'its log is behind'
  return null
}

/**
 * Would this node vote for the sender? The answer binds nobody and resets no clock: otherwise
 * hopeless candidates could keep everybody waiting.
 *
 * A learner answers too: it may be a voter by now and not know it yet.
 */
export function handlePreVote(raft: RaftState, message: PreVote): void {
  const refusal = refusesPreVote(raft, message)
  traceVote(raft, message, refusal)
  sendWhenDurable(raft, {
    type: 'pre-vote-reply',
    from: raft.id,
    to: message.from,
    term: raft.term,
    granted: refusal === null,
  })
}

function refusesPreVote(raft: RaftState, message: PreVote): string | null {
  if (message.term < raft.term) return 'its term is over'
  if (hearsLeader(raft)) return 'the leader is alive'
  if (!raft.log.isUpToDate(message.lastLog)) return 'its log is behind'
  return null
}

/** Has heard from a leader within the shortest election timeout, or is one (thesis 4.2.3). */
export function hearsLeader(raft: RaftState): boolean {
  if (raft.role === 'leader' || owesLease(raft)) return true
  return raft.leader !== null && raft.electionElapsed < raft.options.electionTicks
}

/**
 * Somebody knows better than this follower that its leader is gone: from now on it votes as if it had
 * not heard from it. Its term stays, and if the leader speaks again, it follows. Answers whether there
 * was a leader to forget. A leader knows who leads, and whoever owes a lease may not forget it.
 */
export function forgetLeader(raft: RaftState): boolean {
  if (raft.role !== 'follower' || raft.leader === null || raft.options.reads === 'lease')
    return false
  becomeFollower(raft, raft.term, null)
  return true
}

export function handleRequestVoteReply(raft: RaftState, message: RequestVoteReply): void {
  if (raft.role !== 'candidate') return ignore(raft, message, 'no election is under way')
  recordVote(raft, message)
  countVotes(raft)
}

export function handlePreVoteReply(raft: RaftState, message: PreVoteReply): void {
  if (raft.role !== 'pre-candidate') return ignore(raft, message, 'no election is under way')
  recordVote(raft, message)
  countPreVotes(raft)
}

/** Votes are kept by voter, so that one that arrives twice counts once. */
function recordVote(raft: RaftState, message: RequestVoteReply | PreVoteReply): void {
  if (!isVoter(membership(raft), message.from))
    return ignore(raft, message, 'only voters have a vote')
  if (!raft.votes.has(message.from)) raft.votes.set(message.from, message.granted)
}

/** Votes from a majority make a leader; refusals from a majority end the election (§5.2). */
function countVotes(raft: RaftState): void {
  const result = tallyVotes(raft)
  if (result === 'won') becomeLeader(raft)
  else if (result === 'lost') becomeFollower(raft, raft.term, null)
}

function countPreVotes(raft: RaftState): void {
  const result = tallyVotes(raft)
  if (result === 'won') requestVotes(raft, { transfer: false })
  else if (result === 'lost') becomeFollower(raft, raft.term, null)
}

function tallyVotes(raft: RaftState): ReturnType<typeof tally> {
  return tally(membership(raft), (id) => raft.votes.get(id) ?? null)
}

function otherVoters(raft: RaftState): NodeId[] {
  const members = membership(raft)
  return members.peers.map((peer) => peer.id).filter((id) => id !== raft.id && isVoter(members, id))
}

function traceVote(raft: RaftState, message: RequestVote | PreVote, refusal: string | null): void {
  if (raft.trace === null) return
  const event = {
    node: raft.id,
    term: raft.term,
    candidate: message.from,
    preVote: message.type === 'pre-vote',
  }
  if (refusal === null) raft.trace({ type: 'vote-granted', ...event })
  else raft.trace({ type: 'vote-refused', ...event, why: refusal })
}
