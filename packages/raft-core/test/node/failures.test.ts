import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { InvariantError, RaftError } from '../../src/errors.ts'
import { CheckedRaft } from '../../src/protocol/index.ts'
import { only, text, voters } from '../support/messages.ts'
import { type ListMachine, watchOutcome, World } from '../support/world.ts'

const ids = ['a', 'b', 'c']
const broken = new Error('the disk is broken')

async function expectFailed(world: World, id: string, cause: unknown): Promise<void> {
  const { node, events } = world.at(id)
  expect(await node.stopped).toBe(cause)
  expect(events.at(-1)).toMatchObject({ type: 'node-failed', cause })
  const refusal: unknown = await node.propose(text('x')).catch((error: unknown) => error)
  expect(refusal).toBeInstanceOf(RaftError)
  expect(refusal).toMatchObject({ code: 'STOPPED', cause })
}

describe('a failed write stops the node', () => {
  test('with the reason, and acknowledges nothing that rested on it', async () => {
    await using world = await World.of(ids)
    world.at('b').storage.appends.failure = broken
    const before = world.sent.length
    watchOutcome(world.at('a').node.propose(text('x')))
    await world.settle()
    await expectFailed(world, 'b', broken)
    expect(
      only(world.sent.slice(before), 'append-entries-reply').filter(({ from }) => from === 'b'),
    ).toEqual([])
    // The other two are a majority.
    expect(world.at('a').machine.state).toEqual(['x'])
  })

  test('a leader whose write fails answers nobody', async () => {
    await using world = await World.of(['a'])
    world.at('a').storage.appends.failure = broken
    const outcome = watchOutcome(world.at('a').node.propose(text('x')))
    await world.settle()
    expect(outcome.error()).toMatchObject({ code: 'STOPPED', cause: broken })
    expect(world.at('a').machine.state).toEqual([])
    await expectFailed(world, 'a', broken)
  })

  test('everything that waits is told why', async () => {
    await using world = await World.of(ids)
    const { node, storage } = world.at('a')
    world.isolate('a')
    storage.appends.isShut = true
    const outcomes: ReturnType<typeof watchOutcome>[] = [
      watchOutcome(node.propose(text('x'))),
      watchOutcome(node.read()),
    ]
    await world.settle()
    outcomes.push(watchOutcome(node.transferLeadership('b')))
    await world.settle()
    expect(outcomes.map(({ state }) => state())).toEqual(Array(3).fill('waiting'))
    storage.appends.failure = broken
    storage.appends.open()
    await world.settle()
    for (const outcome of outcomes)
      expect(outcome.error()).toMatchObject({ code: 'STOPPED', cause: broken })
  })

  test('it is never asked again', async () => {
    await using world = await World.of(['a'])
    const { storage, node } = world.at('a')
    storage.appends.failure = broken
    watchOutcome(node.propose(text('x')))
    await world.settle()
    storage.appends.failure = null
    await world.tick(5)
    expect(storage.disk.entries.some(({ type }) => type === 'command')).toBe(false)
  })

  test('whoever asked for a snapshot that cannot be written is told so', async () => {
    await using world = await World.of(['a'])
    const { node, storage } = world.at('a')
    watchOutcome(node.propose(text('x')))
    await world.settle()
    storage.snapshotWrites.failure = broken
    const outcome = watchOutcome(node.snapshot())
    await world.settle()
    expect(outcome.error()).toBeInstanceOf(RaftError)
    expect(outcome.error()).toMatchObject({ code: 'STOPPED', cause: broken })
  })

  test('a snapshot that cannot be written is the end too', async () => {
    await using world = await World.of(['a'], { snapshotEntries: 5 })
    world.at('a').storage.snapshotWrites.failure = broken
    for (let i = 0; i < 5; i++) watchOutcome(world.at('a').node.propose(text(`${i}`)))
    await world.settle()
    await expectFailed(world, 'a', broken)
  })

  test('even if somebody asked for it', async () => {
    await using world = await World.of(['a'])
    world.at('a').storage.snapshotWrites.failure = broken
    const outcome = watchOutcome(world.at('a').node.snapshot())
    await world.settle()
    expect(outcome.state()).toBe('failed')
    await expectFailed(world, 'a', broken)
  })

  test('so are entries that cannot be read', async () => {
    await using world = await World.of(ids, { maxWindowBytes: 0 })
    world.isolate('c')
    for (let i = 0; i < 5; i++) watchOutcome(world.at('a').node.propose(text(`${i}`)))
    await world.settle()
    world.at('a').storage.reads.failure = broken
    world.heal()
    await world.tick(5)
    await expectFailed(world, 'a', broken)
  })
})

