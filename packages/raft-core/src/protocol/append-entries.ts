import { decodeMembership } from '../codec/records.ts'
import { assert } from '../errors.ts'
import type { AppendEntries, AppendEntriesReply, Heartbeat, HeartbeatReply } from '../messages.ts'
import type { Entry, LogIndex, Position } from '../types.ts'
import { advanceCommitIndex, commitUpTo } from './commit.ts'
import { ignore, send, sendWhenDurable, truncateLog } from './effects.ts'
import { requestSnapshot } from './install-snapshot.ts'
import { trackPeers } from './peers.ts'
import { becomeProbe, becomeReplicate, type Progress } from './progress.ts'
import { acknowledgeRound } from './read-index.ts'
import { ownAddress, progressOf, type RaftState } from './state.ts'
import { continueTransfer } from './transfer.ts'

const NOTHING: readonly Entry[] = Object.freeze([])
/** With this many messages on the way, the next one has `minBatchBytes` at least. */
const FULL_FLOOR_MESSAGES = 8
const NOWHERE: Position = Object.freeze({ term: 0, index: 0 })

/** Appends to the log. A membership among the entries is in effect at once (§6). */
export function appendToLog(raft: RaftState, entries: readonly Entry[]): void {
  const first = entries[0]
  if (first === undefined) return
  for (const entry of entries) {
    raft.log.append(entry)
    if (entry.type === 'membership') {
      const membership = decodeMembership(entry.data)
      raft.memberships.append(entry.index, membership)
      if (raft.role === 'leader') trackPeers(raft)
      raft.trace?.({ type: 'membership-changed', node: raft.id, term: raft.term, membership })
    }
  }
  raft.trace?.({
    type: 'entries-appended',
    node: raft.id,
    term: raft.term,
    from: first.index,
    last: raft.log.last,
  })
}

// The leader's side.

/** Sends a follower all that it is due now and that its window has room for. */
export function replicate(raft: RaftState, peer: Progress): void {
  while (sendNext(raft, peer));
}

/** Sends one message if there is something to say. Answers whether another may follow at once. */
function sendNext(raft: RaftState, peer: Progress): boolean {
  const { log, options } = raft
  if (peer.state === 'snapshot' || peer.probing || peer.fetching !== 0) return false
  if (peer.nextIndex <= log.compacted.index) {
    requestSnapshot(raft, peer)
    return false
  }
  const behindWindow = peer.nextIndex < log.windowStart
  if (peer.state === 'probe') {
    // Find out where the logs agree before reading anything from the disk.
    const entries = behindWindow ? NOTHING : nextEntries(raft, peer)
    peer.probing = true
    sendAppend(raft, peer, entries)
    return false
  }
  if (peer.nextIndex > log.lastIndex) {
    if (raft.commitIndex > peer.sentCommit) sendAppend(raft, peer, NOTHING)
    return false
  }
  const { inflight } = peer
  if (inflight.full || inflight.bytes >= options.maxInflightBytes) return false
  if (behindWindow) {
    fetchEntries(raft, peer)
    return false
  }
  if (log.bytesBetween(peer.nextIndex, log.lastIndex + 1) < batchFloor(raft, peer)) return false
  sendEntries(raft, peer, nextEntries(raft, peer))
  return true
}

/**
 * How much there must be to say. Few and large messages cost both sides less, so with messages on the
 * way it pays to wait; the more there are, the longer. But an answer may take long to come over a
 * slow link, and then waiting for it would only make proposals slower: after a tick, anything goes.
 */
function batchFloor({ options }: RaftState, { inflight, appended }: Progress): number {
  if (inflight.count < 2 || !appended) return 0
  return options.minBatchBytes * Math.min(1, inflight.count / FULL_FLOOR_MESSAGES)
}

function nextEntries(raft: RaftState, peer: Progress): readonly Entry[] {
  const { log, options } = raft
  const room = Math.max(1, options.maxInflightBytes - peer.inflight.bytes)
  return log.slice(peer.nextIndex, log.lastIndex + 1, Math.min(options.maxMessageBytes, room))
}

/** Sends entries without waiting for the answer to those before them (thesis 10.2.1). */
function sendEntries(raft: RaftState, peer: Progress, entries: readonly Entry[]): void {
  sendAppend(raft, peer, entries)
  const end = peer.nextIndex + entries.length
  peer.inflight.push(end - 1, sizeOf(entries))
  peer.nextIndex = end
}

