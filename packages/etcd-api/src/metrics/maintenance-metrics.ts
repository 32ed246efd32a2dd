/** How long it takes what people ask of one member's store. */
import type { Registry } from 'prom-client'
import { gauge } from './collect.ts'
import { doubling, histogram } from './histograms.ts'

/** Begins to measure; what it gives is called at the end. */
type Clock = () => () => void

export interface MaintenanceTimes {
  readonly hash: Clock
  readonly hashOfRevision: Clock
  readonly defragment: Clock
  /** From a client's asking for a snapshot until it has all of it, or has gone. */
  readonly snapshot: Clock
}

/** `now` is in milliseconds. */
export function maintenanceMetrics(registry: Registry, now: () => number): MaintenanceTimes {
  let defragmenting = 0
  const inFlight = { name: 'etcd_disk_defrag_inflight', help: 'Whether it is defragmenting.' }
  gauge(registry, inFlight, () => defragmenting)
  const clock = (name: string, help: string, buckets: readonly number[]): Clock => {
    const seconds = histogram(registry, { name: `etcd_${name}_duration_seconds`, help }, buckets)
    return () => {
      const begun = now()
      return () => seconds.observe((now() - begun) / 1_000)
    }
  }
  const defragment = clock('disk_backend_defrag', 'Defragmenting.', doubling(0.1, 13))
  return {
    hash: clock('mvcc_hash', 'Hashing all of the store.', doubling(0.01, 15)),
    hashOfRevision: clock('mvcc_hash_rev', 'Hashing a revision.', doubling(0.01, 15)),
    defragment() {
      const stop = defragment()
      defragmenting += 1
      return () => {
        defragmenting -= 1
        stop()
      }
    },
    snapshot: clock('disk_backend_snapshot', 'Snapshots for clients.', doubling(0.01, 17)),
  }
}
