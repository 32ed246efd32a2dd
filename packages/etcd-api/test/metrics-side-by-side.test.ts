/** What has one of etcd's names is what etcd has under it, on machines that have etcd. */
import { expect, test } from 'vitest'
import { startHarness } from './harness.ts'
import { http, post } from './http-client.ts'
import { isInstalled, startRealEtcd } from './real-etcd.ts'

interface Metric {
  readonly type: string
  /** By their names, in no order. */
  readonly labels: Set<string>
  /** Upper bounds, of a histogram. */
  readonly bounds: Set<number>
}

/** By name. What has no value yet shows no labels. */
function metricsOf(body: string): ReadonlyMap<string, Metric> {
  const metrics = new Map<string, Metric>()
  for (const [, name = '', type = ''] of body.matchAll(/^# TYPE (\S+) (\S+)$/gm))
    metrics.set(name, { type, labels: new Set(), bounds: new Set() })
  for (const [, sample = '', labels = ''] of body.matchAll(/^(\w+)\{(.*)\} /gm)) {
    const metric = metrics.get(sample) ?? metrics.get(sample.replace(/_(bucket|sum|count)$/, ''))
    for (const [, label = '', value] of labels.matchAll(/(\w+)="(.*?)"/g)) {
      if (label !== 'le') metric?.labels.add(label)
      else if (value !== '+Inf') metric?.bounds.add(Number(Number(value).toPrecision(6)))
    }
  }
  return metrics
}

/** What has no meaning here: nobody proxies, and there is no Go, no bbolt, no v2 and no `.snap` file. */
const MEANINGLESS = new RegExp(
  [
    '^(?:go|promhttp|etcd_grpc_proxy|etcd_debugging_store)_',
    '^etcd_server_go_version$',
    '^etcd_debugging_disk_backend_commit_(?:rebalance|spill|write)_duration_seconds$',
    '^etcd_debugging_mvcc_(?:db|index)_compaction_(?:pause|total)_duration_milliseconds$',
    '^etcd_(?:debugging_snap_save_marshalling|snap_fsync|snap_db_fsync)_duration_seconds$',
  ].join('|'),
)

test.runIf(isInstalled('etcd'))(
  'types, labels and buckets are those of etcd',
  async () => {
    await using ours = await startHarness({ metricsDetail: 'extensive' })
    await using etcd = await startRealEtcd(['--metrics=extensive'])
    const scraped = async (address: string): Promise<ReadonlyMap<string, Metric>> => {
      await post(address, '/v3/kv/put', { key: 'YQ==' })
      return metricsOf((await http(address, '/metrics')).body)
    }
    const [own, theirs] = [await scraped(ours.address), await scraped(etcd.address)]
    const shared = [...own.keys()].filter((name) => theirs.has(name))
    expect(shared.length).toBeGreaterThan(70)
    const missing = [...theirs.keys()].filter((name) => !own.has(name))
    expect(missing.filter((name) => !MEANINGLESS.test(name))).toEqual([])
    for (const name of shared) {
      const [mine, its] = [own.get(name), theirs.get(name)]
      expect(mine?.type, name).toBe(its?.type)
      if (mine?.labels.size !== 0 && its?.labels.size !== 0)
        expect(mine?.labels, name).toEqual(its?.labels)
      if (mine?.bounds.size !== 0 && its?.bounds.size !== 0)
        expect(mine?.bounds, name).toEqual(its?.bounds)
    }
  },
  40_000,
)
