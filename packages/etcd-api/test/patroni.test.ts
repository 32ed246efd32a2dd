/** What Patroni asks of etcd, in its own order and shapes: it lives on the gateway alone. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type EtcdServer, startServer } from '../src/index.ts'
import { base64, http, post, stream } from './http-client.ts'

let server: EtcdServer
let address: string
let token = ''
beforeAll(async () => {
  server = await startServer({ listen: ['127.0.0.1:0'] })
  address = server.addresses[0] ?? ''
})
afterAll(() => server[Symbol.asyncDispose]())

const ask = (path: string, body: object = {}) =>
  post(address, `/v3${path}`, body, token === '' ? {} : { authorization: token })

const LEADER = base64('/service/batman/leader')
const PREFIX = { key: base64('/service/batman/'), range_end: base64('/service/batman0') }

async function grant(): Promise<string> {
  const { json } = await ask('/lease/grant', { TTL: 30 })
  expect(json['TTL']).toBe('30')
  return json['ID'] as string
}

/** Takes the leader key if nobody has it. */
const acquire = (name: string, lease: string) =>
  ask('/kv/txn', {
    compare: [{ key: LEADER, target: 'CREATE', result: 'EQUAL', create_revision: '0' }],
    success: [{ request_put: { key: LEADER, value: base64(name), lease } }],
  })

describe('Patroni', () => {
  test('takes the version apart', async () => {
    const versions = JSON.parse((await http(address, '/version')).body) as Record<string, string>
    for (const name of ['etcdserver', 'etcdcluster'])
      expect(versions[name]?.split('.').map(Number).every(Number.isInteger)).toBe(true)
  })

  test('finds members where they can be dialled', async () => {
    const { json } = await ask('/cluster/member/list')
    expect(json['members']).toMatchObject([{ clientURLs: [`http://${address}`] }])
  })

  test('one becomes leader, another does not', async () => {
    const lease = await grant()
    expect((await acquire('a', lease)).json['succeeded']).toBe(true)
    const { status, json } = await acquire('b', await grant())
    expect(status).toBe(200)
    expect('succeeded' in json).toBe(false)
  })

  test('reads everything of its cluster at once', async () => {
    await ask('/kv/put', { key: base64('/service/batman/members/a'), value: base64('{}') })
    const { json } = await ask('/kv/range', { ...PREFIX, serializable: true })
    const kvs = json['kvs'] as {
      key: string
      value: string
      mod_revision: string
      lease?: string
    }[]
    expect(kvs.map(({ key }) => Buffer.from(key, 'base64').toString())).toEqual([
      '/service/batman/leader',
      '/service/batman/members/a',
    ])
    expect(kvs[0]?.lease).toMatch(/^\d+$/)
    expect('lease' in (kvs[1] ?? {})).toBe(false)
    expect(json['header']).toMatchObject({ raft_term: expect.stringMatching(/^\d+$/) })
  })

  test('the leader keeps its lease, and is told when it has lost it', async () => {
    const ID = await grant()
    const kept = await http(address, '/v3/lease/keepalive', { body: JSON.stringify({ ID }) })
    expect(JSON.parse(kept.body)).toMatchObject({ result: { ID, TTL: '30' } })
    await ask('/lease/revoke', { ID })
    const lost = await http(address, '/v3/lease/keepalive', { body: JSON.stringify({ ID }) })
    const { result } = JSON.parse(lost.body) as { result: object }
    expect('TTL' in result).toBe(false)
    expect(await ask('/lease/revoke', { ID })).toMatchObject({
      status: 404,
      json: { error: 'etcdserver: requested lease not found', code: 5 },
    })
  })

  test('watches line by line, from the revision that it has read', async () => {
    const { json } = await ask('/kv/range', PREFIX)
    const { revision } = json['header'] as { revision: string }
    const create_request = { ...PREFIX, start_revision: String(BigInt(revision) + 1n) }
    using watch = await stream(address, '/v3/watch', JSON.stringify({ create_request }))
    watch.endBody()
    expect(await watch.next()).toMatchObject({ result: { created: true } })
    const key = base64('/service/batman/failover')
    await ask('/kv/put', { key, value: base64('b') })
    expect(await watch.next()).toMatchObject({ result: { events: [{ kv: { key } }] } })
    await ask('/kv/deleterange', { key })
    expect(await watch.next()).toMatchObject({ result: { events: [{ type: 'DELETE' }] } })
  })

  test('changes a key only if it is as it was', async () => {
    const key = base64('/service/batman/config')
    const { json } = await ask('/kv/put', { key, value: base64('1') })
    const { revision } = json['header'] as { revision: string }
    const change = (mod_revision: string) =>
      ask('/kv/txn', {
        compare: [{ key, target: 'MOD', result: 'EQUAL', mod_revision }],
        success: [{ request_put: { key, value: base64('2') } }],
        failure: [{ request_range: { key } }],
      })
    expect((await change(revision)).json['succeeded']).toBe(true)
    const { json: refused } = await change(revision)
    expect(refused['responses']).toMatchObject([{ response_range: { kvs: [{ value: 'Mg==' }] } }])
  })

  test('deletes the leader key only if it is its own, whatever else there is', async () => {
    const { json } = await ask('/kv/txn', {
      compare: [{ key: LEADER, target: 'VALUE', result: 'EQUAL', value: base64('a') }],
      success: [{ request_delete_range: { key: LEADER } }],
      failure: [
        {
          request_txn: {
            compare: [{ key: LEADER, target: 'VERSION', result: 'GREATER', version: '0' }],
            success: [{ request_range: { key: LEADER } }],
          },
        },
      ],
    })
    expect(json).toMatchObject({
      succeeded: true,
      responses: [{ response_delete_range: { deleted: '1' } }],
    })
  })

  test('with users it brings a token, and knows the refusals by their texts', async () => {
    const refused = (path: string, body?: object) =>
      ask(path, body).then(({ json }) => [json['code'], json['error'], json['message']])
    const twice = (code: number, text: string): unknown[] => [code, text, text]
    const credentials = { name: 'root', password: 'pw' }
    expect(await refused('/auth/authenticate', credentials)).toEqual(
      twice(9, 'etcdserver: authentication is not enabled'),
    )
    await ask('/auth/user/add', credentials)
    await ask('/auth/role/add', { name: 'root' })
    await ask('/auth/user/grant', { user: 'root', role: 'root' })
    expect((await ask('/auth/enable')).status).toBe(200)
    expect(await refused('/kv/range', PREFIX)).toEqual(twice(3, 'etcdserver: user name is empty'))
    expect(await refused('/auth/authenticate', { ...credentials, password: 'no' })).toEqual(
      twice(3, 'etcdserver: authentication failed, invalid user ID or password'),
    )
    token = 'no.such'
    expect(await refused('/kv/range', PREFIX)).toEqual(twice(16, 'etcdserver: invalid auth token'))
    token = ''
    token = (await ask('/auth/authenticate', credentials)).json['token'] as string
    expect((await ask('/kv/range', PREFIX)).status).toBe(200)
    expect((await ask('/auth/disable')).status).toBe(200)
  })
})
