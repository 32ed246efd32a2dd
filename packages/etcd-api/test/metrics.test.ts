/** Prometheus metrics: the official dashboard and alerts of etcd find what they ask for. */
import { bootstrapMembership, type Message, startNode, type Transport } from '@coracle/raft-core'
import { memoryStorage } from '@coracle/storage-memory'
import { memoryNetwork } from '@coracle/transport-memory'
import { kvStateMachine } from '@coracle/kv-state-machine'
import { existsSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { etcdMetrics, etcdServer, nodeIdOf } from '../src/index.ts'
import { CLUSTER_ID, type Harness, MEMBER_ID, startHarness, text } from './harness.ts'
import { http, post } from './http-client.ts'
import { stagedTime } from './staged-time.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHarness({ listenMetrics: ['127.0.0.1:0'] })
})
afterAll(() => harness[Symbol.asyncDispose]())

/** The queries of etcd's dashboard and alerts, without their windows and thresholds. */
const QUERIES = `
sum(etcd_server_has_leader{job="etcd"})
max(etcd_server_leader_changes_seen_total{job="etcd"})
sum by (instance) (etcd_server_has_leader{job="etcd"})
sum(rate(grpc_server_started_total{job="etcd",grpc_type="unary"}[5m]))
sum(rate(grpc_server_handled_total{job="etcd",grpc_type="unary",grpc_code=~"Unknown|FailedPrecondition|ResourceExhausted|Internal|Unavailable|DataLoss|DeadlineExceeded"}[5m]))
sum(grpc_server_started_total{grpc_service="etcdserverpb.Watch",grpc_type="bidi_stream"}) - sum(grpc_server_handled_total{grpc_service="etcdserverpb.Watch",grpc_type="bidi_stream"})
sum(grpc_server_started_total{grpc_service="etcdserverpb.Lease",grpc_type="bidi_stream"}) - sum(grpc_server_handled_total{grpc_service="etcdserverpb.Lease",grpc_type="bidi_stream"})
etcd_mvcc_db_total_size_in_bytes
etcd_mvcc_db_total_size_in_use_in_bytes / etcd_mvcc_db_total_size_in_bytes
etcd_mvcc_db_total_size_in_bytes / etcd_server_quota_backend_bytes
histogram_quantile(0.99, sum(rate(etcd_disk_wal_fsync_duration_seconds_bucket[5m])) by (instance, le))
histogram_quantile(0.99, sum(rate(etcd_disk_backend_commit_duration_seconds_bucket[5m])) by (instance, le))
process_resident_memory_bytes
rate(process_cpu_seconds_total[5m])
process_open_fds / process_max_fds
process_start_time_seconds
rate(etcd_network_client_grpc_received_bytes_total[5m])
rate(etcd_network_client_grpc_sent_bytes_total[5m])
sum(rate(etcd_network_peer_received_bytes_total[5m])) by (instance)
sum(rate(etcd_network_peer_sent_bytes_total[5m])) by (instance)
sum by (To) (rate(etcd_network_peer_sent_failures_total[5m]))
rate(etcd_network_peer_received_failures_total[5m])
histogram_quantile(0.99, sum(rate(etcd_network_peer_round_trip_time_seconds_bucket[5m])) by (instance, le))
sum(rate(etcd_server_proposals_failed_total[5m]))
sum(etcd_server_proposals_pending)
sum(rate(etcd_server_proposals_committed_total[5m]))
sum(rate(etcd_server_proposals_applied_total[5m]))
etcd_server_is_leader + etcd_server_is_learner
etcd_server_id{server_id="8e9e05c52164694d"}
etcd_debugging_mvcc_watcher_total + etcd_debugging_mvcc_watch_stream_total
etcd_debugging_mvcc_keys_total
`

async function scrape(address: string = harness.address): Promise<string> {
  const { status: code, headers, body } = await http(address, '/metrics')
  expect(code).toBe(200)
  expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8')
  return body
}

