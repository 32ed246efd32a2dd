import type { Stored } from '../contracts/storage.ts'
import { assert } from '../errors.ts'
import type { LogIndex, NodeId, Position, Term } from '../types.ts'
import type { RaftState } from './state.ts'

/**
 * What is true of one node at every moment, and of any two moments, one after the other: the part
 * of Figure 3 that a node can see by itself. Tests check it after every input; a node that runs
 * checks the same rules one by one, where they could break.
 */

/** As much of a state as is needed to judge the next one. */
export interface Glance {
  readonly term: Term
  readonly votedFor: NodeId | null
  readonly isLeader: boolean
  readonly lastLog: Position
  readonly commit: Position
  readonly appliedIndex: LogIndex
  readonly compactedIndex: LogIndex
  readonly round: number
  readonly now: number
  readonly isLeaseGivenUp: boolean
  readonly matchIndexes: ReadonlyMap<NodeId, LogIndex>
}

export function glance(raft: Readonly<RaftState>): Glance {
  const { log, commitIndex } = raft
  // A snapshot may have replaced the log beyond what was committed, never before it.
  assert(commitIndex >= log.compacted.index, 'a snapshot covers only what is committed')
  return {
    term: raft.term,
    votedFor: raft.votedFor,
    isLeader: raft.role === 'leader',
    lastLog: log.last,
    commit: { term: log.termAt(commitIndex), index: commitIndex },
    appliedIndex: raft.appliedIndex,
    compactedIndex: log.compacted.index,
    round: raft.reads.round,
    now: raft.now,
    isLeaseGivenUp: raft.lease.isGivenUp,
    matchIndexes: new Map(raft.peers.map((peer) => [peer.id, peer.matchIndex])),
  }
}

/** Throws an InvariantError unless the state is one that a server can be in. */
export function checkState(raft: Readonly<RaftState>): void {
  checkLog(raft)
  checkRole(raft)
  checkOutbox(raft)
  if (raft.role === 'leader') checkLeader(raft)
}

function checkLog({ log, commitIndex, appliedIndex, term }: Readonly<RaftState>): void {
  const { compacted, windowStart, unsavedFrom, stableIndex, lastIndex } = log
  assert(compacted.index < windowStart, 'the window begins after what is compacted')
  assert(windowStart <= unsavedFrom, 'what is not saved is in the window')
  assert(unsavedFrom <= lastIndex + 1, 'what is not saved is in the log')
  assert(stableIndex < unsavedFrom, 'what is durable was handed to the storage')
  assert(compacted.index <= stableIndex, 'what is compacted is durable')
  assert(appliedIndex <= commitIndex, 'what is applied is committed')
  assert(commitIndex <= lastIndex, 'what is committed is in the log')
  assert(windowStart <= stableIndex + 1, 'what is gone from the window is durable')
  assert(log.last.term <= term, 'no entry is of a later term than the node')
}

function checkRole(raft: Readonly<RaftState>): void {
  const { role, id, leader, votedFor } = raft
  if (role === 'leader' || role === 'candidate')
    assert(votedFor === id, 'whoever campaigns or leads voted for itself')
  assert((role === 'leader') === (leader === id), 'a leader knows who leads')
  if (role === 'candidate' || role === 'pre-candidate')
    assert(leader === null, 'whoever campaigns follows nobody')
  if (role !== 'leader') {
    assert(raft.peers.length === 0, 'only a leader tracks its peers')
    assert(raft.transfer === null, 'only a leader hands over')
    assert(raft.reads.count === 0, 'only a leader keeps reads waiting')
    assert(raft.lease.stamps.length === 0, 'only a leader counts on a lease')
    assert(raft.doubtedRound === 0, 'only a leader doubts that it leads')
  }
}

function checkOutbox({ outbox, log }: Readonly<RaftState>): void {
  const { writing } = outbox
  if (writing === null) return
  assert(writing.lastIndex < log.unsavedFrom, 'a write covers nothing that it was not handed')
}

