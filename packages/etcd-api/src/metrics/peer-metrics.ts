/** What goes to and comes from each peer, under etcd's names. */
import type { Registry } from 'prom-client'
import { counters, gauges, type Sample } from './collect.ts'
import { doubling, histogram } from './histograms.ts'
import { Link, type PeerTraffic } from './measured-transport.ts'
import { snapshotTransfers } from './snapshot-transfers.ts'

/** From 0.1 ms to 3 s, as etcd has them. */
const ROUND_TRIP_BUCKETS = doubling(1e-4, 16)

/** `now` is in milliseconds. */
export function peerTraffic(registry: Registry, now: () => number): PeerTraffic {
  const roundTrips = histogram(
    registry,
    {
      name: 'etcd_network_peer_round_trip_time_seconds',
      help: 'From a heartbeat to its answer.',
      labels: ['To'],
    },
    ROUND_TRIP_BUCKETS,
  )
  const links = new Map<string, Link>()
  const traffic: PeerTraffic = {
    link(peer) {
      const known = links.get(peer)
      if (known !== undefined) return known
      const link = new Link()
      links.set(peer, link)
      return link
    },
    roundTrip: (To, took) => roundTrips.observe({ To }, took),
    sentSnapshots: snapshotTransfers(registry, 'send', now),
    receivedSnapshots: snapshotTransfers(registry, 'receive', now),
  }
  const byPeer = (name: string, help: string, label: string, read: (link: Link) => number): void =>
    counters(registry, { name: `etcd_network_peer_${name}_total`, help, labels: [label] }, () =>
      [...links].map(([peer, link]): Sample => [read(link), peer]).filter(([count]) => count > 0),
    )
  byPeer('sent_bytes', 'Bytes sent, about.', 'To', ({ sentBytes }) => sentBytes)
  byPeer('received_bytes', 'Bytes received, about.', 'From', ({ receivedBytes }) => receivedBytes)
  byPeer('sent_failures', 'Times that messages were lost.', 'To', ({ failures }) => failures)
  byPeer('received_failures', 'Never counted: connections are the sender’s.', 'From', () => 0)
  const ends = ['Local', 'Remote']
  const active = { name: 'etcd_network_active_peers', help: 'Peers that are heard.', labels: ends }
  gauges(registry, active, () =>
    [...links]
      .filter(([, { local }]) => local !== null)
      .map(([peer, { local, isHeard }]): Sample => [Number(isHeard), local ?? '', peer]),
  )
  const lost = {
    name: 'etcd_network_disconnected_peers_total',
    help: 'Times that a peer was lost.',
  }
  counters(registry, { ...lost, labels: ends }, () =>
    [...links]
      .filter(([, { losses }]) => losses > 0)
      .map(([peer, { local, losses }]): Sample => [losses, local ?? '', peer]),
  )
  return traffic
}