/** The value of the one sample with this name and these labels. */
async function valueOf(name: string, labels = '', address?: string): Promise<number> {
  const line = `${name}${labels === '' ? '' : `{${labels}}`} `
  const found = (await scrape(address)).split('\n').filter((each) => each.startsWith(line))
  expect(found, line).toHaveLength(1)
  return Number(found[0]?.slice(line.length))
}

const rpc = (service: string, method: string, type = 'unary'): string =>
  `grpc_type="${type}",grpc_service="etcdserverpb.${service}",grpc_method="${method}"`

describe('etcd’s dashboard and alerts', () => {
  test('ask for nothing that is not there', async () => {
    const body = await scrape()
    const asked = QUERIES.match(/\b(?:etcd|grpc|process)_[a-z_]+/g) ?? []
    const names = new Set(asked.filter((name) => !/^grpc_(type|service|method|code)$/.test(name)))
    expect(names.size).toBeGreaterThan(25)
    for (const name of names)
      expect(body, name).toContain(`# TYPE ${name.replace(/_bucket$/, '')} `)
  })

  test('find the same on the port for metrics', async () => {
    expect(await scrape(harness.server.metricsAddresses[0])).toContain('etcd_server_has_leader 1\n')
  })

  test('name codes as Go does', async () => {
    const body = await scrape()
    for (const code of ['OK', 'Canceled', 'DeadlineExceeded', 'Unauthenticated'])
      expect(body).toContain(`{${rpc('KV', 'Put')},grpc_code="${code}"}`)
  })
})

