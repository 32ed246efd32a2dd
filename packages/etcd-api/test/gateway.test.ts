/** etcd's JSON gateway, asked as curl would ask it. */
import { EventEmitter } from 'node:events'
import { connect } from 'node:net'
import { PassThrough } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Exchange, HttpDuplexCall } from '../src/gateway/http-call.ts'
import { messageTooLarge } from '../src/gateway/http-errors.ts'
import type { JsonCodec } from '../src/gateway/json-codec.ts'
import { gatewayPaths } from '../src/gateway/paths.ts'
import { allMethods } from '../src/schema.ts'
import { etcdTests } from './etcd.ts'
import { type Harness, startHarness } from './harness.ts'
import { base64, http, post, stream } from './http-client.ts'
import { isInstalled } from './real-etcd.ts'

const FOO = base64('foo')
const BAR = base64('bar')
const IDS = { cluster_id: '14841639068965178418', member_id: '10276657743932975437' }

let harness: Harness
beforeAll(async () => {
  harness = await startHarness()
})
afterAll(() => harness[Symbol.asyncDispose]())

const header = (more: object = {}): object => ({
  ...IDS,
  revision: String(harness.stateMachine.revision),
  raft_term: '2',
  ...more,
})
const ask = (path: string, body?: object | string, headers?: Record<string, string>) =>
  post(harness.address, path, body, headers)

describe('a call is a POST of JSON', () => {
  test('a put answers with a header, its numbers as strings', async () => {
    const { status, json } = await ask('/v3/kv/put', { key: FOO, value: BAR })
    expect(status).toBe(200)
    expect(json).toEqual({ header: header() })
  })

  test('a range answers with base64, and leaves zeros out', async () => {
    await ask('/v3/kv/put', { key: base64('r'), value: BAR })
    const revision = String(harness.stateMachine.revision)
    const { json } = await ask('/v3/kv/range', { key: base64('r') })
    const kv = { key: base64('r'), create_revision: revision, mod_revision: revision }
    expect(json).toEqual({
      header: header(),
      kvs: [{ ...kv, version: '1', value: BAR }],
      count: '1',
    })
    expect((await ask('/v3/kv/range', { key: base64('absent') })).json).toEqual({
      header: header(),
    })
  })

  test('a transaction takes names in either spelling, enums by name or number', async () => {
    const key = base64('txn')
    const put = { requestPut: { key, value: BAR } }
    const compare = { target: 'CREATE', result: 0, key, createRevision: '0' }
    const first = await ask('/v3/kv/txn', { compare: [compare], success: [put] })
    const inner = { header: { revision: String(harness.stateMachine.revision) } }
    expect(first.json).toEqual({
      header: header(),
      succeeded: true,
      responses: [{ response_put: inner }],
    })
    const again = { ...compare, target: 1, create_revision: 0, createRevision: undefined }
    const failure = [{ request_range: { key } }]
    const second = await ask('/v3/kv/txn', { compare: [again], success: [put], failure })
    expect(second.json['succeeded']).toBeUndefined()
    expect(second.json['responses']).toMatchObject([{ response_range: { count: '1' } }])
  })

  test('what else it says about itself is what grpc-gateway says', async () => {
    const answer = await http(harness.address, '/v3/kv/range', {
      body: JSON.stringify({ key: FOO }),
    })
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json',
      'grpc-metadata-content-type': 'application/grpc',
    })
  })

  test('an empty body is an empty message, and what follows the first value is ignored', async () => {
    expect((await ask('/v3/cluster/member/list', '')).status).toBe(200)
    expect((await ask('/v3/kv/range', `{"key":"${FOO}"} and so on {`)).status).toBe(200)
    expect((await ask('/v3/kv/range', `{"key":"${FOO}","no such field":[{}]}`)).status).toBe(200)
  })

  test('a lease keeps all of its digits, as a number too', async () => {
    const ID = '7587870312421534466'
    const granted = await ask('/v3/lease/grant', `{"TTL":30,"ID":${ID}}`)
    expect(granted.json).toEqual({ header: header(), ID, TTL: '30' })
    expect((await ask('/v3/kv/put', { key: base64('l'), lease: ID })).status).toBe(200)
    const lives = await ask('/v3/kv/lease/timetolive', { ID, keys: true })
    expect(lives.json).toMatchObject({ ID, grantedTTL: '30', keys: [base64('l')] })
    expect((await ask('/v3/lease/revoke', { ID })).status).toBe(200)
  })

  test('paths of etcd 3.3 are found as well', async () => {
    expect((await ask('/v3beta/kv/range', { key: FOO })).status).toBe(200)
  })
})

