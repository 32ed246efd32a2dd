import { describe, expect, test } from 'vitest'
import { only, text } from '../support/messages.ts'
import { watchOutcome, World } from '../support/world.ts'

const ids = ['a', 'b', 'c']
const reading = (world: World, id: string, signal?: AbortSignal) =>
  watchOutcome(world.at(id).node.read(signal === undefined ? {} : { signal }))

describe('read', () => {
  test.each(ids)(
    'on %s resolves once everything acknowledged before is applied there',
    async (id) => {
      await using world = await World.of(ids)
      const { machine } = world.at(id)
      machine.isAsync = true
      machine.applies.isShut = true
      watchOutcome(world.at('a').node.propose(text('x')))
      await world.settle()
      const outcome = reading(world, id)
      await world.tick(3)
      expect(outcome.state()).toBe('waiting')
      machine.applies.open()
      await world.settle()
      expect(outcome.value()).toBeGreaterThanOrEqual(3)
      expect(machine.state).toEqual(['x'])
    },
  )

  test('all reads of one turn ask as one', async () => {
    await using world = await World.of(ids)
    const outcomes = Array.from({ length: 100 }, () => reading(world, 'b'))
    await world.settle()
    expect(only(world.sent, 'read-index')).toHaveLength(1)
    expect(outcomes.every(({ state }) => state() === 'done')).toBe(true)
  })

  test('asks again when the question or the answer is lost', async () => {
    await using world = await World.of(ids)
    world.loses = ({ type }) => type === 'read-index'
    const outcome = reading(world, 'b')
    await world.tick(3)
    expect(outcome.state()).toBe('waiting')
    world.heal()
    await world.tick(5)
    expect(outcome.state()).toBe('done')
  })

  test('asks the next leader when its own is gone', async () => {
    await using world = await World.of(ids)
    world.isolate('a')
    const outcome = reading(world, 'b')
    await world.settle()
    expect(outcome.state()).toBe('waiting')
    await world.elect('c')
    await world.tick(6)
    expect(outcome.state()).toBe('done')
  })

  test('a leader cut off never answers, and says so in time: UNAVAILABLE', async () => {
    await using world = await World.of(ids, { requestTimeoutTicks: 20 })
    world.isolate('a')
    const outcome = reading(world, 'a')
    await world.elect('b')
    watchOutcome(world.at('b').node.propose(text('newer')))
    await world.tick(19)
    expect(outcome.state()).toBe('waiting')
    await world.tick(10)
    expect(outcome.error()).toMatchObject({ code: 'UNAVAILABLE' })
  })

  test('UNAVAILABLE: no leader was there in time', async () => {
    await using world = await World.of(ids, { requestTimeoutTicks: 20 })
    world.isolate(...ids)
    await world.tick(25)
    const outcome = reading(world, 'b')
    await world.tick(26)
    expect(outcome.error()).toMatchObject({ code: 'UNAVAILABLE', leader: null })
  })

  test('UNAVAILABLE: too many wait, and there is room again when they are settled', async () => {
    await using world = await World.of(ids, { maxPendingReads: 3, requestTimeoutTicks: 200 })
    world.isolate('a')
    const waiting = [1, 2, 3].map(() => reading(world, 'a'))
    const refused = reading(world, 'a')
    await world.settle()
    expect(refused.error()).toMatchObject({ code: 'UNAVAILABLE' })
    expect(waiting.map(({ state }) => state())).toEqual(Array(3).fill('waiting'))
    await world.elect('b')
    world.heal()
    await world.tick(8)
    expect(waiting.map(({ state }) => state())).toEqual(Array(3).fill('done'))
    const later = reading(world, 'a')
    await world.settle()
    expect(later.state()).toBe('done')
  })

  test('a signal ends the wait, before and while it waits', async () => {
    await using world = await World.of(ids)
    const reason = new Error('enough')
    const never = reading(world, 'a', AbortSignal.abort(reason))
    world.isolate('a')
    const controller = new AbortController()
    const later = reading(world, 'a', controller.signal)
    await world.settle()
    expect([never.state(), later.state()]).toEqual(['failed', 'waiting'])
    controller.abort(reason)
    await world.settle()
    expect([never.error(), later.error()]).toEqual([reason, reason])
  })

  test('STOPPED: the node was disposed while it waited', async () => {
    await using world = await World.of(ids)
    world.isolate('a')
    const outcome = reading(world, 'a')
    await world.settle()
    await world.at('a').node[Symbol.asyncDispose]()
    await world.settle()
    expect(outcome.error()).toMatchObject({ code: 'STOPPED' })
    await expect(world.at('a').node.read()).rejects.toMatchObject({ code: 'STOPPED' })
  })

  test('reads that timed out behind a state machine that hangs leave nothing behind', async () => {
    await using world = await World.of(['a'], { requestTimeoutTicks: 3, maxPendingReads: 10 })
    const { machine } = world.at('a')
    machine.isAsync = true
    machine.applies.isShut = true
    watchOutcome(world.at('a').node.propose(text('x')))
    await world.settle()
    for (let round = 0; round < 5; round++) {
      const outcomes = Array.from({ length: 10 }, () => reading(world, 'a'))
      await world.tick(4)
      for (const outcome of outcomes) expect(outcome.error()).toMatchObject({ code: 'UNAVAILABLE' })
    }
    machine.applies.open()
    await world.settle()
    const outcome = reading(world, 'a')
    await world.settle()
    expect(outcome.state()).toBe('done')
  })
})