describe('calls are counted', () => {
  test('how many begin, how they end, and what they carry', async () => {
    const before = await valueOf('grpc_server_started_total', rpc('KV', 'Put'))
    const bytes = await valueOf('etcd_network_client_grpc_received_bytes_total')
    await harness.client.call('KV/Put', { key: text('a'), value: text('1') })
    await harness.client.call('KV/Put', {}).catch(() => {})
    expect(await valueOf('grpc_server_started_total', rpc('KV', 'Put'))).toBe(before + 2)
    const handled = (code: string): Promise<number> =>
      valueOf('grpc_server_handled_total', `${rpc('KV', 'Put')},grpc_code="${code}"`)
    expect(await handled('OK')).toBeGreaterThanOrEqual(1)
    expect(await handled('InvalidArgument')).toBe(1)
    expect(await valueOf('etcd_network_client_grpc_received_bytes_total')).toBe(bytes + 6)
    expect(await valueOf('etcd_network_client_grpc_sent_bytes_total')).toBeGreaterThan(0)
  })

  test('those over JSON as well, for they are the same calls', async () => {
    const range = rpc('KV', 'Range')
    const numbers = (): Promise<number[]> =>
      Promise.all([
        valueOf('grpc_server_msg_sent_total', range),
        valueOf('etcd_network_client_grpc_received_bytes_total'),
        valueOf('etcd_network_client_grpc_sent_bytes_total'),
      ])
    const [sent = 0, bytesIn = 0, bytesOut = 0] = await numbers()
    const body = '{"key":"YQ=="}'
    const answer = await http(harness.address, '/v3/kv/range', { body })
    expect(await numbers()).toEqual([
      sent + 1,
      bytesIn + body.length,
      bytesOut + answer.body.length,
    ])
  })

  test('the answers to who asks whether it is well', async () => {
    const answers = (): Promise<number[]> =>
      Promise.all([valueOf('etcd_server_health_success'), valueOf('etcd_server_health_failures')])
    const [well = 0, ill = 0] = await answers()
    await http(harness.address, '/health')
    await post(harness.address, '/v3/maintenance/alarm', { action: 1, memberID: '7', alarm: 2 })
    await http(harness.address, '/health')
    await http(harness.address, '/readyz')
    await post(harness.address, '/v3/maintenance/alarm', { action: 2, memberID: '7', alarm: 2 })
    expect(await answers()).toEqual([well + 1, ill + 1])
    const check = 'type="readyz",name="data_corruption"'
    expect(await valueOf('etcd_server_healthcheck', check)).toBe(0)
    expect(await valueOf('etcd_server_healthchecks_total', `${check},status="error"`)).toBe(1)
    await http(harness.address, '/readyz/data_corruption')
    expect(await valueOf('etcd_server_healthcheck', check)).toBe(1)
    expect(await valueOf('etcd_server_healthchecks_total', `${check},status="success"`)).toBe(1)
  })

  test('changes of users and roles, by their revision', async () => {
    const before = await valueOf('etcd_debugging_auth_revision')
    await harness.client.call('Auth/RoleAdd', { name: 'counted' })
    expect(await valueOf('etcd_debugging_auth_revision')).toBe(before + 1)
  })

  test('streams that are open have begun and not ended', async () => {
    const watch = rpc('Watch', 'Watch', 'bidi_stream')
    const stream = harness.client.duplex('Watch/Watch')
    stream.send({ create_request: { key: text('a') } })
    await stream.next()
    expect(await valueOf('grpc_server_started_total', watch)).toBe(1)
    expect(await valueOf('etcd_debugging_mvcc_watcher_total')).toBe(1)
    expect(await valueOf('grpc_server_handled_total', `${watch},grpc_code="Canceled"`)).toBe(0)
    stream[Symbol.dispose]()
    await expect
      .poll(() => valueOf('grpc_server_handled_total', `${watch},grpc_code="Canceled"`))
      .toBe(1)
    expect(await valueOf('etcd_debugging_mvcc_watch_stream_total')).toBe(0)
    expect(await valueOf('grpc_server_msg_received_total', watch)).toBe(1)
    expect(await valueOf('grpc_server_msg_sent_total', watch)).toBe(1)
  })

  test('proposals that wait, and those that fail', async () => {
    const failed = await valueOf('etcd_server_proposals_failed_total')
    harness.node.hold()
    const put = harness.client.call('KV/Put', { key: text('b') }).catch(() => {})
    await harness.node.holding(1)
    expect(await valueOf('etcd_server_proposals_pending')).toBe(1)
    harness.node.release(new Error('staged'))
    await put
    expect(await valueOf('etcd_server_proposals_pending')).toBe(0)
    expect(await valueOf('etcd_server_proposals_failed_total')).toBe(failed + 1)
  })

  test('leases, each time that something becomes of them', async () => {
    const [granted, renewed, revoked] = await leaseCounts()
    const { ID } = (await post(harness.address, '/v3/lease/grant', { TTL: 60 })).json
    await post(harness.address, '/v3/lease/keepalive', JSON.stringify({ ID }))
    await post(harness.address, '/v3/lease/revoke', { ID })
    expect(await leaseCounts()).toEqual([granted! + 1, renewed! + 1, revoked! + 1])
  })

  const leaseCounts = (): Promise<number[]> =>
    Promise.all(
      ['granted', 'renewed', 'revoked'].map((what) =>
        valueOf(`etcd_debugging_lease_${what}_total`),
      ),
    )

  test('an alarm is there as long as it is raised', async () => {
    const alarm = { action: 'ACTIVATE', memberID: '7', alarm: 'NOSPACE' }
    await post(harness.address, '/v3/maintenance/alarm', alarm)
    const labels = 'server_id="7",alarm_type="NOSPACE"'
    expect(await valueOf('etcd_debugging_server_alarms', labels)).toBe(1)
    await post(harness.address, '/v3/maintenance/alarm', { ...alarm, action: 'DEACTIVATE' })
    expect(await scrape()).not.toContain('etcd_debugging_server_alarms{')
  })
})

