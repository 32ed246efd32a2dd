/** Snapshots on their way to a peer or from it, under etcd's names. */
import type { NodeId } from '@coracle/raft-core'
import type { Registry } from 'prom-client'
import { counters, type Description, gauges, type Sample } from './collect.ts'
import { histogram, LONG_SECONDS } from './histograms.ts'

export interface SnapshotTransfers {
  /** Carries out a transfer, and counts it under its peer. If it rejects, it has failed. */
  run(peer: NodeId, transfer: () => Promise<void>): Promise<void>
}

interface Transfers {
  inFlight: number
  succeeded: number
  failed: number
}

/** `now` is in milliseconds. A peer has values once there was something to count. */
export function snapshotTransfers(
  registry: Registry,
  direction: 'send' | 'receive',
  now: () => number,
): SnapshotTransfers {
  const label = direction === 'send' ? 'To' : 'From'
  const described = (name: string, help: string): Description => ({
    name: `etcd_network_snapshot_${direction}_${name}`,
    help,
    labels: [label],
  })
  const byPeer = new Map<NodeId, Transfers>()
  const read = (value: (transfers: Transfers) => number): Sample[] =>
    [...byPeer].map(([peer, transfers]) => [value(transfers), peer])
  const some = ([count]: Sample): boolean => count > 0
  const seconds = histogram(
    registry,
    described('total_duration_seconds', 'Those that succeeded.'),
    LONG_SECONDS,
  )
  gauges(registry, described('inflights_total', 'Snapshots on their way.'), () =>
    read(({ inFlight }) => inFlight),
  )
  counters(registry, described('success', 'Snapshots that arrived.'), () =>
    read(({ succeeded }) => succeeded).filter(some),
  )
  counters(registry, described('failures', 'Snapshots that did not.'), () =>
    read(({ failed }) => failed).filter(some),
  )
  return {
    async run(peer, transfer) {
      const transfers = byPeer.get(peer) ?? { inFlight: 0, succeeded: 0, failed: 0 }
      byPeer.set(peer, transfers)
      const begun = now()
      transfers.inFlight += 1
      try {
        await transfer()
        transfers.succeeded += 1
        seconds.observe({ [label]: peer }, (now() - begun) / 1_000)
      } catch (error) {
        transfers.failed += 1
        throw error
      } finally {
        transfers.inFlight -= 1
      }
    },
  }
}
