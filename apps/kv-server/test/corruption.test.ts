/** Who is named when members hold different keys, and what is left when only one of them is. */
import { describe, expect, test } from 'vitest'
import { differing } from '../src/peers/corruption.ts'
import { adminOf } from './admin.ts'
import { expectAllHold, startCluster, type TestMember } from './members.ts'

describe('members that hold something else', () => {
  const holding = (...hashes: number[]) => hashes.map((hash, i) => ({ id: 'abcde'[i] ?? '', hash }))

  test.each([
    ['nobody, if all hold the same', holding(1, 1, 1), 3, []],
    ['the one that differs from a majority', holding(1, 1, 2), 3, ['c']],
    ['the one that asks, if it differs from a majority', holding(2, 1, 1), 3, ['a']],
    ['those that differ from the one that asks, if none have a majority', holding(1, 2), 3, ['b']],
    ['nobody, if nobody could be asked', holding(1), 3, []],
  ])('%s', (_who, holdings, members, named) => {
    expect(differing(holdings, members)).toEqual(named)
  })
})

test('members that hold the same are compared now and then, and no alarm is raised', async () => {
  await using cluster = await startCluster({ flags: ['--corrupt-check-time=200ms'] })
  const [first] = cluster.members as [TestMember]
  for (let i = 0; i < 20; i++) await first.client.put(`key/${i}`, 'x')
  using admin = adminOf(first.address)
  await first.kill()
  await first.restart({ flags: ['--initial-corrupt-check'] })
  await expectAllHold(cluster.members, 'key/0', new Map([['key/0', 'x']]))
  expect(await admin.alarms()).toEqual([])
})

test('with --force-new-cluster one member goes on alone, and others can be added', async () => {
  await using cluster = await startCluster({ size: 3 })
  const [survivor] = cluster.members as [TestMember]
  await survivor.client.put('kept', 'yes')
  await Promise.all(cluster.members.map((member) => member.kill()))
  await survivor.restart({ flags: ['--force-new-cluster'] })
  await expectAllHold([survivor], 'kept', new Map([['kept', 'yes']]))
  using admin = adminOf(survivor.address)
  expect((await admin.members()).map(({ name }) => name)).toEqual(['infra1'])
  expect(await admin.add('http://127.0.0.1:9')).toMatchObject({ isLearner: false })
})