describe('how long calls take', () => {
  const HANDLING = 'grpc_server_handling_seconds'
  const range = rpc('KV', 'Range')
  const watch = rpc('Watch', 'Watch', 'bidi_stream')

  test('is not measured unless it is asked for', async () => {
    expect(await scrape()).not.toContain(HANDLING)
  })

  test('is told in the buckets of Go, for methods that nobody has called as well', async () => {
    await using extensive = await startHarness({ metricsDetail: 'extensive' })
    const body = await scrape(extensive.address)
    expect(body).toContain(`# TYPE ${HANDLING} histogram\n`)
    const bounds = [...body.matchAll(/_handling_seconds_bucket\{le="(.*?)",(.*?)\} 0\n/g)]
      .filter(([, , labels]) => labels === range)
      .map(([, bound]) => bound)
    const expected = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10].map(String)
    expect(bounds).toEqual([...expected, '+Inf'])
  })

  test('is from the beginning of a call to its end, however it ends', async () => {
    const environment = stagedTime()
    await using extensive = await startHarness({ metricsDetail: 'extensive', environment })
    const sumAndCount = (labels: string): Promise<number[]> =>
      Promise.all(
        ['sum', 'count'].map((part) => valueOf(`${HANDLING}_${part}`, labels, extensive.address)),
      )
    extensive.node.hold()
    const put = extensive.client.call('KV/Put', { key: text('a') })
    await extensive.node.holding(1)
    environment.advance(40)
    extensive.node.release()
    await put
    expect(await sumAndCount(rpc('KV', 'Put'))).toEqual([0.04, 1])
    await expect(extensive.client.call('KV/Range', {})).rejects.toThrow('key is not provided')
    expect(await sumAndCount(range)).toEqual([0, 1])
    const stream = extensive.client.duplex('Watch/Watch')
    stream.send({ create_request: { key: text('a') } })
    await stream.next()
    environment.advance(2_000)
    expect(await sumAndCount(watch)).toEqual([0, 0])
    stream[Symbol.dispose]()
    await expect.poll(() => sumAndCount(watch)).toEqual([2, 1])
    await extensive.client.stream('Maintenance/Snapshot')
    expect(await sumAndCount(rpc('Maintenance', 'Snapshot', 'server_stream'))).toEqual([0, 1])
  })
})

