import { type Environment, systemEnvironment } from '@coracle/raft-core'
import { Etcd3, EtcdLeaseInvalidError, EtcdLockFailedError, type Lease } from 'etcd3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Harness, startHarness } from './harness.ts'

/** Real time, which a test can set forward. */
function jumpingTime(): Environment & { jump(ms: number): void } {
  const system = systemEnvironment()
  let ahead = 0
  return {
    ...system,
    now: () => system.now() + ahead,
    jump(ms) {
      ahead += ms
    },
  }
}

let harness: Harness
let client: Etcd3
let time: ReturnType<typeof jumpingTime>

beforeEach(async () => {
  time = jumpingTime()
  harness = await startHarness({ environment: time, electionTimeoutMs: 300 })
  client = new Etcd3({ hosts: `http://${harness.address}` })
})
afterEach(async () => {
  client.close()
  await harness[Symbol.asyncDispose]()
})

const lost = (lease: Lease): Promise<unknown> =>
  new Promise((resolve) => {
    lease.once('lost', resolve)
  })

describe('leases of the npm client etcd3', () => {
  test('are granted, hold keys, and take them along when revoked', async () => {
    const lease = client.lease(60)
    await lease.put('leased').value('x')
    await client
      .put('kept')
      .lease(await lease.grant())
      .value('y')
    expect(await client.getAll().keys()).toEqual(['kept', 'leased'])
    await lease.revoke()
    expect(await client.getAll().keys()).toEqual([])
  })

  test('are kept alive', async () => {
    const lease = client.lease(60, { autoKeepAlive: false })
    const id = await lease.grant()
    time.jump(50_000)
    await lease.keepaliveOnce()
    const { TTL, grantedTTL } = await client.leaseClient.leaseTimeToLive({ ID: id })
    expect(Number(TTL)).toBeGreaterThan(55)
    expect(grantedTTL).toBe('60')
    await lease.revoke()
  })

  test('are lost when their time is over, and so are their keys', async () => {
    const lease = client.lease(60, { autoKeepAlive: false })
    await lease.put('leased').value('x')
    time.jump(61_000)
    await expect.poll(() => client.get('leased').exists()).toBe(false)
    const told = lost(lease)
    await expect(lease.keepaliveOnce()).rejects.toBeInstanceOf(EtcdLeaseInvalidError)
    expect(await told).toBeInstanceOf(EtcdLeaseInvalidError)
  })

  test('lock', async () => {
    const lock = client.lock('resource')
    await lock.acquire()
    await expect(client.lock('resource').acquire()).rejects.toBeInstanceOf(EtcdLockFailedError)
    await lock.release()
    const again = client.lock('resource').ttl(10)
    await again.acquire()
    await again.release()
  })

  test('elect, the lease being the candidate', async () => {
    const lease = client.lease(60, { autoKeepAlive: false })
    const id = await lease.grant()
    const key = `election/chief/${id}`
    const won = await client
      .if(key, 'Create', '==', 0)
      .then(client.put(key).value('me').lease(id))
      .commit()
    expect(won.succeeded).toBe(true)
    const first = client.getAll().prefix('election/chief/').sort('Create', 'Ascend').limit(1)
    expect(await first.strings()).toEqual({ [key]: 'me' })
    await lease.revoke()
    expect(await first.strings()).toEqual({})
  })
})
