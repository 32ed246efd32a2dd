/** What is asked of etcd and of this server adds the same to the same numbers. */
import { expect, test, vi } from 'vitest'
import { startHarness, text } from './harness.ts'
import { post } from './http-client.ts'
import { isInstalled, startRealEtcd } from './real-etcd.ts'
import { type Samples, samplesAt } from './scrape.ts'

/** Those that tell what was asked, and not how long it took or how much room there is. */
const COUNTED = new RegExp(
  [
    '^etcd_(?:debugging_)?mvcc_(?:put|delete|range|txn)_total$',
    '^etcd_debugging_mvcc_(?:events_total|pending_events_total|total_put_size_in_bytes)$',
    '^etcd_debugging_mvcc_db_compaction_keys_total$',
    '^etcd_debugging_(?:server_)?lease_(?:granted|renewed|revoked|expired)_total$',
    '^etcd_debugging_lease_ttl_total_(?:sum|count)$',
    '^etcd_server_(?:client_requests_total|learner_promote_\\w+)(?:\\{|$)',
    '^etcd_(?:mvcc_hash|mvcc_hash_rev|disk_backend_defrag|disk_backend_snapshot)_duration_seconds_count$',
    '^grpc_server_started_total\\{grpc_method="(?:Txn|Lock|LeaseGrant)"',
  ].join('|'),
)

const [A, B, NONE] = ['YQ==', 'Yg==', 'bm9uZQ==']
const put = (key: string, more: object = {}): object => ({
  requestPut: { key, value: 'dmFsdWU=', ...more },
})
const range = { requestRange: { key: A } }
const exists = { key: A, target: 'VERSION', result: 'GREATER', version: 0 }
const isNew = { key: A, target: 'VERSION', result: 'EQUAL', version: 0 }

const REQUESTS: readonly (readonly [what: string, path: string, body: object])[] = [
  ['a put', 'kv/put', { key: A, value: 'dmFsdWU=' }],
  ['a put that answers with what was there', 'kv/put', { key: A, value: A, prev_kv: true }],
  ['a put that keeps the value', 'kv/put', { key: A, ignore_value: true }],
  ['a put that finds nothing to keep', 'kv/put', { key: NONE, ignore_value: true }],
  ['a put with a lease that is not there', 'kv/put', { key: A, lease: '77' }],
  ['a range', 'kv/range', { key: A }],
  ['a range on this member alone', 'kv/range', { key: A, serializable: true }],
  ['a range of the future', 'kv/range', { key: A, revision: '99' }],
  ['a delete', 'kv/deleterange', { key: NONE }],
  ['a delete that answers', 'kv/deleterange', { key: A, prev_kv: true }],
  ['a txn of one put', 'kv/txn', { success: [put(A)] }],
  ['a txn of two', 'kv/txn', { success: [put(A), put(B)] }],
  ['a txn of two ranges', 'kv/txn', { success: [range, range] }],
  ['a txn that compares', 'kv/txn', { compare: [exists], success: [put(A)] }],
  ['a txn that compares twice', 'kv/txn', { compare: [exists, exists], success: [put(A)] }],
  ['a txn whose first comparison fails', 'kv/txn', { compare: [isNew, exists] }],
  ['a txn that compares and reads', 'kv/txn', { compare: [exists], success: [range] }],
  ['a txn that keeps a value', 'kv/txn', { success: [put(A, { value: '', ignore_value: true })] }],
  [
    'a txn that finds one of two',
    'kv/txn',
    {
      success: [
        put(A, { value: '', ignore_value: true }),
        put(NONE, { value: '', ignore_value: true }),
      ],
    },
  ],
  [
    'a txn in a txn',
    'kv/txn',
    {
      compare: [exists],
      success: [put(A), { requestTxn: { compare: [exists], success: [put(B)] } }],
    },
  ],
  ['a compaction', 'kv/compaction', { revision: '6' }],
  ['the same compaction', 'kv/compaction', { revision: '6' }],
  ['one more', 'kv/compaction', { revision: '10' }],
  ['a lease', 'lease/grant', { ID: '7', TTL: '60' }],
  ['a key of it', 'kv/put', { key: A, lease: '7' }],
  ['another', 'kv/put', { key: B, lease: '7' }],
  ['a renewal', 'lease/keepalive', { ID: '7' }],
  ['its end', 'lease/revoke', { ID: '7' }],
  ['a hash', 'maintenance/hash', {}],
  ['a defragmentation', 'maintenance/defragment', {}],
  ['the promotion of nobody', 'cluster/member/promote', { ID: '77' }],
]

async function countsAt(address: string): Promise<Samples> {
  const samples = await samplesAt(address)
  return new Map([...samples].filter(([name]) => COUNTED.test(name)))
}

test.runIf(isInstalled('etcd'))(
  'the same requests count the same',
  async () => {
    await using ours = await startHarness()
    await using etcd = await startRealEtcd()
    const both = [ours, etcd] as const
    const before = await Promise.all(both.map(({ address }) => countsAt(address)))
    const growth = async (side: 0 | 1): Promise<Record<string, number>> => {
      const now = await countsAt(both[side].address)
      const grown = [...now].map(
        ([name, value]) => [name, value - (before[side]?.get(name) ?? 0)] as const,
      )
      return Object.fromEntries(grown.filter(([, by]) => by !== 0))
    }
    // etcd carries some of it out after it has answered.
    const agree = (what: string): Promise<void> =>
      vi.waitFor(async () => expect(await growth(0), what).toEqual(await growth(1)), 5_000)
    for (const [what, path, body] of REQUESTS) {
      for (const { address } of both) await post(address, `/v3/${path}`, body)
      await agree(what)
    }
    const metadata = { 'client-api-version': '3.5' }
    const streams = both.map(({ client }) => client.duplex('Watch/Watch', metadata))
    for (const stream of streams) {
      stream.send({ create_request: { key: text('a'), prev_kv: true } })
      await stream.next()
    }
    await agree('a watch of a client that says who it is')
    for (const [what, method, request] of [
      ['an event', 'KV/Put', { key: text('a') }],
      ['an event about what was there', 'KV/Put', { key: text('a') }],
      ['an event about what is gone', 'KV/DeleteRange', { key: text('a') }],
    ] as const) {
      for (const { client } of both) await client.call(method, request, { metadata })
      for (const stream of streams) await stream.next()
      await agree(what)
    }
    for (const stream of streams) stream[Symbol.dispose]()
    for (const { client } of both) await client.stream('Maintenance/Snapshot')
    await agree('a snapshot')
    for (const { client } of both) await client.call('Maintenance/HashKV')
    await agree('a hash of a revision')
    expect(Object.keys(await growth(0)).length).toBeGreaterThan(20)
  },
  60_000,
)