describe('a member that is measured', () => {
  test('tells of its disk and of Raft', async () => {
    const metrics = etcdMetrics()
    const stateMachine = kvStateMachine()
    const id = nodeIdOf(MEMBER_ID)
    await using node = await startNode({
      id,
      membership: bootstrapMembership([{ id, address: '' }]),
      storage: metrics.measureStorage(memoryStorage()),
      transport: metrics.measureTransport(memoryNetwork().transport(id)),
      stateMachine,
      trace: metrics.trace,
    })
    await using server = await etcdServer({
      node,
      stateMachine,
      metrics,
      cluster: { id: CLUSTER_ID },
      member: { id: MEMBER_ID },
      listen: ['127.0.0.1:0'],
    })
    const [address = ''] = server.addresses
    await post(address, '/v3/kv/put', { key: 'YQ==', value: 'YQ==' })
    const body = await scrape(address)
    expect(body).toContain('coracle_raft_role{role="leader"} 1\n')
    expect(body).toMatch(/coracle_raft_elections_total [1-9]/)
    for (const histogram of [
      'etcd_disk_wal_fsync_duration_seconds',
      'etcd_disk_backend_commit_duration_seconds',
      'coracle_raft_append_duration_seconds',
      'coracle_raft_apply_duration_seconds',
    ])
      expect(await valueOf(`${histogram}_count`, '', address)).toBeGreaterThan(0)
    const { commitIndex, term } = node.status()
    expect(await valueOf('coracle_raft_commit_index', '', address)).toBe(commitIndex)
    expect(await valueOf('coracle_raft_term', '', address)).toBe(term)
    expect(await valueOf('etcd_disk_wal_write_bytes_total', '', address)).toBeGreaterThan(0)
  })

  test('knows the other members', async () => {
    const { membership, id } = harness.node.status()
    const peers = [...membership.peers, { id: '7', address: '' }]
    harness.node.changeStatus({ membership: { ...membership, peers } })
    const others = (await scrape()).match(/^etcd_network_known_peers\{.*/gm)
    harness.node.changeStatus({ membership })
    expect(others).toEqual([`etcd_network_known_peers{Local="${id}",Remote="7"} 1`])
  })

  test.runIf(existsSync('/proc/self/stat'))('tells of its addresses', async () => {
    const [used, most, resident] = await Promise.all([
      valueOf('process_virtual_memory_bytes'),
      valueOf('process_virtual_memory_max_bytes'),
      valueOf('process_resident_memory_bytes'),
    ])
    expect(used).toBeGreaterThan(resident)
    expect(most).toBeGreaterThanOrEqual(used)
    expect(used % 4096).toBe(0)
  })

  test('has etcd’s buckets for what takes its time', async () => {
    const buckets = await etcdMetrics().registry.metrics()
    const bounds = buckets.matchAll(
      /^etcd_snap_db_save_total_duration_seconds_bucket\{le="(.*?)"/gm,
    )
    const expected = Array.from({ length: 10 }, (_, i) => String(0.1 * 2 ** i))
    expect([...bounds].map(([, bound]) => bound)).toEqual([...expected, '+Inf'])
  })

  test('counts what goes to each peer, and times heartbeats', async () => {
    const metrics = etcdMetrics()
    const header = { from: 'b', to: 'a', term: 1 }
    const started: Parameters<Transport['start']>[0][] = []
    const silent: Transport = {
      async start(handlers) {
        started.push(handlers)
      },
      setPeers() {},
      send() {},
      async sendSnapshot() {},
      async [Symbol.asyncDispose]() {},
    }
    const transport = metrics.measureTransport(silent)
    const delivered: Message[] = []
    await transport.start({
      onMessage: (message) => delivered.push(message),
      onUnreachable() {},
      async onSnapshot() {},
    })
    transport.send({
      ...header,
      type: 'heartbeat',
      from: 'a',
      to: 'b',
      commitIndex: 0,
      round: 1,
      address: '',
    })
    transport.send({
      ...header,
      type: 'propose',
      from: 'a',
      to: 'b',
      id: 1,
      commands: [text('x'.repeat(100))],
    })
    started[0]?.onMessage({ ...header, type: 'heartbeat-reply', round: 1, promiseMs: 0 })
    started[0]?.onMessage({ ...header, type: 'heartbeat-reply', round: 1, promiseMs: 0 })
    expect(await metrics.registry.metrics()).toContain(
      'etcd_network_active_peers{Local="a",Remote="b"} 1\n',
    )
    started[0]?.onUnreachable('b')
    expect(delivered).toHaveLength(2)
    const body = await metrics.registry.metrics()
    expect(body).toContain('etcd_network_active_peers{Local="a",Remote="b"} 0\n')
    expect(body).toContain('etcd_network_disconnected_peers_total{Local="a",Remote="b"} 1\n')
    expect(body).toMatch(/etcd_network_peer_sent_bytes_total\{To="b"\} 196\n/)
    expect(body).toMatch(/etcd_network_peer_received_bytes_total\{From="b"\} 96\n/)
    expect(body).toMatch(/etcd_network_peer_sent_failures_total\{To="b"\} 1\n/)
    expect(body).toMatch(/etcd_network_peer_round_trip_time_seconds_count\{To="b"\} 1\n/)
  })

  test('has metrics of its own: two cannot share them', async () => {
    const metrics = etcdMetrics()
    await using first = await startHarness({ metrics })
    await expect(startHarness({ metrics })).rejects.toThrow('already been registered')
    expect(await scrape(first.address)).toContain('etcd_server_has_leader 1')
  })
})