describe('a state machine that throws stops the node', () => {
  async function start(prepare: (machine: ListMachine) => void): Promise<World> {
    const world = await World.of(['a'])
    prepare(world.at('a').machine)
    return world
  }

  test('at once', async () => {
    await using world = await start((machine) => {
      machine.failure = broken
    })
    const outcome = watchOutcome(world.at('a').node.propose(text('x')))
    await world.settle()
    expect(outcome.error()).toMatchObject({ code: 'STOPPED', cause: broken })
    await expectFailed(world, 'a', broken)
  })

  test('or later', async () => {
    await using world = await start((machine) => {
      machine.isAsync = true
      machine.applies.failure = broken
    })
    const outcome = watchOutcome(world.at('a').node.propose(text('x')))
    await world.settle()
    expect(outcome.error()).toMatchObject({ code: 'STOPPED', cause: broken })
    await expectFailed(world, 'a', broken)
  })

  test.each([
    ['too few', 0],
    ['too many', 2],
  ])('or gives %s answers', async (_, count) => {
    await using world = await start((machine) => {
      machine.apply = () => Array<string>(count).fill('answer')
    })
    const outcome = watchOutcome(world.at('a').node.propose(text('x')))
    await world.settle()
    expect(outcome.error()).toMatchObject({ code: 'STOPPED' })
    expect(await world.at('a').node.stopped).toMatchObject({ name: 'InvariantError' })
  })
})

describe('entries that are read from the disk for a follower', () => {
  test('may be replaced by another leader meanwhile, and that is no failure', async () => {
    await using world = await World.of(ids)
    // The log grows while nobody hears of it, and is known from the disk alone after a restart.
    world.isolate('a')
    for (const word of ['x', 'y', 'z']) watchOutcome(world.at('a').node.propose(text(word)))
    await world.settle()
    const { node, storage, events } = await world.restart('a')
    storage.reads.isShut = true
    world.heal()
    await world.elect('a')
    expect(storage.reads.waiting).toBeGreaterThan(0)
    world.isolate('a')
    await world.elect('b')
    world.heal()
    await world.tick(2)
    expect(events.some(({ type }) => type === 'entries-truncated')).toBe(true)
    storage.reads.open()
    await world.settle()
    expect(node.status()).toMatchObject({ role: 'follower', leader: 'b' })
    expect(events.some(({ type }) => type === 'node-failed')).toBe(false)
    const outcome = watchOutcome(node.propose(text('w')))
    await world.settle()
    expect(outcome.state()).toBe('done')
  })

  test('must be there while they are waited for', async () => {
    await using world = await World.of(ids, { maxWindowBytes: 0 })
    world.isolate('c')
    watchOutcome(world.at('a').node.propose(text('x')))
    await world.settle()
    const lost = new RangeError('the log is shorter than it was')
    world.at('a').storage.reads.failure = lost
    world.heal()
    await world.tick(3)
    await expectFailed(world, 'a', lost)
  })
})

describe('a node that cannot start', () => {
  test("rejects with the storage's own error", async () => {
    await using world = new World()
    const storage = {
      load: () => Promise.reject(broken),
    } as never
    await expect(world.start('a', { membership: voters('a'), storage })).rejects.toBe(broken)
  })

  test('rejects a bad option by its name', async () => {
    await using world = new World()
    await expect(world.start('a', { electionTicks: 0 })).rejects.toThrow(/electionTicks/)
    await expect(world.start('a', { heartbeatTicks: 10 })).rejects.toThrow(/heartbeatTicks/)
  })
})

describe('a node that is told to look at its state', () => {
  test.each([true, false])('stops if it is one that cannot be: %s', async (checkInvariants) => {
    const found = new InvariantError('a term never falls')
    const spy = vi.spyOn(CheckedRaft.prototype, 'tick').mockImplementation(() => {
      throw found
    })
    onTestFinished(() => spy.mockRestore())
    await using world = new World()
    await world.start('a', { membership: voters('a'), checkInvariants })
    await world.tick()
    if (checkInvariants) await expectFailed(world, 'a', found)
    else expect(world.at('a').node.status().role).toBe('leader')
    expect(spy).toHaveBeenCalledTimes(checkInvariants ? 1 : 0)
  })
})
