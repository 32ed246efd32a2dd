/** How long writes to the disk take, and how much they write. */
import type { Histogram, Registry } from 'prom-client'
import { gauge } from './collect.ts'
import { histogram, LONG_SECONDS, SHORT_SECONDS } from './histograms.ts'
import type { StorageTimes } from './measured-storage.ts'

/**
 * One batch is one synced write, of the log and of all that etcd's backend would commit, so it counts
 * under both of etcd's names. So does a snapshot, which is etcd's `.snap` and its database in one.
 */
export function storageTimes(registry: Registry): StorageTimes {
  const seconds = (name: string, help: string, buckets = SHORT_SECONDS): Histogram =>
    histogram(registry, { name: `${name}_duration_seconds`, help }, buckets)
  const appends = [
    seconds('etcd_disk_wal_fsync', 'Synced writes of the log.'),
    seconds('etcd_disk_backend_commit', 'The same writes.'),
    seconds('coracle_raft_append', 'The same writes.'),
  ]
  const snapshots = [
    seconds('etcd_snap_db_save_total', 'Snapshots written.', LONG_SECONDS),
    seconds('etcd_debugging_snap_save_total', 'The same writes.'),
  ]
  let written = 0
  const bytes = { name: 'etcd_disk_wal_write_bytes_total', help: 'Bytes of entries written.' }
  gauge(registry, bytes, () => written)
  return {
    appended(took, size) {
      written += size
      for (const each of appends) each.observe(took)
    },
    snapshotWritten(took) {
      for (const each of snapshots) each.observe(took)
    },
  }
}
