import type { Entry } from '../types.ts'
import { sendAppend } from './append-entries.ts'
import { requestSnapshot } from './install-snapshot.ts'
import type { Progress } from './progress.ts'
import type { RaftState } from './state.ts'

/**
 * What a leader sends each follower, and when (§5.3; thesis 10.2.1): one question at a time until it
 * knows where their logs agree, then entries without waiting for answers, as far as the window allows.
 * Entries come from memory, for those that are further behind from the storage, or as a snapshot.
 */

const NOTHING: readonly Entry[] = Object.freeze([])
/** With this many messages on the way, the next one has `minBatchBytes` at least. */
const FULL_FLOOR_MESSAGES = 8

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
  if (peer.nextIndex > log.lastIndex) return false
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
  // The window had room when these were asked for; it may be smaller since then.
  if (peer.inflight.full) return
  if (peer.state === 'replicate' && peer.nextIndex > raft.log.compacted.index)
    sendEntries(raft, peer, entries)
}

/**
 * Once per heartbeat: a follower that answers but whose log stands still has lost a message, and
 * nothing else would ever say so. Send where it stands again.
 */
export function recoverLostMessage(raft: RaftState, peer: Progress): void {
  const stuck = peer.matchIndex === peer.matchAtHeartbeat && peer.answered
  if (stuck && peer.state === 'probe') peer.probing = false
  // One whose next entry is forgotten gets a snapshot instead, as soon as there is time for it.
  const isReachable = peer.nextIndex > raft.log.compacted.index
  const isWaiting = peer.state === 'replicate' && peer.matchIndex + 1 < peer.nextIndex
  if (stuck && isWaiting && isReachable) sendAppend(raft, peer, NOTHING)
  peer.matchAtHeartbeat = peer.matchIndex
  peer.answered = false
}