describe('a refusal is a status and JSON for clients of any age', () => {
  test.each([
    ['/v3/lease/revoke', { ID: '99' }, 404, 5, 'etcdserver: requested lease not found'],
    ['/v3/kv/range', {}, 400, 3, 'etcdserver: key is not provided'],
    [
      '/v3/kv/range',
      { key: FOO, revision: '999' },
      400,
      11,
      'etcdserver: mvcc: required revision is a future revision',
    ],
    ['/v3/kv/range', '{"key":', 400, 3, 'unexpected EOF'],
    ['/v3/kv/range', 'x', 400, 3, 'invalid JSON'],
    ['/v3/kv/range', '[]', 400, 3, 'RangeRequest must be an object, not a list'],
    ['/v3/kv/range', { key: 5 }, 400, 3, 'key: must be base64, not number'],
    ['/v3/kv/range', { key: 'Zm9vY' }, 400, 3, 'key: is not base64'],
    ['/v3/kv/range', { limit: 'x' }, 400, 3, 'limit: must be an integer, not string'],
    ['/v3/kv/range', { serializable: 'true' }, 400, 3, 'serializable: must be a bool, not string'],
    [
      '/v3/kv/range',
      { sort_order: 'X' },
      400,
      3,
      'sort_order: SortOrder has no value of that name',
    ],
    ['/v3/nowhere', {}, 404, 5, 'Not Found'],
  ])('%s %j: %d', async (path, body, status, code, message) => {
    expect(await ask(path, body)).toEqual({ status, json: { error: message, code, message } })
  })

  test('any other verb is not implemented', async () => {
    const answer = await http(harness.address, '/v3/kv/range')
    expect(answer.status).toBe(501)
    expect(JSON.parse(answer.body)).toMatchObject({ code: 12, message: 'Method Not Allowed' })
  })

  test('a body beyond the limit is refused, by etcd or by what would carry it to etcd', async () => {
    const key = 'A'.repeat(5 << 20)
    for (const [path, body] of [
      ['/v3/kv/put', { key: FOO, value: key }],
      ['/v3/kv/range', { key, serializable: true }],
    ] as const) {
      const { status, json } = await ask(path, body)
      expect(status).toBe(429)
      expect(json).toMatchObject({
        code: 8,
        message: expect.stringMatching(
          /^grpc: received message larger than max \(\d+ vs. 2097152\)$/,
        ),
      })
    }
    const bytes = 9 << 18
    const carried = await ask('/v3/kv/put', { key: FOO, value: 'A'.repeat((bytes / 3) * 4) })
    const length = bytes + '..foo.....'.length
    expect(carried.status).toBe(429)
    expect(carried.json).toMatchObject({
      message: `grpc: received message larger than max (${length} vs. 2097152)`,
    })
    const large = await ask('/v3/kv/put', { key: FOO, value: 'A'.repeat(2.5 * 2 ** 20) })
    expect(large.status).toBe(400)
    expect(large.json).toMatchObject({ code: 3, message: 'etcdserver: request is too large' })
  })

  test('a client that has no more time is told so', async () => {
    harness.node.hold()
    const answer = await ask('/v3/kv/put', { key: FOO }, { 'grpc-timeout': '20m' })
    harness.node.release()
    expect(answer).toMatchObject({ status: 504, json: { code: 4 } })
  })

  test('and a time that is none is refused', async () => {
    const answer = await ask('/v3/kv/range', { key: FOO }, { 'grpc-timeout': '1x' })
    expect(answer).toMatchObject({
      status: 400,
      json: { code: 3, message: 'invalid grpc-timeout: 1x' },
    })
  })

  test('without a leader, requests that need one are refused at once', async () => {
    const leader = harness.node.status().leader
    harness.node.changeStatus({ leader: null })
    await expect
      .poll(() => ask('/v3/kv/range', { key: FOO }, { 'Grpc-Metadata-hasleader': 'true' }))
      .toMatchObject({ status: 503, json: { code: 14, message: 'etcdserver: no leader' } })
    harness.node.changeStatus({ leader })
  })
})

