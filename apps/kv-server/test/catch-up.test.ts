import { expect, test } from 'vitest'
import { concurrently, expectAllHold, startCluster, type TestMember } from './members.ts'

const MISSED = 50_000

test('a member that missed 50,000 entries catches up by a snapshot', async () => {
  const flags = ['--unsafe-no-fsync', '--snapshot-count=10000', '--snapshot-catchup-entries=1000']
  await using cluster = await startCluster({ flags })
  const { members } = cluster
  const leader = await cluster.leader()
  const away = members.find((member) => member !== leader) as TestMember
  const present = members.filter((member) => member !== away)
  await away.client.put('before', 'it left')
  await away.kill()
  await concurrently(MISSED, 200, (i) =>
    leader.client.put(`key/${i % 5_000}`, `value ${i}`, { timeoutMs: 30_000 }),
  )
  await away.restart()
  await away.logged(({ msg }) => msg === 'installed snapshot from leader')
  const last = new Map([['key/4999', `value ${MISSED - 1}`]])
  await expectAllHold([...present, away], 'key/', last)
  expect((await away.client.status()).revision).toBe((await leader.client.status()).revision)
  expect((await away.client.status()).revision).toBeGreaterThan(MISSED)
}, 120_000)
