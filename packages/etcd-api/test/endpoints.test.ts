/** /version, /health, /livez and /readyz, and who may ask. */
import { connect } from 'node:net'
import { RaftError } from '@coracle/raft-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Harness, startHarness } from './harness.ts'
import { http, post } from './http-client.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHarness({
    listenMetrics: ['127.0.0.1:0'],
    limits: { requestTimeoutMs: 200 },
  })
})
afterAll(() => harness[Symbol.asyncDispose]())

const get = (path: string) => http(harness.address, path)

async function withoutLeader(body: () => Promise<void>): Promise<void> {
  const { leader } = harness.node.status()
  harness.node.changeStatus({ leader: null })
  harness.node.failWith(new RaftError('UNAVAILABLE', 'no majority'))
  try {
    await expect.poll(async () => (await get('/health')).status).toBe(503)
    await body()
  } finally {
    harness.node.release()
    harness.node.changeStatus({ leader })
  }
}

describe('/version', () => {
  test('is all numbers, because Patroni takes them apart', async () => {
    const answer = await get('/version')
    expect(answer.headers['content-type']).toBe('application/json')
    const versions = JSON.parse(answer.body) as Record<string, string>
    expect(versions).toEqual({ etcdserver: '3.6.14', etcdcluster: '3.6.0', storage: '3.6.0' })
  })

  test('is there to be got, not to be posted to', async () => {
    const answer = await http(harness.address, '/version', { method: 'POST' })
    expect(answer).toMatchObject({ status: 405, body: 'Method Not Allowed\n' })
    expect(answer.headers.allow).toBe('GET')
  })
})

describe('/health', () => {
  test('is well if a majority is', async () => {
    const answer = await get('/health')
    expect(answer).toMatchObject({ status: 200, body: '{"health":"true","reason":""}' })
  })

  test('is not without a leader, unless only this member is asked about', async () => {
    await withoutLeader(async () => {
      const answer = await get('/health')
      expect(answer.body).toBe('{"health":"false","reason":"RAFT NO LEADER"}')
      expect((await get('/health?serializable=true')).status).toBe(200)
    })
    await expect.poll(async () => (await get('/health')).status).toBe(200)
  })

  test('is not if nobody answers', async () => {
    harness.node.failWith(new RaftError('UNAVAILABLE', 'no majority'))
    const answer = await get('/health')
    harness.node.release()
    expect(answer.status).toBe(503)
    expect(answer.body).toBe(
      '{"health":"false","reason":"RANGE ERROR:etcdserver: request timed out"}',
    )
  })
})

describe('alarms', () => {
  const alarm = (action: string, type: string) =>
    post(harness.address, '/v3/maintenance/alarm', { action, memberID: '7', alarm: type })

  test('make /health say which, unless it is to look past them', async () => {
    await alarm('ACTIVATE', 'NOSPACE')
    expect(await get('/health')).toMatchObject({
      status: 503,
      body: '{"health":"false","reason":"ALARM NOSPACE"}',
    })
    expect((await get('/health?exclude=NOSPACE')).status).toBe(200)
    expect((await get('/readyz')).status).toBe(200)
    await alarm('DEACTIVATE', 'NOSPACE')
    expect((await get('/health')).status).toBe(200)
  })

  test('about data that differs make a member unready', async () => {
    await alarm('ACTIVATE', 'CORRUPT')
    expect((await get('/readyz')).body).toContain(
      '[-]data_corruption failed: alarm activated: CORRUPT\n',
    )
    expect((await get('/readyz?exclude=data_corruption')).status).toBe(200)
    await alarm('DEACTIVATE', 'CORRUPT')
    expect((await get('/readyz')).status).toBe(200)
  })
})

