/** What the store holds and what is done with it, under the names of etcd's storage. */
import type { KvStateMachine } from '@coracle/kv-state-machine'
import type { Registry } from 'prom-client'
import { counter, gauge } from './collect.ts'
import type { EventCounts } from './watch-metrics.ts'

type Numbers = readonly (readonly [name: string, help: string, read: () => number])[]

export function mvccMetrics(registry: Registry, store: KvStateMachine, events: EventCounts): void {
  contents(registry, store)
  const { counts } = store
  // etcd looks up what a key held before for every watcher that is to be told.
  const ranges = (): number => counts.ranges + events.previous
  const operations: Numbers = [
    ['put', 'Puts, also in transactions.', () => counts.puts],
    ['delete', 'Deletes, also in transactions.', () => counts.deletes],
    ['range', 'Ranges, and whatever else reads the store.', ranges],
    ['txn', 'What did more than one of these.', () => counts.txns],
  ]
  for (const prefix of ['etcd_mvcc', 'etcd_debugging_mvcc'])
    for (const [name, help, read] of operations)
      counter(registry, { name: `${prefix}_${name}_total`, help }, read)
  const compacted = {
    name: 'etcd_debugging_mvcc_db_compaction_keys_total',
    help: 'Changes that compaction took away.',
  }
  counter(registry, compacted, () => counts.compactedChanges)
}

function contents(registry: Registry, store: KvStateMachine): void {
  const { counts } = store
  const numbers: Numbers = [
    ['mvcc_db_total_size_in_bytes', 'What the store takes.', () => store.size],
    ['debugging_mvcc_db_total_size_in_bytes', 'The same.', () => store.size],
    ['mvcc_db_total_size_in_use_in_bytes', 'What can be read of it.', () => store.sizeInUse],
    ['mvcc_db_open_read_transactions', 'Snapshots being read.', () => counts.openSnapshots],
    ['debugging_mvcc_total_put_size_in_bytes', 'What was put.', () => counts.putBytes],
    ['debugging_mvcc_keys_total', 'Keys that exist.', () => store.keyCount],
    ['debugging_mvcc_current_revision', 'The revision.', () => store.revision],
    ['debugging_mvcc_compact_revision', 'The compacted one.', () => store.compactRevision],
  ]
  for (const [name, help, read] of numbers) gauge(registry, { name: `etcd_${name}`, help }, read)
}