describe('streams are lines', () => {
  test('a watch tells what happened and what happens, and outlives its body', async () => {
    const key = base64('w')
    await ask('/v3/kv/put', { key, value: BAR })
    const start_revision = String(harness.stateMachine.revision)
    using watch = await stream(
      harness.address,
      '/v3/watch',
      JSON.stringify({ create_request: { key, start_revision } }),
    )
    expect(watch.status).toBe(200)
    watch.endBody()
    expect(await watch.next()).toEqual({ result: { header: header(), created: true } })
    expect(await watch.next()).toMatchObject({ result: { events: [{ kv: { key, value: BAR } }] } })
    await ask('/v3/kv/deleterange', { key })
    expect(await watch.next()).toMatchObject({
      result: { events: [{ type: 'DELETE', kv: { key } }] },
    })
  })

  test('one body may hold several requests', async () => {
    const create = (key: string): string => JSON.stringify({ create_request: { key: base64(key) } })
    using watch = await stream(harness.address, '/v3/watch', create('w1'))
    expect(await watch.next()).toMatchObject({ result: { created: true } })
    watch.send(create('w2').slice(0, 20))
    watch.send(create('w2').slice(20))
    expect(await watch.next()).toMatchObject({ result: { created: true, watch_id: '1' } })
    watch.send(JSON.stringify({ cancel_request: { watch_id: 1 } }))
    expect(await watch.next()).toMatchObject({ result: { canceled: true, watch_id: '1' } })
  })

  test('a keep-alive answers each request and ends', async () => {
    const { json } = await ask('/v3/lease/grant', { TTL: 30 })
    const ID = json['ID'] as string
    const body = `{"ID":"${ID}"}{"ID":99}`
    const answer = await http(harness.address, '/v3/lease/keepalive', { body })
    const lines = answer.body.trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      { result: { header: header(), ID, TTL: '30' } },
      { result: { header: header(), ID: '99' } },
    ])
  })

  test('a range comes in pieces if that is asked for', async () => {
    const answer = await http(harness.address, '/v3/kv/rangestream', {
      body: JSON.stringify({ key: 'AA==', range_end: 'AA==' }),
    })
    const last = JSON.parse(answer.body.trimEnd().split('\n').at(-1) ?? '') as object
    expect(last).toMatchObject({ result: { range_response: { header: header() } } })
  })

  test('an error before the first line is an answer like any other', async () => {
    expect(await ask('/v3/lease/keepalive', 'x{')).toMatchObject({ status: 400, json: { code: 3 } })
    expect(await ask('/v3/kv/rangestream', { key: FOO, sort_order: 'DESCEND' })).toMatchObject({
      status: 501,
      json: { code: 12 },
    })
  })

  test('an error after it is a last line', async () => {
    using watch = await stream(harness.address, '/v3/watch', `{"create_request":{"key":"${FOO}"}}`)
    await watch.next()
    watch.send('{"create_request":7}')
    expect(await watch.next()).toMatchObject({
      error: { code: 3, grpc_code: 3, http_code: 400, http_status: 'Bad Request' },
    })
    await expect(watch.next()).rejects.toThrow('ended')
  })

  test('a client that leaves takes its watchers along', async () => {
    const watch = await stream(harness.address, '/v3/watch', `{"create_request":{"key":"${FOO}"}}`)
    await watch.next()
    watch[Symbol.dispose]()
    await harness.server[Symbol.asyncDispose]()
    harness = await startHarness()
  })
})

