import { describe, expect, test } from 'vitest'
import type { Consistency } from '../../src/node/consistency.ts'
import type { RaftEvent } from '../../src/trace.ts'
import { only, text, voters } from '../support/messages.ts'
import { watchOutcome, World } from '../support/world.ts'

const ids = ['a', 'b', 'c']
const reading = (world: World, id: string, signal?: AbortSignal) =>
  watchOutcome(world.at(id).node.read(signal === undefined ? {} : { signal }))
const readingAs = (world: World, id: string, consistency: Consistency) =>
  watchOutcome(world.at(id).node.read({ consistency }))

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

  test('an answer to what the node asked before it restarted serves nobody', async () => {
    await using world = await World.of(ids)
    world.loses = ({ type }) => type === 'read-index-reply'
    reading(world, 'b')
    await world.settle()
    const [late] = only(world.sent, 'read-index-reply')
    await world.restart('b', { membership: voters(...ids) })
    await world.tick()
    watchOutcome(world.at('a').node.propose(text('x')))
    await world.settle()
    const outcome = reading(world, 'b')
    await world.settle()
    await world.deliver(late!)
    expect(outcome.state()).toBe('waiting')
    world.heal()
    await world.tick(5)
    expect(outcome.state()).toBe('done')
    expect(outcome.value()).toBeGreaterThan(late!.index)
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

describe('read { atLeast }', () => {
  test('waits until the index is applied here, and asks nobody', async () => {
    await using world = await World.of(ids)
    world.loses = ({ to, type }) => to === 'b' && type === 'append-entries'
    const written = watchOutcome(world.at('a').node.propose(text('x')))
    await world.settle()
    const atLeast = written.value()!.index
    const outcome = readingAs(world, 'b', { atLeast })
    await world.settle()
    expect(outcome.state()).toBe('waiting')
    world.heal()
    await world.tick(3)
    expect(outcome.value()).toBeGreaterThanOrEqual(atLeast)
    expect(world.at('b').machine.state).toEqual(['x'])
    expect(only(world.sent, 'read-index')).toEqual([])
  })

  test('is answered at once by whoever is there already, even without a majority', async () => {
    await using world = await World.of(ids)
    world.isolate('b')
    const { appliedIndex } = world.at('b').node.status()
    const outcome = readingAs(world, 'b', { atLeast: appliedIndex })
    await world.settle()
    expect(outcome.value()).toBe(appliedIndex)
  })

  test('with the index of the last read, time never runs backwards from node to node', async () => {
    await using world = await World.of(ids)
    world.loses = ({ to, type }) => to === 'c' && type === 'append-entries'
    watchOutcome(world.at('a').node.propose(text('x')))
    await world.settle()
    const first = reading(world, 'b')
    await world.settle()
    const second = readingAs(world, 'c', { atLeast: first.value()! })
    await world.settle()
    expect(second.state()).toBe('waiting')
    world.heal()
    await world.tick(3)
    expect(second.value()).toBeGreaterThanOrEqual(first.value()!)
  })

  test('UNAVAILABLE: this node did not get there in time', async () => {
    await using world = await World.of(ids, { requestTimeoutTicks: 5 })
    const outcome = readingAs(world, 'a', { atLeast: 1000 })
    await world.tick(4)
    expect(outcome.state()).toBe('waiting')
    await world.tick(1)
    expect(outcome.error()).toMatchObject({ code: 'UNAVAILABLE', leader: 'a' })
  })

  test('one that was given up makes room at the next tick, not for a flood before it', async () => {
    await using world = await World.of(ids, { maxPendingReads: 2 })
    const give = async (): Promise<unknown> => {
      const controller = new AbortController()
      const { signal } = controller
      const outcome = watchOutcome(
        world.at('a').node.read({ consistency: { atLeast: 1000 }, signal }),
      )
      controller.abort(new Error('enough'))
      await world.settle()
      return outcome.error()
    }
    const errors = [await give(), await give(), await give()]
    expect(errors.slice(0, 2)).toEqual([new Error('enough'), new Error('enough')])
    expect(errors[2]).toMatchObject({ code: 'UNAVAILABLE' })
    await world.tick(1)
    expect(await give()).toEqual(new Error('enough'))
  })
})

describe('read { maxLagMs }', () => {
  async function clocked(): Promise<World> {
    const world = await World.of(ids)
    world.tickMs = 100
    return world
  }

  test('asks once, and then nobody until that much time has passed', async () => {
    await using world = await clocked()
    const asked = () => only(world.sent, 'read-index').length
    readingAs(world, 'b', { maxLagMs: 250 })
    await world.settle()
    expect(asked()).toBe(1)
    for (let i = 0; i < 2; i++) {
      await world.tick(1)
      const outcome = readingAs(world, 'b', { maxLagMs: 250 })
      await world.settle()
      expect(outcome.state()).toBe('done')
    }
    expect(asked()).toBe(1)
    await world.tick(1)
    readingAs(world, 'b', { maxLagMs: 250 })
    await world.settle()
    expect(asked()).toBe(2)
  })

  test('sees everything that was acknowledged before then', async () => {
    await using world = await clocked()
    reading(world, 'b')
    await world.settle()
    world.loses = ({ to, type }) => to === 'b' && type === 'append-entries'
    await world.tick(2)
    const written = watchOutcome(world.at('a').node.propose(text('x')))
    await world.settle()
    expect(written.state()).toBe('done')
    await world.tick(3)
    // What was asked 500 ms ago says nothing of the write 300 ms ago.
    const outcome = readingAs(world, 'b', { maxLagMs: 299 })
    await world.settle()
    expect(outcome.state()).toBe('waiting')
    const older = readingAs(world, 'b', { maxLagMs: 500 })
    await world.settle()
    expect(older.state()).toBe('done')
    world.heal()
    await world.tick(3)
    expect(outcome.value()).toBeGreaterThanOrEqual(written.value()!.index)
  })

  test('goes on for that long without a leader, and then no more: UNAVAILABLE', async () => {
    await using world = await clocked()
    reading(world, 'b')
    await world.settle()
    world.isolate('b')
    await world.tick(4)
    const fresh = readingAs(world, 'b', { maxLagMs: 400 })
    const stale = readingAs(world, 'b', { maxLagMs: 300 })
    await world.settle()
    expect([fresh.state(), stale.state()]).toEqual(['done', 'waiting'])
    await world.tick(70)
    expect(stale.error()).toMatchObject({ code: 'UNAVAILABLE' })
  })

  test.each([
    { atLeast: -1 },
    { atLeast: 1.5 },
    { maxLagMs: -1 },
    { maxLagMs: Number.NaN },
    'stale',
    null,
  ] as unknown as Consistency[])(
    'a consistency of %j makes no sense: RangeError',
    async (consistency) => {
      await using world = await World.of(ids)
      const outcome = readingAs(world, 'a', consistency)
      await world.settle()
      expect(outcome.error()).toBeInstanceOf(RangeError)
      expect(world.at('a').events.some(({ type }) => type === 'node-failed')).toBe(false)
    },
  )
})

describe('reads under a lease', () => {
  const LEASES = { reads: 'lease', maxClockDrift: 0.2 } as const

  async function leased(): Promise<World> {
    const world = await World.of(ids, LEASES)
    world.tickMs = 100
    await world.tick(3)
    return world
  }

  const rounds = (world: World): number => only(world.sent, 'heartbeat').length

  test('cost no message on the leader, and one question on a follower', async () => {
    await using world = await leased()
    const before = world.sent.length
    const own = reading(world, 'a')
    await world.settle()
    expect(own.state()).toBe('done')
    expect(world.sent.length).toBe(before)
    const others = reading(world, 'b')
    await world.settle()
    expect(others.state()).toBe('done')
    expect(world.sent.slice(before).map(({ type }) => type)).toEqual([
      'read-index',
      'read-index-reply',
    ])
  })

  test('a leader whose process slept past its lease serves nobody before it has asked', async () => {
    await using world = await leased()
    world.isolate('a')
    await world.tick(40, ['b', 'c'])
    const led = ['b', 'c'].find((id) => world.at(id).node.status().role === 'leader')!
    watchOutcome(world.at(led).node.propose(text('newer')))
    await world.settle()
    // All that time a did nothing at all; the first thing it does is to read.
    const outcome = reading(world, 'a')
    await world.settle()
    expect(world.at('a').node.status().role).toBe('leader')
    expect(outcome.state()).toBe('waiting')
    world.heal()
    await world.tick(8)
    expect(outcome.state()).toBe('done')
    expect(world.at('a').machine.state).toEqual(['newer'])
  })

  test('a leader that nobody answers serves for as long as it was promised, and no longer', async () => {
    await using world = await leased()
    world.isolate('a')
    const served: boolean[] = []
    for (let i = 0; i < 10; i++) {
      const outcome = reading(world, 'a')
      await world.settle()
      served.push(outcome.state() === 'done')
      await world.tick(1)
    }
    expect(served).toEqual([true, true, true, true, true, true, true, true, false, false])
  })

  test('the time counts at which a read is answered, not that at which its turn began', async () => {
    let sleep = (): void => {}
    const trace = (event: RaftEvent): void => {
      if (event.type === 'message-received' && event.node === 'a') sleep()
    }
    await using world = await World.of(ids, { ...LEASES, trace })
    world.tickMs = 100
    await world.tick(3)
    world.loses = ({ from }) => from === 'a'
    sleep = () => {
      sleep = () => {}
      world.timeMs += 900
    }
    world.receiver('a').onMessage({
      type: 'heartbeat-reply',
      from: 'b',
      to: 'a',
      term: 2,
      round: 0,
      promiseMs: 1000,
    })
    const outcome = reading(world, 'a')
    await world.settle()
    expect(outcome.state()).toBe('waiting')
  })

  test('nobody forgets a leader then: TypeError', async () => {
    await using world = await leased()
    await expect(world.at('b').node.forgetLeader()).rejects.toThrow(TypeError)
    expect(rounds(world)).toBeGreaterThan(0)
  })
})

describe('a leader serves what its state machine has applied', () => {
  test('no read before the no-op of its term is, even if its log holds everything', async () => {
    await using world = await World.of(ids)
    const { machine } = world.at('b')
    machine.isAsync = true
    machine.applies.isShut = true
    watchOutcome(world.at('a').node.propose(text('x')))
    await world.settle()
    await world.elect('b')
    const status = world.at('b').node.status()
    expect(status.commitIndex).toBe(status.lastIndex)
    const outcome = reading(world, 'b')
    await world.settle()
    expect(outcome.state()).toBe('waiting')
    machine.applies.open()
    await world.settle()
    expect(outcome.value()).toBe(status.lastIndex)
    expect(machine.state).toEqual(['x'])
  })
})