function sizeOf(entries: readonly Entry[]): number {
  let bytes = 0
  for (const entry of entries) bytes += entry.data.length
  return bytes
}

function sendAppend(raft: RaftState, peer: Progress, entries: readonly Entry[]): void {
  const prevIndex = peer.nextIndex - 1
  const { commitIndex } = raft
  peer.appended = true
  peer.sentCommit = Math.max(peer.sentCommit, Math.min(commitIndex, prevIndex + entries.length))
  send(raft, {
    type: 'append-entries',
    from: raft.id,
    to: peer.id,
    term: raft.term,
    prevLog: { term: raft.log.termAt(prevIndex), index: prevIndex },
    entries,
    commitIndex,
    round: raft.reads.round,
  })
}

/** Asks for the entries that a slow follower needs and that are no longer in memory. */
function fetchEntries(raft: RaftState, peer: Progress): void {
  const { log, outbox, options } = raft
  outbox.fetchId += 1
  peer.fetching = outbox.fetchId
  outbox.fetches.push({
    id: outbox.fetchId,
    to: peer.id,
    from: peer.nextIndex,
    end: Math.min(log.windowStart, log.lastIndex + 1),
    maxBytes: options.maxMessageBytes,
  })
}

/**
 * The entries asked for, or null if the storage no longer has them. They may come late: the
 * follower may have moved on, or another term begun, and then the number no longer fits.
 */
export function handleFetched(raft: RaftState, id: number, entries: readonly Entry[] | null): void {
  const peer = raft.peers.find((candidate) => candidate.fetching === id)
  if (peer === undefined) return
  peer.fetching = 0
  if (entries === null || entries[0]?.index !== peer.nextIndex) return
  if (peer.state === 'replicate' && peer.nextIndex > raft.log.compacted.index)
    sendEntries(raft, peer, entries)
}

/** Tells everybody who leads and what is committed, and asks whether it is still so (§5.2). */
export function broadcastHeartbeat(raft: RaftState): void {
  for (const peer of raft.peers) sendHeartbeat(raft, peer)
}

