/** etcd's own clients, unmodified, at every member: at followers as well as at the leader. */
import { Etcd3 } from 'etcd3'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { etcdctlIsInstalled, etcdctlTests } from './etcdctl.ts'
import { startCluster, type TestCluster } from './members.ts'

let cluster: TestCluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster[Symbol.asyncDispose]())

if (etcdctlIsInstalled()) etcdctlTests(() => cluster)

describe.each([0, 1, 2])('the npm client etcd3 at member %i', (place) => {
  let client: Etcd3
  const connect = (): Etcd3 =>
    (client = new Etcd3({ hosts: `http://${cluster.members[place]?.address}` }))
  afterEach(() => client.close())

  test('puts, gets, deletes and lists', async () => {
    const space = connect().namespace(`etcd3/${place}/`)
    await space.put('a').value('1')
    await space.put('b').value(JSON.stringify({ deep: [1, 2] }))
    expect(await space.get('a').string()).toBe('1')
    expect(await space.get('b').json()).toEqual({ deep: [1, 2] })
    expect(await space.get('none').string()).toBeNull()
    expect(await space.getAll().keys()).toEqual(['a', 'b'])
    expect(await space.getAll().sort('Key', 'Descend').limit(1).strings()).toHaveProperty('b')
    expect(await space.getAll().count()).toBe(2)
    await space.delete().key('a')
    expect(await space.getAll().keys()).toEqual(['b'])
    await space.delete().all()
    expect(await space.getAll().count()).toBe(0)
  })

  test('runs transactions', async () => {
    const space = connect().namespace(`txn/${place}/`)
    await space.put('lock').value('free')
    const take = () =>
      space
        .if('lock', 'Value', '==', 'free')
        .then(space.put('lock').value('taken'))
        .else(space.get('lock'))
        .commit()
    expect((await take()).succeeded).toBe(true)
    expect((await take()).succeeded).toBe(false)
    expect(await space.get('lock').string()).toBe('taken')
  })
})

test('the npm client etcd3 goes on with the others when a member is gone', async () => {
  const hosts = cluster.members.map(({ address }) => `http://${address}`)
  const client = new Etcd3({ hosts })
  try {
    await client.put('before').value('1')
    const [first] = cluster.members
    await first?.kill()
    for (let i = 0; i < 6; i++) expect(await client.get('before').string()).toBe('1')
    await first?.restart()
  } finally {
    client.close()
  }
})
