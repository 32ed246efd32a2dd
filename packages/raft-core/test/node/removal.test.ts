import { describe, expect, test } from 'vitest'
import type { NodeStatus } from '../../src/node/status.ts'
import { text } from '../support/messages.ts'
import { watchOutcome, World } from '../support/world.ts'

const ids = ['a', 'b', 'c']

/** a leads b and c, and c is removed: it hears of it, or is cut off. */
async function removedC({ isAway }: { readonly isAway: boolean }): Promise<World> {
  const world = await World.of(ids)
  if (isAway) world.isolate('c')
  const change = watchOutcome(world.at('a').node.changeMembership([{ type: 'remove', id: 'c' }]))
  await world.tick(3, ['a', 'b'])
  expect(change.value()?.voters).toEqual(['a', 'b'])
  return world
}

describe('a removed node', () => {
  test('hears of it, and stops with REMOVED', async () => {
    await using world = await removedC({ isAway: false })
    await world.tick(3)
    const { node, events } = world.at('c')
    expect(await node.stopped).toMatchObject({ name: 'RaftError', code: 'REMOVED' })
    expect(node.status()).toMatchObject({ removed: true, role: 'follower' })
    expect(events.filter(({ type }) => type === 'node-removed')).toMatchObject([{ index: 3 }])
  })

  test('that was away asks for votes when it is back, and is told', async () => {
    await using world = await removedC({ isAway: true })
    await world.tick(40)
    expect(world.at('c').node.status().removed).toBe(false)
    world.heal()
    await world.tick(40)
    expect(await world.at('c').node.stopped).toMatchObject({ code: 'REMOVED' })
    expect(world.at('a').node.status()).toMatchObject({ role: 'leader', term: 2 })
  })

  test('is told by whoever it asks, after a restart and without pre-votes too', async () => {
    await using world = await removedC({ isAway: true })
    await world.restart('c', { preVote: false })
    await world.tick(40)
    world.loses = ({ from, to }) => [from, to].sort().join() === 'a,c'
    await world.tick(40)
    expect(await world.at('c').node.stopped).toMatchObject({ code: 'REMOVED' })
  })

  test('fails what waits, and what is asked for later, with STOPPED and the cause', async () => {
    await using world = await removedC({ isAway: true })
    const { node } = world.at('c')
    const waiting = watchOutcome(node.propose(text('x')))
    await world.tick(2)
    world.heal()
    await world.tick(40)
    for (const error of [waiting.error(), await node.read().catch((reason: unknown) => reason)])
      expect(error).toMatchObject({ code: 'STOPPED', cause: { code: 'REMOVED' } })
  })

  test('tells whoever watches, last of all', async () => {
    await using world = await removedC({ isAway: true })
    const seen: NodeStatus[] = []
    const watching = (async () => {
      for await (const status of world.at('c').node.watch()) seen.push(status)
    })()
    world.heal()
    await world.tick(40)
    await watching
    expect(seen.map((status) => status.removed).indexOf(true)).toBe(seen.length - 1)
  })

  test('that starts again from what it has applied stops again', async () => {
    await using world = await removedC({ isAway: false })
    await world.tick(3)
    const { storage } = world.at('c')
    const again = await world.start('c', {}, storage.disk)
    await world.tick(3)
    expect(await again.node.stopped).toMatchObject({ code: 'REMOVED' })
  })

  test('cannot be added again', async () => {
    await using world = await removedC({ isAway: false })
    const change = watchOutcome(
      world
        .at('a')
        .node.changeMembership([{ type: 'add-learner', peer: { id: 'c', address: 'at-c' } }]),
    )
    await world.settle()
    expect(change.error()).toMatchObject({
      code: 'MEMBERSHIP_CHANGE_REFUSED',
      message: 'c was removed, and ids are never used again',
    })
  })
})

test('a leader that removes itself hands over, answers, and stops', async () => {
  await using world = await World.of(ids)
  const change = watchOutcome(world.at('a').node.changeMembership([{ type: 'remove', id: 'a' }]))
  await world.tick(5)
  expect(change.value()?.voters).toEqual(['b', 'c'])
  expect(await world.at('a').node.stopped).toMatchObject({ code: 'REMOVED' })
  const leaders = ['b', 'c'].filter((id) => world.at(id).node.status().role === 'leader')
  expect(leaders).toHaveLength(1)
})
