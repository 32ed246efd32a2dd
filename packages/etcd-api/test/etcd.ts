/** The same questions to etcd itself, for machines that have it: the answers are to be the same. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type EtcdServer, startServer } from '../src/index.ts'
import { base64, http, stream } from './http-client.ts'
import { type RealEtcd, startRealEtcd } from './real-etcd.ts'

const key = (name: string): { key: string } => ({ key: base64(name) })
const prefix = { key: base64('k'), range_end: base64('l') }

/** One after the other, each on what those before left. */
const QUESTIONS: readonly (readonly [path: string, body: object | string])[] = [
  ['/kv/put', { ...key('k1'), value: base64('one') }],
  ['/kv/put', { ...key('k2'), value: base64('two') }],
  ['/kv/put', { ...key('k1'), value: base64('uno'), prev_kv: true }],
  ['/kv/put', { ...key('k1'), ignore_value: true, prevKv: true }],
  ['/kv/put', {}],
  ['/kv/put', { ...key('absent'), ignore_value: true }],
  ['/kv/put', { ...key('k1'), value: 'QQ==', ignore_value: true }],
  ['/kv/put', { ...key('k1'), lease: '12345' }],
  ['/kv/range', key('k1')],
  ['/kv/range', key('absent')],
  ['/kv/range', { ...prefix, limit: '1' }],
  ['/kv/range', { ...prefix, sort_order: 'DESCEND', sort_target: 'VALUE' }],
  ['/kv/range', { ...prefix, sortOrder: 1, sortTarget: 3 }],
  ['/kv/range', { ...prefix, keys_only: true }],
  ['/kv/range', { ...prefix, count_only: true }],
  ['/kv/range', { ...prefix, revision: 3 }],
  ['/kv/range', { ...prefix, min_mod_revision: '4' }],
  ['/kv/range', { key: 'AA==', range_end: 'AA==', serializable: true }],
  ['/kv/range', { ...key('k1'), revision: '9999' }],
  ['/kv/range', {}],
  ['/kv/range', ''],
  ['/kv/range', '{"key":"azE="} trailing'],
  ['/kv/range', { ...key('k1'), unknown: { field: [1] } }],
  ['/kv/range', { ...key('k1'), limit: null }],
  ['/kv/deleterange', { ...key('absent') }],
  ['/kv/deleterange', { ...key('k2'), prev_kv: true }],
  [
    '/kv/txn',
    {
      compare: [
        { ...key('k1'), target: 'VERSION', result: 'GREATER', version: '1' },
        { ...key('k1'), target: 'VALUE', value: base64('uno') },
        { ...key('absent'), target: 'CREATE', create_revision: 0 },
        { ...key('k1'), target: 'LEASE', lease: '0' },
      ],
      success: [
        { request_put: { ...key('k3'), value: base64('3') } },
        { request_range: prefix },
        { request_txn: { success: [{ request_delete_range: key('k1') }] } },
      ],
    },
  ],
  [
    '/kv/txn',
    {
      compare: [{ ...key('k3'), target: 'MOD', result: 'NOT_EQUAL', mod_revision: '0' }],
      failure: [{ requestRange: key('k3') }],
    },
  ],
  ['/kv/txn', { compare: [{ ...key('k3'), target: 'MOD', mod_revision: '1' }] }],
  ['/kv/txn', { success: [{ request_put: key('d') }, { request_put: key('d') }] }],
  ['/kv/txn', { compare: [{ target: 'MOD' }] }],
  ['/kv/txn', { success: [{}] }],
  ['/kv/txn', {}],
  ['/lease/grant', { TTL: 600, ID: '7587870312421534466' }],
  ['/lease/grant', { TTL: 600, ID: 7_587_870 }],
  ['/lease/grant', { TTL: 600, ID: 7_587_870 }],
  ['/lease/grant', { TTL: '9000000001' }],
  ['/kv/put', { ...key('leased'), lease: '7587870312421534466' }],
  ['/kv/range', key('leased')],
  ['/lease/timetolive', { ID: '99' }],
  ['/kv/lease/timetolive', { ID: '99', keys: true }],
  ['/lease/keepalive', { ID: '7587870312421534466' }],
  ['/lease/keepalive', { ID: '99' }],
  ['/lease/leases', {}],
  ['/lease/revoke', { ID: '7587870312421534466' }],
  ['/lease/revoke', { ID: '7587870312421534466' }],
  ['/kv/lease/revoke', { ID: '7587870' }],
  ['/kv/compaction', { revision: '5' }],
  ['/kv/compaction', { revision: '5' }],
  ['/kv/compaction', { revision: '9999' }],
  ['/kv/range', { ...key('k1'), revision: '3' }],
  ['/auth/user/add', { name: 'ann', password: 'pw' }],
  ['/auth/user/add', { name: 'ann', password: 'pw' }],
  ['/auth/user/add', {}],
  ['/auth/role/add', { name: 'reader' }],
  ['/auth/role/grant', { name: 'reader', perm: { permType: 'READ', ...prefix } }],
  ['/auth/role/get', { role: 'reader' }],
  ['/auth/user/grant', { user: 'ann', role: 'reader' }],
  ['/auth/user/grant', { user: 'ann', role: 'nobody' }],
  ['/auth/user/get', { name: 'ann' }],
  ['/auth/user/list', {}],
  ['/auth/role/list', {}],
  ['/auth/user/revoke', { name: 'ann', role: 'reader' }],
  ['/auth/role/revoke', { role: 'reader', ...prefix }],
  ['/auth/role/delete', { role: 'reader' }],
  ['/auth/user/delete', { name: 'ann' }],
  ['/auth/authenticate', { name: 'root', password: 'pw' }],
  ['/auth/enable', {}],
  ['/cluster/member/list', {}],
  ['/cluster/member/remove', { ID: '99' }],
  ['/election/leader', { name: base64('e') }],
]

