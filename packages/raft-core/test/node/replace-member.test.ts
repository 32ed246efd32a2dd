import { describe, expect, test } from 'vitest'
import { text } from '../support/messages.ts'
import { watchOutcome, World } from '../support/world.ts'

const ids = ['a', 'b', 'c']
const d = { id: 'd', address: 'at-d' }

/** a leads b and c, and c is lost; d has an empty storage. */
async function missingC(): Promise<World> {
  const world = await World.of(ids)
  for (let i = 0; i < 5; i++) watchOutcome(world.at('a').node.propose(text(`${i}`)))
  await world.settle()
  await world.start('d', { contacts: [{ id: 'a', address: 'at-a' }] })
  world.isolate('c')
  return world
}

describe('replaceMember', () => {
  test('lets the new node learn, then gives it the vote of the old one in one joint change', async () => {
    await using world = await missingC()
    const { node, events } = world.at('a')
    const outcome = watchOutcome(node.replaceMember({ old: 'c', replacement: d }))
    await world.tick(8)
    expect(outcome.value()).toMatchObject({
      voters: ['a', 'b', 'd'],
      learners: [],
      outgoing: [],
      removed: [{ id: 'c' }],
    })
    const steps = events.flatMap((event) =>
      event.type === 'membership-changed'
        ? [[event.membership.voters, event.membership.outgoing, event.membership.learners]]
        : [],
    )
    expect(steps.slice(-3)).toEqual([
      [ids, [], ['d']],
      [['a', 'b', 'd'], ids, []],
      [['a', 'b', 'd'], [], []],
    ])
    expect(world.at('d').machine.state).toEqual(world.at('a').machine.state)
  })

  test('does not swap the vote before the new node has caught up', async () => {
    await using world = await missingC()
    world.isolate('c', 'd')
    const outcome = watchOutcome(world.at('a').node.replaceMember({ old: 'c', replacement: d }))
    await world.tick(30)
    expect(outcome.state()).toBe('waiting')
    expect(world.at('a').node.status().membership).toMatchObject({ voters: ids, learners: ['d'] })
    expect(
      world
        .at('a')
        .node.status()
        .peers.map(({ id, part }) => [id, part]),
    ).toEqual([
      ['b', 'voter'],
      ['c', 'voter'],
      ['d', 'learner'],
    ])
    world.isolate('c')
    await world.tick(10)
    expect(outcome.value()?.voters).toEqual(['a', 'b', 'd'])
  })

  test('OUTCOME_UNKNOWN: the new node was not heard from in time', async () => {
    await using world = await missingC()
    await world.tick(1)
    watchOutcome(world.at('a').node.reconfigure({ requestTimeoutTicks: 12 }))
    world.isolate('c', 'd')
    const outcome = watchOutcome(world.at('a').node.replaceMember({ old: 'c', replacement: d }))
    await world.tick(11)
    expect(outcome.state()).toBe('waiting')
    await world.tick(2)
    expect(outcome.error()).toMatchObject({ code: 'OUTCOME_UNKNOWN', leader: 'a' })
  })

  test('goes on from where an earlier call was left', async () => {
    await using world = await missingC()
    world.isolate('c', 'd')
    const abort = new AbortController()
    const replacing = { old: 'c', replacement: d }
    const first = watchOutcome(
      world.at('a').node.replaceMember(replacing, { signal: abort.signal }),
    )
    await world.tick(5)
    abort.abort(new Error('enough'))
    await world.settle()
    expect(first.error()).toMatchObject({ message: 'enough' })
    world.isolate('c')
    const second = watchOutcome(world.at('a').node.replaceMember(replacing))
    await world.tick(10)
    const third = watchOutcome(world.at('a').node.replaceMember(replacing))
    await world.settle()
    expect([second.value()?.voters, third.value()?.voters]).toEqual([
      ['a', 'b', 'd'],
      ['a', 'b', 'd'],
    ])
  })

  test.each([
    ['x', d, 'x is no member'],
    ['c', { id: 'b', address: '' }, 'promoted'],
  ])('refuses to replace %s by %o', async (old, replacement) => {
    await using world = await missingC()
    const outcome = watchOutcome(world.at('b').node.replaceMember({ old, replacement }))
    await world.tick(3)
    expect(outcome.state()).toBe('failed')
  })
})

test('the status of a leader tells how far each peer is', async () => {
  await using world = await missingC()
  world.at('b').storage.appends.isShut = true
  watchOutcome(world.at('a').node.propose(new Uint8Array(100)))
  await world.tick(5)
  const [b, c] = world.at('a').node.status().peers
  expect(b).toMatchObject({ id: 'b', part: 'voter', state: 'replicate', snapshot: null })
  expect(b).toMatchObject({ inflightMessages: 1, inflightBytes: 100, silentTicks: 0 })
  expect(b?.nextIndex).toBe((b?.matchIndex ?? 0) + 2)
  expect(c?.silentTicks).toBeGreaterThanOrEqual(5)
  world.at('b').storage.appends.open()
})

test('and how much of a snapshot has left for it', async () => {
  await using world = await World.of(ids, { snapshotEntries: 5, keepEntries: 0 })
  world.isolate('c')
  for (let i = 0; i < 9; i++) watchOutcome(world.at('a').node.propose(text(`${i}`)))
  await world.settle()
  world.at('c').storage.snapshotWrites.isShut = true
  world.heal()
  await world.tick(4)
  const { snapshotIndex, peers } = world.at('a').node.status()
  world.at('c').storage.snapshotWrites.open()
  await world.tick(3)
  const { bytes } = world.at('a').storage.disk.snapshot!
  expect(peers[1]?.state).toBe('snapshot')
  expect(peers[1]?.snapshot).toEqual({
    index: snapshotIndex,
    sentBytes: bytes.length,
    totalBytes: bytes.length,
  })
})
