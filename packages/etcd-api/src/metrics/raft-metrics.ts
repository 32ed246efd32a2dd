/** What Raft itself tells, under names of our own. */
import type { MessageType, RaftEvent, Trace } from '@coracle/raft-core'
import type { Registry } from 'prom-client'
import type { EtcdNode } from '../options.ts'
import { counter, counters, gauge, gauges, type Sample } from './collect.ts'

/** Events by how often they happened; most come with every message, so this is all that is done. */
export interface RaftCounts {
  readonly trace: Trace
  readonly sent: Map<MessageType, number>
  readonly received: Map<MessageType, number>
  readonly ignored: Map<MessageType, number>
  elections: number
  truncations: number
  stalls: number
  snapshotsTaken: number
  snapshotsInstalled: number
}

/** `onApplied` is told how long it took from commit to applied, in seconds. */
export function raftCounts(now: () => number, onApplied: (seconds: number) => void): RaftCounts {
  /** The first commit that is not known to be applied yet, and when it was. */
  let committed: { readonly index: number; readonly at: number } | null = null
  const trace = (event: RaftEvent): void => {
    switch (event.type) {
      case 'message-sent':
        return add(counts.sent, event.message)
      case 'message-received':
        return add(counts.received, event.message)
      case 'message-ignored':
        return add(counts.ignored, event.message)
      case 'entries-committed':
        committed ??= { index: event.index, at: now() }
        return
      case 'entries-applied':
        if (committed === null || event.index < committed.index) return
        onApplied((now() - committed.at) / 1_000)
        committed = null
        return
      case 'election-started':
        counts.elections += 1
        return
      case 'entries-truncated':
        counts.truncations += 1
        return
      case 'snapshot-taken':
        counts.snapshotsTaken += 1
        return
      case 'snapshot-installed':
        counts.snapshotsInstalled += 1
        return
      case 'leader-stalled':
        counts.stalls += 1
        return
      case 'entries-appended':
      case 'membership-changed':
      case 'node-failed':
      case 'node-removed':
      case 'role-changed':
      case 'vote-granted':
      case 'vote-refused':
    }
  }
  const counts: RaftCounts = {
    trace,
    sent: new Map(),
    received: new Map(),
    ignored: new Map(),
    elections: 0,
    truncations: 0,
    stalls: 0,
    snapshotsTaken: 0,
    snapshotsInstalled: 0,
  }
  return counts
}

function add<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

export function raftEventMetrics(registry: Registry, counts: RaftCounts): void {
  const messages = (name: string, help: string, by: ReadonlyMap<MessageType, number>): void =>
    counters(
      registry,
      { name: `coracle_raft_messages_${name}_total`, help, labels: ['type'] },
      () => [...by].map(([type, count]): Sample => [count, type]),
    )
  messages('sent', 'Messages sent to other members.', counts.sent)
  messages('received', 'Messages from other members.', counts.received)
  messages('ignored', 'Messages that came too late or to the wrong one.', counts.ignored)
  const events: readonly [name: string, help: string, read: () => number][] = [
    ['elections', 'Elections that this member began.', () => counts.elections],
    ['truncations', 'Times that a new leader replaced entries.', () => counts.truncations],
    ['leader_stalls', 'Times that this leader stood still.', () => counts.stalls],
    ['snapshots_taken', 'Snapshots taken.', () => counts.snapshotsTaken],
    ['snapshots_installed', 'Snapshots from the leader.', () => counts.snapshotsInstalled],
  ]
  for (const [name, help, read] of events)
    counter(registry, { name: `coracle_raft_${name}_total`, help }, read)
  // What keeps a leader of etcd from sending its heartbeats in time is what makes one stand still here.
  const late = { name: 'etcd_server_heartbeat_send_failures_total', help: 'The same stalls.' }
  counter(registry, late, () => counts.stalls)
}

const ROLES = ['follower', 'pre-candidate', 'candidate', 'leader'] as const

export function raftStatusMetrics(registry: Registry, node: Pick<EtcdNode, 'status'>): void {
  type Status = ReturnType<typeof node.status>
  const numbers: readonly [name: string, help: string, read: (status: Status) => number][] = [
    ['term', 'The term.', ({ term }) => term],
    ['commit_index', 'The last committed entry.', ({ commitIndex }) => commitIndex],
    ['applied_index', 'The last applied entry.', ({ appliedIndex }) => appliedIndex],
    ['first_index', 'The first entry in the log.', ({ firstIndex }) => firstIndex],
    ['last_index', 'The last entry in the log.', ({ lastIndex }) => lastIndex],
    ['snapshot_index', 'What the newest snapshot covers.', ({ snapshotIndex }) => snapshotIndex],
    ['voters', 'Members that vote.', ({ membership }) => membership.voters.length],
    ['learners', 'Members that do not.', ({ membership }) => membership.learners.length],
  ]
  for (const [name, help, read] of numbers)
    gauge(registry, { name: `coracle_raft_${name}`, help }, () => read(node.status()))
  const role = { name: 'coracle_raft_role', help: '1 for the role that it has.', labels: ['role'] }
  gauges(registry, role, () => {
    const status = node.status()
    return ROLES.map((each): Sample => [Number(each === status.role), each])
  })
  const peer = (
    name: string,
    help: string,
    read: (peer: Status['peers'][number]) => number,
  ): void =>
    gauges(registry, { name: `coracle_raft_peer_${name}`, help, labels: ['peer'] }, () =>
      node.status().peers.map((each): Sample => [read(each), each.id]),
    )
  peer(
    'match_index',
    'The last entry a peer holds, as the leader knows.',
    (each) => each.matchIndex,
  )
  peer('active', 'Whether the leader has heard from it.', (each) => Number(each.active))
}
