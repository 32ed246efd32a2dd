import { generateKeyPairSync } from 'node:crypto'
import { Etcd3, EtcdPermissionDeniedError, EtcdAuthenticationFailedError } from 'etcd3'
import { afterEach, describe, expect, test } from 'vitest'
import { enable, FAST, outcomeOf, tokenOf } from './guarded.ts'
import { type RawClient, text } from './harness.ts'
import { type RealCluster, startRealCluster, until } from './real-cluster.ts'

const BAD_TOKEN = { code: 16, details: 'etcdserver: invalid auth token' }
const DENIED = { code: 7, details: 'etcdserver: permission denied' }
const key = text('k1')

let cluster: RealCluster

afterEach(() => cluster[Symbol.asyncDispose]())

async function start(options: Parameters<typeof startRealCluster>[0] = {}): Promise<void> {
  cluster = await startRealCluster({ auth: FAST, ...options })
  await enable(cluster.followers[0]!.client)
}

const put = (client: RawClient, token: string): Promise<unknown> =>
  client.call('KV/Put', { key }, { metadata: { token } })

async function manage(client: RawClient, method: string, request: object = {}): Promise<unknown> {
  const metadata = { token: await tokenOf(client, 'root') }
  return client.call(method, request, { metadata })
}

describe('members of a cluster', () => {
  test('all know a token that one of them gave out, at once', async () => {
    await start()
    for (const giver of cluster.members) {
      const token = await tokenOf(giver.client, 'ann')
      for (const { client } of cluster.members)
        expect(await outcomeOf(put(client, token))).toBe('answered')
    }
  })

  test('one that is behind waits until it knows the token, instead of refusing it', async () => {
    await start()
    const [behind, other] = cluster.followers
    // Entries come late to one member, and it does not know of what the others do.
    const stop = cluster.network.intercept((message) =>
      message.to === behind!.id && message.type === 'append-entries' ? null : message,
    )
    const token = await tokenOf(other!.client, 'ann')
    const asked = outcomeOf(put(behind!.client, token))
    stop()
    expect(await asked).toBe('answered')
  })

  test('what one was told of a change, holds at all others', async () => {
    await start()
    const token = await tokenOf(cluster.leader.client, 'ann')
    for (const [at, { client }] of cluster.members.entries()) {
      const next = cluster.members[(at + 1) % 3]!.client
      await manage(client, 'Auth/UserRevokeRole', { name: 'ann', role: 'ann' })
      expect(await outcomeOf(put(next, token))).toEqual(DENIED)
      const read = next.call('KV/Range', { key }, { metadata: { token } })
      expect(await outcomeOf(read)).toEqual(DENIED)
      await manage(next, 'Auth/UserGrantRole', { user: 'ann', role: 'ann' })
      expect(await outcomeOf(put(client, token))).toBe('answered')
    }
    await manage(cluster.leader.client, 'Auth/AuthDisable')
    for (const { client } of cluster.members) await client.call('KV/Put', { key })
  })

  test('hold the same users and roles, through a snapshot and a restart, and the permissions with them', async () => {
    await start()
    const { followers } = cluster
    await followers[0]!.node.snapshot()
    const restarted = await cluster.restart(followers[0]!.id)
    const token = await tokenOf(restarted.client, 'ann')
    const outcomes = ['k1', 'z'].map((name) =>
      outcomeOf(restarted.client.call('KV/Put', { key: text(name) }, { metadata: { token } })),
    )
    expect(await Promise.all(outcomes)).toEqual(['answered', DENIED])
    const { revision } = cluster.leader.stateMachine
    await until(() => cluster.members.every((each) => each.stateMachine.revision === revision))
    const hashes = cluster.members.map(({ stateMachine }) => stateMachine.hash())
    expect(new Set(hashes).size).toBe(1)
  })

  test('forget simple tokens when they restart, as in etcd', async () => {
    await start()
    const token = await tokenOf(cluster.leader.client, 'ann')
    const follower = cluster.followers[0]!
    expect(await outcomeOf(put(follower.client, token))).toBe('answered')
    const restarted = await cluster.restart(follower.id)
    expect(await outcomeOf(put(restarted.client, token))).toEqual(BAD_TOKEN)
    expect(await outcomeOf(put(cluster.leader.client, token))).toBe('answered')
  })

  test('take signed tokens even from before they started', async () => {
    const { privateKey } = generateKeyPairSync('ed25519')
    const pem = new Uint8Array(Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' })))
    await start({ auth: { ...FAST, tokens: { method: 'EdDSA', privateKey: pem } } })
    const token = await tokenOf(cluster.leader.client, 'ann')
    const restarted = await cluster.restart(cluster.followers[0]!.id)
    expect(await outcomeOf(put(restarted.client, token))).toBe('answered')
  })

  test('end leases, and forget history, although nobody is named who asks for it', async () => {
    await start({ autoCompaction: { mode: 'periodic', retentionMs: 200 }, electionTimeoutMs: 600 })
    const { client, stateMachine } = cluster.followers[0]!
    const token = await tokenOf(client, 'ann')
    const metadata = { token }
    const { ID } = await client.call('Lease/LeaseGrant', { TTL: 1 }, { metadata })
    await client.call('KV/Put', { key, lease: ID }, { metadata })
    await until(() => stateMachine.leases().length === 0 && stateMachine.keyCount === 0)
    await until(() => stateMachine.compactRevision > 1)
  })
})

describe('the npm client etcd3', () => {
  let clients: Etcd3[] = []
  const as = (username: string, password: string = username): Etcd3 => {
    const hosts = cluster.followers.map(({ address }) => `http://${address}`)
    const client = new Etcd3({ hosts, auth: { username, password } })
    clients.push(client)
    return client
  }
  afterEach(() => {
    for (const client of clients) client.close()
    clients = []
  })

  test('manages users and roles, and lives by them', async () => {
    await start()
    const root = as('root')
    const role = root.role('editors')
    await role.create()
    await role.grant({ permission: 'Readwrite', range: root.range({ prefix: 'docs/' }) })
    const user = root.user('eve')
    await user.create('secret')
    await user.addRole('editors')
    expect((await user.roles()).map(({ name }) => name)).toEqual(['editors'])
    const eve = as('eve', 'secret')
    await eve.put('docs/1').value('text')
    expect(await eve.getAll().prefix('docs/').strings()).toEqual({ 'docs/1': 'text' })
    await expect(eve.put('other').value('x').exec()).rejects.toThrow(EtcdPermissionDeniedError)
    await expect(eve.getAll().all().strings()).rejects.toThrow(EtcdPermissionDeniedError)
    await expect(as('eve', 'wrong').get('docs/1')).rejects.toThrow(EtcdAuthenticationFailedError)
    const lease = eve.lease(60)
    await lease.put('docs/2').value('lives')
    await lease.revoke()
    expect(await eve.get('docs/2')).toBeNull()
  })

  test('gets itself another token when its own has ended', async () => {
    await start()
    const ann = as('ann')
    await ann.put('k1').value('before')
    // The change ends her tokens, and brings the same password again.
    await manage(cluster.leader.client, 'Auth/UserChangePassword', { name: 'ann', password: 'ann' })
    await ann.put('k1').value('after')
    expect(await ann.get('k1').string()).toBe('after')
  })
})
