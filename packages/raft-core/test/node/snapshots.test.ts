import { describe, expect, test } from 'vitest'
import { read, text, voters } from '../support/messages.ts'
import { ListMachine, watchOutcome, World } from '../support/world.ts'

const ids = ['a', 'b', 'c']

async function proposeAll(world: World, id: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) watchOutcome(world.at(id).node.propose(text(`${i}`)))
  await world.settle()
}

describe('taking snapshots', () => {
  test('one is taken at the threshold, and the log forgotten but for the tail to keep', async () => {
    await using world = await World.of(['a'], { snapshotEntries: 10, keepEntries: 3 })
    await proposeAll(world, 'a', 7)
    expect(world.at('a').storage.disk.snapshot).toBe(null)
    await proposeAll(world, 'a', 1)
    const { snapshot, entries } = world.at('a').storage.disk
    expect(snapshot?.meta.position).toEqual({ term: 2, index: 10 })
    expect(entries.map(({ index }) => index)).toEqual([8, 9, 10])
    expect(world.at('a').node.status()).toMatchObject({ snapshotIndex: 10, firstIndex: 8 })
  })

  test('of few and large entries the tail is shorter, for it is so large at most', async () => {
    const options = { snapshotEntries: 10, keepEntries: 8, keepBytes: 1000 }
    await using world = await World.of(['a'], options)
    for (const size of [400, 400, 400, 400, 400, 400, 400, 0]) {
      watchOutcome(world.at('a').node.propose(new Uint8Array(size)))
      await world.settle()
    }
    const { snapshotIndex, firstIndex } = world.at('a').node.status()
    // Two of the large ones, and the empty one behind them.
    expect([snapshotIndex, firstIndex]).toEqual([10, 8])
  })

  test('or after so many bytes', async () => {
    await using world = await World.of(['a'], { snapshotBytes: 1000, keepEntries: 0 })
    watchOutcome(world.at('a').node.propose(new Uint8Array(500)))
    await world.settle()
    const before = world.at('a').node.status().snapshotIndex
    watchOutcome(world.at('a').node.propose(new Uint8Array(600)))
    await world.settle()
    expect([before, world.at('a').node.status().snapshotIndex]).toEqual([0, 4])
  })

  test('or after so long, if anything was applied since', async () => {
    await using world = await World.of(['a'], { snapshotAgeMs: 60_000, keepEntries: 0 })
    const { node } = world.at('a')
    await proposeAll(world, 'a', 1)
    world.timeMs = 59_999
    await world.tick()
    const before = node.status().snapshotIndex
    world.timeMs = 60_000
    await world.tick()
    const after = node.status().snapshotIndex
    world.timeMs = 200_000
    await world.tick(3)
    expect([before, after, node.status().snapshotIndex]).toEqual([0, 3, 3])
    await proposeAll(world, 'a', 1)
    expect(node.status().snapshotIndex).toBe(4)
  })

  test('and never for its age if that is 0', async () => {
    await using world = await World.of(['a'], { snapshotAgeMs: 0 })
    await proposeAll(world, 'a', 1)
    world.timeMs = 1e12
    await world.tick(3)
    expect(world.at('a').node.status().snapshotIndex).toBe(0)
  })

  test('one that falls due while another is being written is taken after it', async () => {
    await using world = await World.of(['a'], { snapshotEntries: 5, keepEntries: 0 })
    const { storage, node } = world.at('a')
    storage.snapshotWrites.isShut = true
    await proposeAll(world, 'a', 5)
    expect(storage.writing).toBe(1)
    await proposeAll(world, 'a', 20)
    storage.snapshotWrites.open()
    await world.settle()
    expect(node.status().snapshotIndex).toBe(node.status().lastIndex)
  })

  test('all who ask while one is written share the next, and nothing new is no reason for one', async () => {
    await using world = await World.of(['a'])
    const { node, storage, events } = world.at('a')
    const taken = (): number => events.filter(({ type }) => type === 'snapshot-taken').length
    await proposeAll(world, 'a', 3)
    storage.snapshotWrites.isShut = true
    const first = watchOutcome(node.snapshot())
    await proposeAll(world, 'a', 2)
    const others = [1, 2, 3].map(() => watchOutcome(node.snapshot()))
    storage.snapshotWrites.open()
    await world.settle()
    expect(first.value()).toMatchObject({ position: { index: 5 } })
    for (const outcome of others) expect(outcome.value()).toMatchObject({ position: { index: 7 } })
    expect(taken()).toBe(2)
    const again = watchOutcome(node.snapshot())
    await world.settle()
    expect(again.value()).toMatchObject({ position: { index: 7 } })
    expect(taken()).toBe(2)
  })

  test('a snapshot holds the state as it was, whatever is applied while it is written', async () => {
    await using world = await World.of(['a'], { keepEntries: 0 })
    await proposeAll(world, 'a', 3)
    const { storage, node } = world.at('a')
    storage.snapshotWrites.isShut = true
    const outcome = watchOutcome(node.snapshot())
    await world.settle()
    await proposeAll(world, 'a', 2)
    storage.snapshotWrites.open()
    await world.settle()
    expect(outcome.value()?.position.index).toBe(5)
    const again = await world.restart('a')
    await world.elect('a')
    expect(again.machine.state).toEqual(['0', '1', '2', '0', '1'])
  })

  test('disposing waits for the one that is being written', async () => {
    await using world = await World.of(['a'])
    const { storage, node } = world.at('a')
    storage.snapshotWrites.isShut = true
    const taken = watchOutcome(node.snapshot())
    await world.settle()
    const disposed = watchOutcome(Promise.resolve(node[Symbol.asyncDispose]()))
    await world.settle()
    expect([storage.writing, disposed.state()]).toEqual([1, 'waiting'])
    storage.snapshotWrites.open()
    await world.settle()
    expect([storage.writing, disposed.state(), taken.state()]).toEqual([0, 'done', 'failed'])
  })
})

