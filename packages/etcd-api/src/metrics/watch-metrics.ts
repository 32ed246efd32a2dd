/** Who watches, and what they are told. */
import type { KvStateMachine } from '@coracle/kv-state-machine'
import type { Registry } from 'prom-client'
import { counter, gauge } from './collect.ts'

/** Whoever tells watchers of events adds to these. */
export interface EventCounts {
  /** Events that have left for their clients. */
  sent: number
  /** Events that wait until the connection takes them. */
  pending: number
  /** How often what a key had held before was to be told with an event. */
  previous: number
}

export function watchMetrics(registry: Registry, store: KvStateMachine): EventCounts {
  const events: EventCounts = { sent: 0, pending: 0, previous: 0 }
  const numbers: readonly [name: string, help: string, read: () => number][] = [
    ['watch_stream_total', 'Streams that are open.', () => store.watchCounts().streams],
    ['watcher_total', 'Watchers on them.', () => store.watchCounts().watchers],
    ['slow_watcher_total', 'Those that catch up.', () => store.watchCounts().behind],
    ['pending_events_total', 'Events that wait for their clients.', () => events.pending],
  ]
  for (const [name, help, read] of numbers)
    gauge(registry, { name: `etcd_debugging_mvcc_${name}`, help }, read)
  const sent = { name: 'etcd_debugging_mvcc_events_total', help: 'Events sent to clients.' }
  counter(registry, sent, () => events.sent)
  return events
}
