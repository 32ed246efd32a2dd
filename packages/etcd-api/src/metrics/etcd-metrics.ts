/** Prometheus metrics of one member, from the disk to its clients. */
import {
  type Environment,
  type Storage,
  systemEnvironment,
  type Trace,
  type Transport,
} from '@coracle/raft-core'
import { Registry } from 'prom-client'
import { applyTimes } from './apply-metrics.ts'
import { measuredStorage } from './measured-storage.ts'
import { measuredTransport } from './measured-transport.ts'
import { peerTraffic } from './peer-metrics.ts'
import { processMetrics } from './process-metrics.ts'
import { raftCounts, raftEventMetrics } from './raft-metrics.ts'
import { storageTimes } from './storage-metrics.ts'

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
  const counts = raftCounts(now, applyTimes(registry))
  const times = storageTimes(registry)
  const traffic = peerTraffic(registry, now)
  raftEventMetrics(registry, counts)
  processMetrics(registry)
  return {
    registry,
    trace: counts.trace,
    measureStorage: (storage) => measuredStorage(storage, times, now),
    measureTransport: (transport) => measuredTransport(transport, traffic, now),
  }
}