describe('/livez and /readyz', () => {
  test('say ok, and why if they are asked', async () => {
    expect(await get('/livez')).toMatchObject({ status: 200, body: 'ok\n' })
    expect(await get('/readyz')).toMatchObject({ status: 200, body: 'ok\n' })
    expect((await get('/readyz?verbose')).body).toBe(
      '[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n' +
        '[+]non_learner ok\nok\n',
    )
  })

  test('each check can be asked for, and each can be left out', async () => {
    await withoutLeader(async () => {
      expect((await get('/livez')).status).toBe(200)
      const ready = await get('/readyz')
      expect(ready.status).toBe(503)
      expect(ready.body).toContain('[-]linearizable_read failed: etcdserver: request timed out\n')
      expect((await get('/readyz?exclude=linearizable_read')).status).toBe(200)
      expect((await get('/readyz/serializable_read')).status).toBe(200)
      expect((await get('/readyz/linearizable_read')).status).toBe(503)
      expect((await get('/readyz?allowlist=non_learner')).status).toBe(200)
    })
    expect((await get('/livez/linearizable_read')).status).toBe(404)
  })

  test('a learner is alive, but not ready', async () => {
    const { membership, id } = harness.node.status()
    harness.node.changeStatus({
      term: 3,
      membership: { ...membership, voters: [], learners: [id] },
    })
    await expect.poll(async () => (await get('/readyz')).body).toContain('[-]non_learner failed')
    expect((await get('/livez')).status).toBe(200)
    harness.node.changeStatus({ term: 4, membership })
  })
})

describe('every answer', () => {
  test('of metrics has a head, which probes ask for; those about health have none, as in etcd', async () => {
    const head = (path: string) => http(harness.address, path, { method: 'HEAD' })
    const metrics = await head('/metrics')
    expect(metrics).toMatchObject({ status: 200, body: '' })
    expect(Number(metrics.headers['content-length'])).toBeGreaterThan(0)
    for (const path of ['/health', '/readyz', '/version'])
      expect((await head(path)).status).toBe(405)
  })

  test('to anything else is 404 in plain text', async () => {
    expect(await get('/')).toMatchObject({ status: 404, body: '404 page not found\n' })
    expect(await get('/v3')).toMatchObject({ status: 404, body: '404 page not found\n' })
    expect((await get('//')).status).toBe(404)
  })

  test('may be read by pages of any origin, who ask first', async () => {
    const answer = await http(harness.address, '/v3/kv/range', { method: 'OPTIONS' })
    expect(answer).toMatchObject({ status: 200, body: '' })
    expect(answer.headers).toMatchObject({
      'access-control-allow-headers': 'accept, content-type, authorization',
      'access-control-allow-methods': 'POST, GET, OPTIONS, PUT, DELETE',
      'access-control-allow-origin': '*',
    })
  })

  test('is for these origins and hosts only, if they are named', async () => {
    await using strict = await startHarness({
      corsOrigins: ['https://a.example'],
      hostWhitelist: ['127.0.0.1'],
    })
    const from = (headers: Record<string, string>) => http(strict.address, '/version', { headers })
    const allowed = await from({ origin: 'https://a.example' })
    expect(allowed.headers['access-control-allow-origin']).toBe('https://a.example')
    const other = await from({ origin: 'https://b.example' })
    expect(other.headers['access-control-allow-origin']).toBeUndefined()
    expect((await from({ host: 'rebound.example' })).status).toBe(421)
  })
})

describe('connections', () => {
  test('metrics and health have a port of their own, if one is named, and nothing else has', async () => {
    const address = harness.server.metricsAddresses[0] ?? ''
    expect((await http(address, '/health')).status).toBe(200)
    expect((await http(address, '/v3/kv/range', { body: '{}' })).status).toBe(404)
    const [host = '', port = ''] = address.split(':')
    const socket = connect(Number(port), host)
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x07\0\0\0\0\0')
    await new Promise((resolve) => socket.once('close', resolve).resume())
  })

  test('without the gateway there are no paths under /v3', async () => {
    await using bare = await startHarness({ jsonGateway: false })
    expect((await http(bare.address, '/v3/kv/range', { body: '{}' })).status).toBe(404)
    expect((await http(bare.address, '/version')).status).toBe(200)
  })

  test('that nobody uses do not keep a server from stopping', async () => {
    const stopping = await startHarness({ shutdownTimeoutMs: 60_000 })
    const [host = '', port = ''] = stopping.address.split(':')
    const socket = connect(Number(port), host)
    socket.write('GET /version HTTP/1.1\r\nHost: x\r\n\r\n')
    await new Promise((resolve) => socket.once('data', resolve))
    const closed = new Promise((resolve) => socket.once('close', resolve))
    await stopping[Symbol.asyncDispose]()
    await closed
  })
})
