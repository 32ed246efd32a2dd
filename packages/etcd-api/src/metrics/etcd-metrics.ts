/** Prometheus metrics of one member, from the disk to its clients. */
import {
  type Environment,
  type Storage,
  systemEnvironment,
  type Trace,
  type Transport,
} from '@coracle/raft-core'
import { Histogram, Registry } from 'prom-client'
import { gauge } from './collect.ts'
import { measuredStorage, type StorageTimes } from './measured-storage.ts'
import { measuredTransport } from './measured-transport.ts'
import { peerTraffic } from './peer-metrics.ts'
import { processMetrics } from './process-metrics.ts'
import { raftCounts, raftEventMetrics } from './raft-metrics.ts'

/**
 * Made before the node, whose parts are measured, and handed to the server, which shows it under
 * `/metrics` and adds what it knows. One member per instance: a second one throws an Error.
 *
 * @example
 * const metrics = etcdMetrics()
 * const node = await startNode({
 *   ...parts,
 *   storage: metrics.measureStorage(storage),
 *   trace: metrics.trace,
 * })
 * await using server = await etcdServer({ node, stateMachine, metrics, ...options })
 */
export interface EtcdMetrics {
  /** All metrics; more can be added, and all of them merged into another registry. */
  readonly registry: Registry
  /** Counts a node's events. */
  readonly trace: Trace
  /** The same storage; its writes are timed. */
  measureStorage(storage: Storage): Storage
  /** The same transport; bytes and round trips are counted by peer. */
  measureTransport(transport: Transport): Transport
}

export function etcdMetrics(options: { readonly environment?: Environment } = {}): EtcdMetrics {
  const { environment = systemEnvironment() } = options
  const registry = new Registry()
  const now = (): number => environment.now()
  const applied = seconds(
    registry,
    'coracle_raft_apply_duration_seconds',
    'From commit to applied.',
  )
  const counts = raftCounts(now, (took) => applied.observe(took))
  const times = storageTimes(registry)
  const traffic = peerTraffic(registry)
  raftEventMetrics(registry, counts)
  processMetrics(registry)
  return {
    registry,
    trace: counts.trace,
    measureStorage: (storage) => measuredStorage(storage, times, now),
    measureTransport: (transport) => measuredTransport(transport, traffic, now),
  }
}

/** From 1 ms to 8 s, as etcd has them. */
const BUCKETS: readonly number[] = Array.from({ length: 14 }, (_, i) => 0.001 * 2 ** i)
/** From 0.1 s to 51 s, for what takes its time. */
const SLOW_BUCKETS: readonly number[] = Array.from({ length: 10 }, (_, i) => 0.1 * 2 ** i)

function seconds(registry: Registry, name: string, help: string, buckets = BUCKETS): Histogram {
  return new Histogram({ name, help, buckets: [...buckets], registers: [registry] })
}

/**
 * One batch is one synced write, of the log and of all that etcd's backend would commit, so it counts
 * under both of etcd's names.
 */
function storageTimes(registry: Registry): StorageTimes {
  const histograms = [
    seconds(registry, 'etcd_disk_wal_fsync_duration_seconds', 'Synced writes of the log.'),
    seconds(registry, 'etcd_disk_backend_commit_duration_seconds', 'The same writes.'),
    seconds(registry, 'coracle_raft_append_duration_seconds', 'The same writes.'),
  ]
  const snapshots = seconds(
    registry,
    'etcd_snap_db_save_total_duration_seconds',
    'Snapshots written.',
    SLOW_BUCKETS,
  )
  let written = 0
  const bytes = { name: 'etcd_disk_wal_write_bytes_total', help: 'Bytes of entries written.' }
  gauge(registry, bytes, () => written)
  return {
    appended(took, size) {
      written += size
      for (const histogram of histograms) histogram.observe(took)
    },
    snapshotWritten: (took) => snapshots.observe(took),
  }
}
