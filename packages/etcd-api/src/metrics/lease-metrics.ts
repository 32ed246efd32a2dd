/** What becomes of leases, counted as the log is applied, so that every member tells the same. */
import type { KvStateMachine } from '@coracle/kv-state-machine'
import type { Registry } from 'prom-client'
import type { LeaseService } from '../lease-service.ts'
import { counter } from './collect.ts'
import { doubling, histogram } from './histograms.ts'

/** Counts until the returned function is called. */
export function leaseMetrics(
  registry: Registry,
  stateMachine: KvStateMachine,
  service: Pick<LeaseService, 'expired'>,
): () => void {
  const counts = { granted: 0, renewed: 0, revoked: 0 }
  const ttl = { name: 'etcd_debugging_lease_ttl_total', help: 'Seconds that leases were granted.' }
  const ttls = histogram(registry, ttl, doubling(1, 24))
  let known = new Set(stateMachine.leases().map(({ id }) => id))
  const stop = stateMachine.followLeases({
    renewed(lease) {
      if (known.has(lease.id)) {
        counts.renewed += 1
        return
      }
      known.add(lease.id)
      counts.granted += 1
      ttls.observe(lease.ttl)
    },
    ended(id) {
      known.delete(id)
      counts.revoked += 1
    },
    checkpointed() {},
    restored() {
      known = new Set(stateMachine.leases().map(({ id }) => id))
    },
  })
  for (const name of ['granted', 'renewed', 'revoked'] as const)
    counter(
      registry,
      { name: `etcd_debugging_lease_${name}_total`, help: `Leases ${name}.` },
      () => counts[name],
    )
  const expired = {
    name: 'etcd_debugging_server_lease_expired_total',
    help: 'Leases that this member ended as the leader, for their time was over.',
  }
  counter(registry, expired, () => service.expired)
  return stop
}