describe('sending and installing snapshots', () => {
  async function lagging(options = {}): Promise<World> {
    const world = await World.of(ids, { snapshotEntries: 5, keepEntries: 0, ...options })
    world.isolate('c')
    await proposeAll(world, 'a', 12)
    expect(world.at('a').node.status().firstIndex).toBeGreaterThan(4)
    return world
  }

  test('a follower that needs entries long gone gets the newest snapshot, and the rest after it', async () => {
    await using world = await lagging()
    world.heal()
    await world.tick(5)
    expect(world.streams.map(({ to }) => to)).toEqual(['c'])
    expect(world.at('c').machine.state).toEqual(world.at('a').machine.state)
    await proposeAll(world, 'a', 2)
    expect(world.at('c').machine.state).toEqual(world.at('a').machine.state)
  })

  test('one that arrives while the follower still applies waits for that, and replaces the state', async () => {
    await using world = await World.of(ids, { snapshotEntries: 5, keepEntries: 0 })
    const { machine, node } = world.at('c')
    machine.isAsync = true
    machine.applies.isShut = true
    await proposeAll(world, 'a', 3)
    world.isolate('c')
    await proposeAll(world, 'a', 12)
    world.heal()
    await world.tick(5)
    expect(world.streams.map(({ to }) => to)).toContain('c')
    expect(machine.state).toEqual([])
    machine.applies.open()
    await world.tick(3)
    expect(machine.state).toEqual(world.at('a').machine.state)
    expect(node.status().appliedIndex).toBe(world.at('a').node.status().appliedIndex)
  })

  test('one that arrives while stored entries are read to be applied makes them superfluous', async () => {
    await using world = await World.of(ids, { snapshotEntries: 5, keepEntries: 0 })
    await proposeAll(world, 'a', 2)
    await world.tick(2)
    const { node, storage } = world.at('c')
    await node[Symbol.asyncDispose]()
    await proposeAll(world, 'a', 12)
    const again = await world.start('c', { snapshotEntries: 5, keepEntries: 0 }, storage.disk)
    again.storage.reads.isShut = true
    // The entries of its own log are asked for, and the snapshot arrives before they do.
    await world.tick(6)
    expect(world.streams.map(({ to }) => to)).toContain('c')
    again.storage.reads.open()
    await world.tick(3)
    expect(again.events.filter(({ type }) => type === 'node-failed')).toEqual([])
    expect(again.machine.state).toEqual(world.at('a').machine.state)
  })

  test('a stream that breaks off harms nobody, and is tried again', async () => {
    await using world = await lagging()
    let attempts = 0
    world.breaks = () => (++attempts < 3 ? new Error('cut') : null)
    world.heal()
    await world.tick(10)
    expect(attempts).toBe(3)
    expect(world.at('c').machine.state).toEqual(world.at('a').machine.state)
    expect(world.at('c').events.some(({ type }) => type === 'node-failed')).toBe(false)
  })

  test('a stream that broke goes on where it ended', async () => {
    await using world = await lagging()
    let attempts = 0
    world.breaks = () => (++attempts < 4 ? new Error('cut') : null)
    world.heal()
    await world.tick(12)
    // Of the seven bytes of each, the last four may be the checksum.
    expect(world.offsets).toEqual([0, 3, 6, 9])
    expect(world.at('c').machine.state).toEqual(world.at('a').machine.state)
    expect(world.at('c').storage.unfinished).toEqual([])
  })

  test('a stream that breaks before anybody reads it leaves no reader behind', async () => {
    await using world = await lagging()
    const { storage } = world.at('a')
    let attempts = 0
    world.breaks = () => (++attempts === 1 ? new Error('cut') : null)
    world.abandons = () => (attempts === 2 ? 'opened' : null)
    world.heal()
    await world.tick(8)
    expect(world.offsets).toEqual([0, 3])
    expect(storage.reading).toBe(0)
    expect(world.at('c').machine.state).toEqual(world.at('a').machine.state)
  })

  test('nor does one that breaks while the snapshot is opened', async () => {
    await using world = await lagging()
    const { storage } = world.at('a')
    let attempts = 0
    world.breaks = () => (++attempts === 1 ? new Error('cut') : null)
    world.heal()
    await world.tick(2)
    expect(attempts).toBe(1)
    storage.snapshotReads.isShut = true
    world.abandons = () => 'opening'
    await world.tick(4)
    expect(storage.snapshotReads.waiting).toBeGreaterThan(0)
    world.abandons = () => null
    storage.snapshotReads.open()
    await world.settle()
    expect(storage.reading).toBe(0)
    await world.tick(8)
    expect(world.at('c').machine.state).toEqual(world.at('a').machine.state)
  })

  test('though not if the leader has another snapshot of the same place', async () => {
    await using world = await lagging()
    let attempts = 0
    world.breaks = () => {
      attempts += 1
      if (attempts === 1) return new Error('cut')
      // The same state, written another way, as if another leader had written it.
      const { disk } = world.at('a').storage
      const { meta, bytes } = disk.snapshot!
      disk.snapshot = { meta, bytes: text(` ${read(bytes)}`) }
      return null
    }
    world.heal()
    await world.tick(12)
    expect(world.offsets).toEqual([0, 0])
    expect(world.at('c').machine.state).toEqual(world.at('a').machine.state)
  })

  test('nor after it was left alone for too long', async () => {
    await using world = await lagging({ partialSnapshotTicks: 20 })
    world.breaks = () => new Error('cut')
    world.heal()
    await world.tick(3)
    expect(world.at('c').storage.unfinished.length).toBeGreaterThan(0)
    world.isolate('c')
    await world.tick(30)
    expect(world.at('c').storage.unfinished).toEqual([])
    world.breaks = () => null
    world.heal()
    await world.tick(12)
    expect(world.offsets.at(-1)).toBe(0)
    expect(world.at('c').machine.state).toEqual(world.at('a').machine.state)
  })

  test('what was altered on its way is thrown away, and sent again from the start', async () => {
    await using world = await lagging()
    let attempts = 0
    world.alters = () => ++attempts === 1
    world.heal()
    await world.tick(8)
    expect(world.offsets).toEqual([0, 0])
    expect(world.at('c').storage.unfinished).toEqual([])
    expect(world.at('c').machine.state).toEqual(world.at('a').machine.state)
    expect(world.at('c').events.some(({ type }) => type === 'node-failed')).toBe(false)
  })

  test('while one is on its way, the next is put off until there is twice as much', async () => {
    await using world = await lagging()
    const before = world.at('a').node.status().snapshotIndex
    world.at('c').storage.snapshotWrites.isShut = true
    world.heal()
    await world.tick(3)
    await proposeAll(world, 'a', 9)
    expect(world.at('a').node.status().snapshotIndex).toBe(before)
    await proposeAll(world, 'a', 5)
    expect(world.at('a').node.status().snapshotIndex).toBeGreaterThan(before)
    world.at('c').storage.snapshotWrites.open()
    await world.tick(5)
  })

  test('a follower that restarts between storing it and applying it starts from it', async () => {
    await using world = await lagging()
    world.at('c').storage.snapshotReads.isShut = true
    world.heal()
    await world.tick(5)
    expect(world.at('c').storage.disk.snapshot).not.toBe(null)
    expect(world.at('c').machine.state).toEqual([])
    world.at('c').storage.snapshotReads.open()
    const again = await world.restart('c')
    await world.tick(3)
    expect(again.machine.state).toEqual(world.at('a').machine.state)
  })

  test('the leader keeps the entries after the snapshot while it is on its way', async () => {
    await using world = await lagging()
    world.at('c').storage.snapshotWrites.isShut = true
    world.heal()
    await world.tick(3)
    const { index } = world.streams.at(-1)!.meta.position
    await proposeAll(world, 'a', 30)
    expect(world.at('a').node.status().snapshotIndex).toBeGreaterThan(index)
    expect(world.at('a').node.status().firstIndex).toBeLessThanOrEqual(index + 1)
    world.at('c').storage.snapshotWrites.open()
    await world.tick(5)
    expect(world.streams.filter(({ to }) => to === 'c')).toHaveLength(1)
    expect(world.at('c').machine.state).toEqual(world.at('a').machine.state)
  })
})