/** Requests that are none: etcd's words for them are those of its parser. */
const NONSENSE: readonly string[] = [
  '{"key":',
  '[]',
  '{"key":5}',
  '{"key":"*"}',
  '{"limit":"x"}',
  '{"limit":1.5}',
  '{"limit":9223372036854775808}',
  '{"sort_order":"UP"}',
  '{"serializable":"true"}',
  '{"serializable":1}',
]

export function etcdTests(): void {
  let etcd: RealEtcd
  let ours: EtcdServer
  let address: string
  beforeAll(async () => {
    etcd = await startRealEtcd()
    ours = await startServer({ listen: ['127.0.0.1:0'] })
    address = ours.addresses[0] ?? ''
  }, 40_000)
  afterAll(async () => {
    await ours[Symbol.asyncDispose]()
    await etcd[Symbol.asyncDispose]()
  })

  describe('etcd gives the same answers', () => {
    test.each(QUESTIONS.map(([path, body], i) => [i, path, body] as const))(
      '%i: %s %j',
      async (_, path, body) => {
        const text = typeof body === 'string' ? body : JSON.stringify(body)
        const [theirs, own] = await Promise.all(
          [etcd.address, address].map((to) => http(to, `/v3${path}`, { body: text })),
        )
        expect(comparable(own?.body)).toEqual(comparable(theirs?.body))
        expect(own?.headers['content-type']).toBe(theirs?.headers['content-type'])
        // etcd 3.4 had another status for preconditions that failed.
        if (theirs?.status !== 412) expect(own?.status).toBe(theirs?.status)
      },
    )

    test.each(NONSENSE)('%s is a bad request', async (body) => {
      const [theirs, own] = await Promise.all(
        [etcd.address, address].map((to) => http(to, '/v3/kv/range', { body })),
      )
      expect(own?.status).toBe(theirs?.status)
      for (const answer of [theirs, own])
        expect(JSON.parse(answer?.body ?? '')).toMatchObject({ code: 3 })
    })

    test('to a watch, line by line', async () => {
      const lines = async (to: string): Promise<unknown[]> => {
        const body = JSON.stringify({ create_request: { ...key('w'), prev_kv: true } })
        using watch = await stream(to, '/v3/watch', body)
        const seen = [await watch.next()]
        for (const [path, request] of [
          ['put', { ...key('w'), value: base64('1') }],
          ['put', { ...key('w'), value: base64('2') }],
          ['deleterange', key('w')],
        ] as const) {
          await http(to, `/v3/kv/${path}`, { body: JSON.stringify(request) })
          seen.push(await watch.next())
        }
        return seen.map((line) => comparable(JSON.stringify(line)))
      }
      expect(await lines(address)).toEqual(await lines(etcd.address))
    })

    test('about its version and health in the same shape', async () => {
      const keys = async (to: string, path: string): Promise<string[]> =>
        Object.keys(JSON.parse((await http(to, path)).body) as object)
      for (const path of ['/version', '/health'])
        expect(await keys(address, path)).toEqual(
          expect.arrayContaining(await keys(etcd.address, path)),
        )
    })

    test('to who asks for what is not there', async () => {
      for (const path of ['/', '/nowhere']) {
        const [theirs, own] = await Promise.all([etcd.address, address].map((to) => http(to, path)))
        expect([own?.status, own?.body]).toEqual([theirs?.status, theirs?.body])
      }
    })
  })
}

/** Without what differs from one cluster to the next. Which fields there are stays. */
function comparable(body: string | undefined): unknown {
  const lines = (body ?? '').trimEnd().split('\n')
  return lines.map(
    (line) =>
      JSON.parse(line, (name, value: unknown) => {
        if (['cluster_id', 'member_id', 'raft_term'].includes(name)) return typeof value
        if (['clientURLs', 'peerURLs'].includes(name)) return (value as string[]).length
        if (name === 'members') return (value as object[]).map((each) => ({ ...each, ID: 'any' }))
        return value
      }) as unknown,
  )
}