function sendHeartbeat(raft: RaftState, peer: Progress): void {
  send(raft, {
    type: 'heartbeat',
    from: raft.id,
    to: peer.id,
    term: raft.term,
    // The follower may hold no more than what it acknowledged.
    commitIndex: Math.min(peer.matchIndex, raft.commitIndex),
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
 * and while followers are patient, for what comes instead may have come a tick earlier.
 */
function needsHeartbeat({ reads, doubtedRound, options }: RaftState): boolean {
  if (reads.pending.length > 0 || doubtedRound > 0) return true
  return options.heartbeatTicks + 1 >= options.electionTicks
}

/**
 * Once per heartbeat: a follower that answers but whose log stands still has lost a message, and
 * nothing else would ever say so. Send where it stands again.
 */
function recoverLostMessage(raft: RaftState, peer: Progress): void {
  const stuck = peer.matchIndex === peer.matchAtHeartbeat && peer.answered
  if (stuck && peer.state === 'probe') peer.probing = false
  // One whose next entry is forgotten gets a snapshot instead, as soon as there is time for it.
  const isReachable = peer.nextIndex > raft.log.compacted.index
  const isWaiting = peer.state === 'replicate' && peer.matchIndex + 1 < peer.nextIndex
  if (stuck && isWaiting && isReachable) sendAppend(raft, peer, NOTHING)
  peer.matchAtHeartbeat = peer.matchIndex
  peer.answered = false
}

export function handleAppendEntriesReply(raft: RaftState, message: AppendEntriesReply): void {
  const peer = heard(raft, message)
  if (peer === null) return
  if (message.accepted) handleAccepted(raft, peer, message)
  else handleRefused(raft, peer, message)
}

export function handleHeartbeatReply(raft: RaftState, message: HeartbeatReply): void {
  heard(raft, message)
}

/** Any answer of this term shows that the follower still follows. */
function heard(raft: RaftState, message: AppendEntriesReply | HeartbeatReply): Progress | null {
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

/** The follower's log matches up to `message.index` (§5.3). */
function handleAccepted(raft: RaftState, peer: Progress, message: AppendEntriesReply): void {
  const { index } = message
  if (index > raft.log.lastIndex) return ignore(raft, message, 'no such entry was sent')
  peer.inflight.acknowledge(index)
  if (index < peer.matchIndex) return
  const grown = index > peer.matchIndex
  peer.matchIndex = index
  peer.nextIndex = Math.max(peer.nextIndex, index + 1)
  if (peer.state === 'probe') becomeReplicate(peer)
  // Whatever snapshot is on its way, the log reaches back far enough to go on from here.
  else if (peer.state === 'snapshot' && index >= raft.log.compacted.index) becomeReplicate(peer)
  if (!grown) return
  advanceCommitIndex(raft)
  continueTransfer(raft)
}

/** The logs differ at `message.index`: go back to where they may still agree (§5.3). */
function handleRefused(raft: RaftState, peer: Progress, message: AppendEntriesReply): void {
  const { index, hint } = message
  // A refusal of something that was accepted since, or that was not asked last, is late.
  const late = peer.state === 'probe' ? index !== peer.nextIndex - 1 : index <= peer.matchIndex
  if (late || peer.state === 'snapshot') return ignore(raft, message, 'the refusal is late')
  const start = Math.min(hint.index, index - 1)
  // Before its own log begins, the leader has nothing to compare: the next step is a snapshot.
  const isForgotten = start < raft.log.compacted.index
  const agreed = isForgotten ? start : raft.log.agreementBefore(start, hint.term).index
  becomeProbe(peer, agreed + 1)
}

// The follower's side. The term rule has run, and the sender is known as the leader.

/** AppendEntries RPC, receiver (Fig. 2, steps 2 to 5). */
export function handleAppendEntries(raft: RaftState, message: AppendEntries): void {
  const { log } = raft
  const { prevLog, entries } = message
  // What is committed here is the same everywhere, so a message that starts before it matches.
  if (prevLog.index > raft.commitIndex && !log.matches(prevLog)) return refuse(raft, message)
  const fresh = dropKnown(raft, entries)
  if (fresh.length > 0) {
    const from = (fresh[0] as Entry).index
    if (from <= log.lastIndex) truncateLog(raft, from)
    appendToLog(raft, fresh)
  }
  const match = prevLog.index + entries.length
  commitUpTo(raft, Math.min(message.commitIndex, match))
  accept(raft, message, Math.max(match, raft.commitIndex))
}

/**
 * The entries from the first one on that is missing here or has another term (step 3 and 4). Those
 * before it are here already: a late or repeated message takes nothing away.
 */
function dropKnown(raft: RaftState, entries: readonly Entry[]): readonly Entry[] {
  const { log } = raft
  const first = entries[0]
  if (first === undefined || first.index === log.lastIndex + 1) return entries
  const known = entries.findIndex(
    (entry) =>
      entry.index > log.lastIndex ||
      (entry.index > raft.commitIndex && log.termAt(entry.index) !== entry.term),
  )
  return known === -1 ? NOTHING : entries.slice(known)
}

function refuse(raft: RaftState, message: AppendEntries): void {
  const { prevLog } = message
  answer(raft, message, false, prevLog.index, raft.log.agreementBefore(prevLog.index, prevLog.term))
}

function accept(raft: RaftState, message: AppendEntries, index: LogIndex): void {
  answer(raft, message, true, index, NOWHERE)
}

function answer(
  raft: RaftState,
  message: AppendEntries,
  accepted: boolean,
  index: LogIndex,
  hint: Position,
): void {
  sendWhenDurable(raft, {
    type: 'append-entries-reply',
    from: raft.id,
    to: message.from,
    term: raft.term,
    accepted,
    index,
    hint,
    round: message.round,
  })
}

/** "Nothing of yours: a newer term has begun." Lets a leader that was away learn of it (Fig. 2, step 1). */
export function refuseStaleLeader(raft: RaftState, message: { readonly from: string }): void {
  sendWhenDurable(raft, {
    type: 'append-entries-reply',
    from: raft.id,
    to: message.from,
    term: raft.term,
    accepted: false,
    index: 0,
    hint: NOWHERE,
    round: 0,
  })
}

/**
 * Heartbeats carry no entries, and what the leader calls committed it knows to be here. The answer
 * leaves at once: it says that no newer leader is followed at this moment, which no crash can make
 * untrue, and a read need not wait for this node's disk.
 */
export function handleHeartbeat(raft: RaftState, message: Heartbeat): void {
  assert(
    message.commitIndex <= raft.log.lastIndex,
    'the leader counts on entries that this node no longer has: its data was lost',
  )
  commitUpTo(raft, message.commitIndex)
  send(raft, {
    type: 'heartbeat-reply',
    from: raft.id,
    to: message.from,
    term: raft.term,
    round: message.round,
  })
}