describe('restarts', () => {
  test('a node replays its log from the snapshot on', async () => {
    await using world = await World.of(['a'], { snapshotEntries: 5, keepEntries: 2 })
    await proposeAll(world, 'a', 9)
    const before = world.at('a').machine.state
    const again = await world.restart('a', { membership: voters('a') })
    await world.elect('a')
    expect(again.machine.state).toEqual(before)
  })

  test('a state that survives restarts is not restored, and applies only what it has not', async () => {
    await using world = await World.of(['a'], { snapshotEntries: 5, keepEntries: 2 })
    await proposeAll(world, 'a', 9)
    await proposeAll(world, 'a', 2)
    expect(world.at('a').node.status().snapshotIndex).toBe(11)
    const machine = new ListMachine()
    machine.state = [...world.at('a').machine.state]
    machine.durableIndex = world.at('a').node.status().appliedIndex
    const { node } = await world.restart('a', { stateMachine: machine })
    await world.elect('a')
    expect(machine.applied).toEqual([])
    const outcome = watchOutcome(node.propose(text('next')))
    await world.settle()
    expect(outcome.value()).toMatchObject({ result: 'next is number 12' })
  })

  test('the whole cluster goes on after all of it was stopped', async () => {
    await using world = await World.of(ids)
    await proposeAll(world, 'b', 5)
    await world.tick(2)
    for (const id of ids) await world.restart(id)
    await world.elect('c')
    const outcome = watchOutcome(world.at('a').node.propose(text('after')))
    await world.tick(2)
    expect(outcome.value()).toMatchObject({ result: 'after is number 6' })
  })

  test('founders are named once: a node that has run knows its own', async () => {
    await using world = await World.of(['a'])
    await world.restart('a', { membership: voters('x', 'y', 'z') })
    expect(world.at('a').node.status().membership).toEqual(voters('a'))
  })

  test('a node that was told of nobody waits', async () => {
    await using world = new World()
    const { node } = await world.start('a')
    await world.tick(50)
    expect(node.status()).toMatchObject({ role: 'follower', term: 0, lastIndex: 0 })
  })
})
