/** What etcd tells of a member, under etcd's names. */
import type { Registry } from 'prom-client'
import type { ServiceContext } from '../context.ts'
import { ETCD_VERSION } from '../version.ts'
import { counter, gauge, gauges } from './collect.ts'
import { type MaintenanceTimes, maintenanceMetrics } from './maintenance-metrics.ts'
import { mvccMetrics } from './mvcc-metrics.ts'
import { type Promotions, promotionMetrics } from './promotion-metrics.ts'
import { type EventCounts, watchMetrics } from './watch-metrics.ts'

/** What the services count themselves, or have timed. */
export interface ServiceCounts {
  readonly events: EventCounts
  readonly maintenance: MaintenanceTimes
  readonly promotions: Promotions
}

export function serverMetrics(registry: Registry, context: ServiceContext): ServiceCounts {
  const { stateMachine, environment } = context.options
  membership(registry, context)
  proposals(registry, context)
  state(registry, context)
  const events = watchMetrics(registry, stateMachine)
  mvccMetrics(registry, stateMachine, events)
  return {
    events,
    maintenance: maintenanceMetrics(registry, () => environment.now()),
    promotions: promotionMetrics(registry),
  }
}

function membership(registry: Registry, context: ServiceContext): void {
  const { node, memberId } = context.options
  const flag = (name: string, help: string, read: () => boolean): void =>
    gauge(registry, { name: `etcd_server_${name}`, help }, () => Number(read()))
  flag('has_leader', 'Whether there is a leader.', () => node.status().leader !== null)
  flag('is_leader', 'Whether it is this member.', () => node.status().role === 'leader')
  flag('is_learner', 'Whether this member does not vote.', () => context.leadership.learner)
  counter(
    registry,
    { name: 'etcd_server_leader_changes_seen_total', help: 'Leaders seen one after the other.' },
    () => context.leadership.changes,
  )
  const id = { name: 'etcd_server_id', help: 'This member.', labels: ['server_id'] }
  gauges(registry, id, () => [[1, memberId.toString(16)]])
  const known = { name: 'etcd_network_known_peers', help: 'The other members.' }
  gauges(registry, { ...known, labels: ['Local', 'Remote'] }, () => {
    const { id: local, membership: now } = node.status()
    return now.peers.filter(({ id: peer }) => peer !== local).map((peer) => [1, local, peer.id])
  })
  const version = { name: 'etcd_server_version', help: 'The etcd whose API this is.' }
  gauges(registry, { ...version, labels: ['server_version'] }, () => [[1, ETCD_VERSION]])
  const cluster = { name: 'etcd_cluster_version', help: 'What all members understand.' }
  const minor = ETCD_VERSION.replace(/\.\d+$/, '')
  gauges(registry, { ...cluster, labels: ['cluster_version'] }, () => [[1, minor]])
  gauges(
    registry,
    {
      name: 'etcd_debugging_server_alarms',
      help: 'Alarms that are raised.',
      labels: ['server_id', 'alarm_type'],
    },
    () =>
      context.options.stateMachine
        .alarms()
        .map((alarm) => [1, alarm.memberId, alarm.type === 'no-space' ? 'NOSPACE' : 'CORRUPT']),
  )
}

function proposals(registry: Registry, context: ServiceContext): void {
  const { node } = context.options
  const { proposals: proposed, reads } = context
  const committed = { name: 'etcd_server_proposals_committed_total', help: 'The commit index.' }
  gauge(registry, committed, () => node.status().commitIndex)
  const applied = { name: 'etcd_server_proposals_applied_total', help: 'The applied index.' }
  gauge(registry, applied, () => node.status().appliedIndex)
  const pending = { name: 'etcd_server_proposals_pending', help: 'Proposals without an outcome.' }
  gauge(registry, pending, () => proposed.pending)
  const failed = { name: 'etcd_server_proposals_failed_total', help: 'Proposals that failed.' }
  counter(registry, failed, () => proposed.failed)
  const reading = { name: 'etcd_server_read_indexes_failed_total', help: 'Reads that failed.' }
  counter(registry, reading, () => reads.failed)
  const late = { name: 'etcd_server_slow_read_indexes_total', help: 'Those that took too long.' }
  counter(registry, late, () => reads.timedOut)
}

function state(registry: Registry, context: ServiceContext): void {
  const { stateMachine: store, limits } = context.options
  const numbers: readonly [name: string, help: string, read: () => number][] = [
    ['server_quota_backend_bytes', 'The quota.', () => limits.quotaBackendBytes],
    ['debugging_auth_revision', 'The revision of users and roles.', () => store.auth.revision],
    [
      'server_snapshot_apply_in_progress_total',
      'Whether a snapshot is taking the place of all there was.',
      () => Number(store.counts.isRestoring),
    ],
  ]
  for (const [name, help, read] of numbers) gauge(registry, { name: `etcd_${name}`, help }, read)
}
