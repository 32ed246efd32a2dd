/** Members whose disk fills up, and strangers at their ports. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import {
  concurrently,
  createCluster,
  expectAllHold,
  startCluster,
  type TestMember,
} from './members.ts'

test('a member whose disk is full stops with the reason, and has lost nothing acknowledged', async () => {
  // No file of this process may grow beyond 512 KiB: the disk is full from then on.
  const through = ['/bin/sh', '-c', 'ulimit -f 1024; exec "$@"', 'sh']
  await using cluster = await startCluster({ size: 1, options: () => ({ through }) })
  const [member] = cluster.members as [TestMember]
  const acknowledged = new Map<string, string>()
  const value = 'x'.repeat(1_000)
  let refused = 0
  await concurrently(2_000, 20, async (i) => {
    if (refused > 0) return
    try {
      await member.client.put(`key/${i}`, `${i} ${value}`)
      acknowledged.set(`key/${i}`, `${i} ${value}`)
    } catch {
      refused += 1
    }
  })
  expect(refused).toBeGreaterThan(0)
  expect(acknowledged.size).toBeGreaterThan(100)
  const { code, why } = await member.process.exited
  expect(code).toBe(1)
  expect(why).toContain(`data directory ${member.plan.dataDir}`)
  expect(why).toMatch(/File too large|EFBIG/)
  await member.restart()
  await expectAllHold([member], 'key/', acknowledged)
})

test('a stranger on the peer port is turned away, and disturbs nobody', async () => {
  await using cluster = await startCluster({ size: 1 })
  const [member] = cluster.members as [TestMember]
  const before = await member.client.status()
  for (const greeting of ['GET / HTTP/1.1\r\nHost: x\r\n\r\n', '\0'.repeat(4_096)]) {
    const socket = connect(member.plan.peerPort, '127.0.0.1')
    // Whoever reads nothing does not hear of the end.
    socket.on('error', () => {}).resume()
    socket.write(greeting)
    await once(socket, 'close')
  }
  await member.logged(({ level, msg }) => level === 'warn' && msg === 'connection refused')
  await member.client.put('a', 'b')
  expect(await member.client.status()).toMatchObject({ term: before.term, leader: before.leader })
})

test('a stranger on the client port is turned away, and disturbs nobody', async () => {
  await using cluster = await startCluster({ size: 1 })
  const [member] = cluster.members as [TestMember]
  for (const greeting of [
    'nonsense\r\n\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + '\xff'.repeat(64),
  ]) {
    const socket = connect(member.plan.clientPort, '127.0.0.1')
    socket.on('error', () => {}).on('data', () => {})
    socket.write(greeting, 'latin1')
    socket.end()
    await once(socket, 'close')
  }
  await member.client.put('a', 'b')
})

test('a member with another cluster token is kept out, and the others go on without it', async () => {
  const token = (place: number) => ({ flags: place === 2 ? ['--initial-cluster-token=wrong'] : [] })
  await using cluster = await createCluster({ options: token })
  const [one, two, outsider] = cluster.members as [TestMember, TestMember, TestMember]
  await Promise.all([one.process.ready, two.process.ready])
  await one.client.put('a', 'b')
  const { fields } = await one.logged(({ msg }) => msg === 'connection refused')
  expect(String(fields['why'])).toContain('it is of cluster')
  expect(outsider.log.map(({ msg }) => msg)).not.toContain('ready to serve client requests')
  expect(await two.client.list('a')).toEqual(new Map([['a', 'b']]))
})