function checkLeader(raft: Readonly<RaftState>): void {
  const { log, peers, termStart, reads } = raft
  if (termStart >= log.compacted.index)
    assert(log.termAt(termStart) === raft.term, 'a term begins with an entry of its leader')
  assert(log.last.term === raft.term, 'a leader appends only entries of its term')
  for (const peer of peers) {
    assert(peer.id !== raft.id, 'a leader is not its own peer')
    assert(peer.matchIndex < peer.nextIndex, 'what matches is not sent again')
    assert(peer.matchIndex <= log.lastIndex, 'what matches is in the log')
    assert(peer.nextIndex <= log.lastIndex + 1, 'what is sent is in the log')
    assert(peer.ackedRound <= reads.round, 'only rounds that began are answered')
    assert(peer.promisedRound <= peer.ackedRound, 'a promise comes with an answer')
    if (peer.state !== 'replicate')
      assert(peer.inflight.count === 0, 'only who replicates has messages on the way')
    if (peer.inflight.count === 0) assert(peer.inflight.bytes === 0, 'no message, no bytes')
  }
  const waiting =
    reads.waiting.length + reads.pending.reduce((sum, { reads: of }) => sum + of.length, 0)
  assert(waiting === reads.count, 'every waiting read is counted')
  assert(raft.doubtedRound <= reads.round, 'only a round that began can settle a doubt')
  checkLease(raft)
}

function checkLease({ lease, reads, now, options, transfer }: Readonly<RaftState>): void {
  const { stamps, isGivenUp } = lease
  assert(options.reads === 'lease' || stamps.length === 0, 'who wants no leases has none')
  assert(stamps.length <= options.electionTicks, 'stamps of rounds are bounded')
  for (const [at, { round, sentAt }] of stamps.entries()) {
    assert(round <= reads.round && sentAt <= now, 'only rounds that began are stamped')
    const earlier = stamps[at - 1]
    if (earlier !== undefined)
      assert(earlier.round < round && earlier.sentAt <= sentAt, 'rounds are stamped in order')
  }
  if (transfer?.asked === true) assert(isGivenUp, 'no lease outlives the word to campaign')
}

/** Throws an InvariantError unless a server with this on its disk may start in the state `after`. */
export function checkStart(stored: Stored, after: Readonly<RaftState>): void {
  const { hardState, snapshot } = stored
  assert(after.term >= hardState.term, 'a term outlives a restart')
  if (after.term === hardState.term && hardState.votedFor !== null)
    assert(after.votedFor === hardState.votedFor, 'a vote outlives a restart')
  assert(after.commitIndex >= hardState.commitIndex, 'what was committed is still committed')
  if (snapshot !== null)
    assert(after.log.matches(snapshot.position), 'the log goes on from what the snapshot covers')
}

/** Throws an InvariantError unless a server in the state `before` may come to be in the state `after`. */
export function checkStep(before: Glance, after: Readonly<RaftState>): void {
  const { log } = after
  assert(after.term >= before.term, 'a term never falls')
  if (after.term === before.term && before.votedFor !== null)
    assert(after.votedFor === before.votedFor, 'a vote within a term never changes')
  assert(after.commitIndex >= before.commit.index, 'what is committed stays committed')
  assert(after.appliedIndex >= before.appliedIndex, 'what is applied stays applied')
  assert(log.compacted.index >= before.compactedIndex, 'what is compacted stays compacted')
  assert(after.reads.round >= before.round, 'rounds only grow')
  assert(after.now >= before.now, 'time never falls')
  checkEntryStays(before.commit, after, 'a committed entry never changes')
  if (before.isLeader && after.term === before.term)
    // A leader that steps down within its term keeps its log too, until a message of a later one.
    checkEntryStays(before.lastLog, after, 'a leader only appends to its log')
  if (before.isLeader && after.role === 'leader') {
    assert(after.term === before.term, 'a leader leads one term')
    if (before.isLeaseGivenUp) assert(after.lease.isGivenUp, 'a lease that is given up stays so')
    for (const peer of after.peers)
      assert(peer.matchIndex >= (before.matchIndexes.get(peer.id) ?? 0), 'what matches stays')
  }
}

function checkEntryStays(
  { term, index }: Position,
  { log }: Readonly<RaftState>,
  rule: string,
): void {
  assert(index <= log.lastIndex, rule)
  if (index >= log.compacted.index) assert(log.termAt(index) === term, rule)
}