describe('nothing that a client sends takes the server down', () => {
  const hostile: readonly string[] = [
    'POST /v3/kv/range HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999999\r\n\r\n{',
    'POST /v3/kv/range HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
    'POST /v3/watch HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{{{{{\r\n',
    'GET http://[::1/v3/kv/range HTTP/1.1\r\nHost: [\r\n\r\n',
    'GET /%ZZ/..//v3?exclude=%ff HTTP/1.1\r\nHost: \r\n\r\n',
    'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n',
    'CONNECT example:443 HTTP/1.1\r\nHost: x\r\n\r\n',
    'GET /v3/watch HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
    `GET /${'a'.repeat(100_000)} HTTP/1.1\r\n`,
    'P',
    '\0\x16\x03\x01',
    'POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nGrpc-Timeout: 99999999H\r\nContent-Length: 2\r\n\r\n{}',
  ]

  test.each(hostile.map((bytes) => [bytes.slice(0, 60), bytes]))('%s', async (_, bytes) => {
    const [host = '', port = ''] = harness.address.split(':')
    const socket = connect(Number(port), host)
    socket.on('error', () => {}).resume()
    socket.write(bytes, 'latin1')
    // It is not waited for: others are answered whatever becomes of it.
    expect((await ask('/v3/kv/range', { key: FOO })).status).toBe(200)
    socket.destroy()
    expect((await ask('/v3/kv/range', { key: FOO })).status).toBe(200)
  })

  test('clients that leave in the middle leave nothing behind', async () => {
    for (let i = 0; i < 20; i++) {
      const watch = await stream(
        harness.address,
        '/v3/watch',
        `{"create_request":{"key":"${FOO}"}}`,
      )
      await watch.next()
      watch.send('{"create_request":{"ke')
      watch[Symbol.dispose]()
    }
    await expect.poll(() => harness.stateMachine.watchCounts().streams).toBe(0)
  })

  test('a client that does not read costs no more than the limit', async () => {
    await using small = await startHarness({ limits: { maxWatchQueueBytes: 10_000 } })
    const [host = '', port = ''] = small.address.split(':')
    const socket = connect(Number(port), host)
    const body = `{"create_request":{"key":"${FOO}"}}`
    socket.write(
      `POST /v3/watch HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
    await new Promise((resolve) => socket.once('data', resolve))
    socket.pause()
    const value = 'A'.repeat(100_000)
    for (let i = 0; i < 200; i++) await post(small.address, '/v3/kv/put', { key: FOO, value })
    expect(small.stateMachine.watchCounts().behind).toBe(1)
    socket.destroy()
    await expect.poll(() => small.stateMachine.watchCounts().streams).toBe(0)
  })
})

test('a stream that the server pauses takes no more of its body', () => {
  const request = new PassThrough()
  const response = new EventEmitter()
  const exchange = { request, response } as unknown as Exchange
  const codec: JsonCodec = {
    maxTextBytes: 100,
    tooLarge: (bytes) => messageTooLarge(bytes, 100),
    decode: (text) => ({ text }),
    encode: () => '',
  }
  const call = new HttpDuplexCall(exchange, codec)
  const taken: object[] = []
  call.receive({ message: (message) => taken.push(message), end() {} })
  call.pause()
  expect(request.isPaused()).toBe(true)
  call.resume()
  expect(request.isPaused()).toBe(false)
})

describe('every method of etcd has a path', () => {
  const etcd = allMethods().filter(({ service }) => !service.startsWith('grpc.'))
  const paths = gatewayPaths()

  test('and no path leads nowhere', () => {
    const methods = etcd.map(({ service, method }) => `/${service}/${method}`)
    expect([...new Set(paths.values())].sort()).toEqual(methods.sort())
  })

  test.each([...paths.keys()].filter((path) => !/watch|observe|lock|campaign/.test(path)))(
    '%s answers JSON',
    async (path) => {
      const answer = await http(harness.address, path, { body: '{}' })
      expect(answer.headers['content-type']).toBe('application/json')
      for (const line of answer.body
        .trimEnd()
        .split('\n')
        .filter((each) => each !== ''))
        expect(() => JSON.parse(line) as unknown).not.toThrow()
    },
  )
})

if (isInstalled('etcd')) etcdTests()
