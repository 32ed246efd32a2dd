import { describe, expect, test } from 'vitest'
import { recoverCluster } from '../../src/node/recover-cluster.ts'
import { Disk } from '../support/disk.ts'
import { commands, text, voters, without } from '../support/messages.ts'
import { diskWith } from '../support/server.ts'
import { TestStorage, watchOutcome, World } from '../support/world.ts'

const peer = (id: string) => ({ id, address: `at-${id}` })

/** The disk of a after b and c were lost: five entries, of which three are known to be committed. */
function survivor(): Disk {
  const disk = diskWith({ term: 4, terms: [2, 2, 3, 4] })
  disk.append({
    reset: null,
    entries: [],
    hardState: { term: 4, votedFor: 'b', commitIndex: 3 },
  })
  return disk
}

const recover = (disk: Disk, options: Partial<Parameters<typeof recoverCluster>[1]> = {}) =>
  recoverCluster(new TestStorage(disk), {
    id: 'a',
    members: [peer('a')],
    commitUncertain: true,
    ...options,
  })

describe('recoverCluster', () => {
  test('makes a new cluster of one survivor, and says what may be lost', async () => {
    const disk = survivor()
    expect(await recover(disk)).toEqual({
      membership: { ...voters('a'), removed: [peer('b'), peer('c')] },
      previous: voters('a', 'b', 'c'),
      position: { term: 1_000_004, index: 6 },
      knownCommitted: 3,
    })
  })

  test('its node leads at once, has all of the log applied, and takes proposals', async () => {
    const disk = survivor()
    await recover(disk)
    await using world = new World()
    const { node, machine } = await world.start('a', {}, disk)
    await world.tick(30)
    expect(node.status()).toMatchObject({ role: 'leader', term: 1_000_005, appliedIndex: 7 })
    expect(machine.state).toEqual(['2/2', '2/3', '3/4', '4/5'])
    const proposal = watchOutcome(node.propose(text('more')))
    await world.settle()
    expect(proposal.value()).toMatchObject({ result: 'more is number 5' })
  })

  test('members with empty storages may found it too', async () => {
    const disk = survivor()
    await recover(disk, { members: ['a', 'd', 'e'].map(peer) })
    await using world = new World()
    await world.start('a', {}, disk)
    for (const id of ['d', 'e']) await world.start(id, { contacts: [peer('a')] })
    await world.tick(30)
    for (const id of ['a', 'd', 'e'])
      expect(world.at(id).node.status()).toMatchObject({ leader: 'a', appliedIndex: 7 })
  })

  test('an old member that comes back is told that it was removed, and disturbs nobody', async () => {
    const disk = survivor()
    const old = diskWith({ term: 9, terms: [2, 2, 3, 4, 9, 9, 9] })
    await recover(disk)
    await using world = new World()
    await world.start('a', {}, disk)
    await world.tick(30)
    const b = await world.start('b', {}, old)
    await world.tick(40)
    expect(await b.node.stopped).toMatchObject({ code: 'REMOVED' })
    expect(world.at('a').node.status()).toMatchObject({ role: 'leader', term: 1_000_005 })
  })

  test('a snapshot beyond the log takes its place first', async () => {
    const disk = survivor()
    const meta = {
      position: { term: 4, index: 50 },
      membership: voters('a', 'b', 'c'),
      membershipIndex: 1,
    }
    disk.snapshot = { meta, bytes: text('["x"]') }
    const { position, knownCommitted } = await recover(disk, { commitUncertain: false })
    expect([position, knownCommitted]).toEqual([{ term: 1_000_004, index: 51 }, 50])
    await using world = new World()
    const { machine } = await world.start('a', {}, disk)
    await world.tick(30)
    expect(machine.state).toEqual(['x'])
  })

  test('it can be done again, should the new cluster be lost as well', async () => {
    const disk = survivor()
    await recover(disk, { members: ['a', 'd', 'e'].map(peer) })
    const { membership, position } = await recover(disk)
    expect(membership.removed.map(({ id }) => id)).toEqual(['b', 'c', 'd', 'e'])
    expect(position.term).toBe(2_000_004)
  })
})

describe('recoverCluster refuses, and changes nothing', () => {
  const cases: [string, () => Disk, Parameters<typeof recover>[1], RegExp][] = [
    ['entries of uncertain fate', survivor, { commitUncertain: false }, /entries 4 to 5/],
    ['a storage that never ran', () => new Disk(), {}, /never part of a cluster/],
    ['the storage of a stranger', survivor, { id: 'x', members: [peer('x')] }, /x is no member/],
    ['members without the survivor', survivor, { members: [peer('d')] }, /a is not among/],
    ['an old member', survivor, { members: [peer('a'), peer('b')] }, /b was a member/],
  ]

  test.each(cases)('%s', async (_, makeDisk, options, why) => {
    const disk = makeDisk()
    const before = disk.load()
    const refusal = await recover(disk, options).catch((error: unknown) => error)
    expect(refusal).toMatchObject({ code: 'RECOVERY_REFUSED', message: expect.stringMatching(why) })
    expect(disk.load()).toEqual(before)
  })

  test('the id of a node that was removed before', async () => {
    const disk = survivor()
    await recover(disk)
    await expect(recover(disk, { members: [peer('a'), peer('c')] })).rejects.toMatchObject({
      code: 'RECOVERY_REFUSED',
    })
  })

  test('a storage that contradicts itself', async () => {
    const disk = diskWith({ term: 2, terms: [2] })
    disk.append({
      reset: null,
      entries: [],
      hardState: { term: 2, votedFor: null, commitIndex: 9 },
    })
    await expect(recover(disk)).rejects.toThrow('entries were lost')
  })

  test('one survivor that was itself removed', async () => {
    const disk = diskWith({ term: 2, terms: [2] })
    const removal = { ...commands(3, 2)[0]!, type: 'membership' as const }
    const { encodeMembership } = await import('../../src/codec/index.ts')
    const entries = [{ ...removal, data: encodeMembership(without('a')) }]
    disk.append({ reset: null, entries, hardState: null })
    await expect(recover(disk)).rejects.toThrow('a is no member')
  })
})
