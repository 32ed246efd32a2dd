import { describe, expect, test } from 'vitest'
import { only, text, voters } from '../support/messages.ts'
import { watchOutcome, World } from '../support/world.ts'

const ids = ['a', 'b', 'c']
const roles = (world: World) => ids.map((id) => world.at(id).node.status().role)

describe('forgetLeader', () => {
  test('lets the others elect before the timeout of the rest is over', async () => {
    await using world = await World.of(ids)
    await world.tick(1)
    world.isolate('a')
    expect(await settled(world, world.at('b').node.forgetLeader())).toBe(true)
    expect(world.at('b').node.status()).toMatchObject({ leader: null, term: 2, role: 'follower' })
    expect(await settled(world, world.at('b').node.forgetLeader())).toBe(false)
  })

  test('a leader has nobody to forget', async () => {
    await using world = await World.of(ids)
    expect(await settled(world, world.at('a').node.forgetLeader())).toBe(false)
    expect(roles(world)).toEqual(['leader', 'follower', 'follower'])
  })

  test('a signal that is aborted already forgets nobody', async () => {
    await using world = await World.of(ids)
    await world.tick(1)
    const signal = AbortSignal.abort(new Error('no'))
    await expect(world.at('b').node.forgetLeader({ signal })).rejects.toThrow('no')
    expect(world.at('b').node.status().leader).toBe('a')
  })
})

describe('reconfigure', () => {
  test('answers with all options as they are then, and they hold at once', async () => {
    await using world = await World.of(ids)
    const { node } = world.at('a')
    const options = await settled(world, node.reconfigure({ maxCommandBytes: 3 }))
    expect(options).toMatchObject({ maxCommandBytes: 3, electionTicks: 10 })
    await expect(node.propose(text('four'))).rejects.toMatchObject({ code: 'PROPOSAL_TOO_LARGE' })
  })

  test('a shorter election timeout elects sooner', async () => {
    await using world = await World.of(ids)
    for (const id of ['b', 'c'])
      await settled(world, world.at(id).node.reconfigure({ electionTicks: 3 }))
    world.isolate('a')
    await world.tick(8, ['b', 'c'])
    expect(roles(world)).toContain('leader')
    expect(world.at('b').node.status().term).toBeGreaterThan(2)
  })

  test('fewer heartbeats', async () => {
    await using world = await World.of(ids)
    await settled(world, world.at('a').node.reconfigure({ heartbeatTicks: 5 }))
    await world.tick(5)
    const before = only(world.sent, 'heartbeat').length
    await world.tick(10)
    expect(only(world.sent, 'heartbeat').length - before).toBe(4)
  })

  test('a tick of another length needs another timer, and only one', async () => {
    await using world = await World.of(['a'])
    await settled(world, world.at('a').node.reconfigure({ tickMs: 10 }))
    expect(world.timers('a')).toEqual([10])
  })

  test('smaller queues refuse what comes, not what waits', async () => {
    await using world = await World.of(ids)
    world.isolate('a')
    const { node } = world.at('a')
    const waiting = [1, 2, 3].map(() => watchOutcome(node.read()))
    await settled(world, node.reconfigure({ maxPendingReads: 2 }))
    const refused = watchOutcome(node.read())
    await world.settle()
    expect(refused.error()).toMatchObject({ code: 'UNAVAILABLE' })
    expect(waiting.map(({ state }) => state())).toEqual(['waiting', 'waiting', 'waiting'])
  })

  test('the threshold for snapshots', async () => {
    await using world = await World.of(['a'])
    await settled(world, world.at('a').node.reconfigure({ snapshotEntries: 1 }))
    await settled(world, world.at('a').node.propose(text('x')))
    expect(world.at('a').node.status().snapshotIndex).toBeGreaterThan(0)
  })

  test.each([
    [{ electionTicks: 1 }, 'heartbeatTicks'],
    [{ reads: 'lease' }, 'reads'],
    [{ checkQuorum: false }, 'checkQuorum'],
    [{ id: 'z' }, 'id'],
  ])('%j is refused by name, and nothing changes: RangeError', async (changes, name) => {
    await using world = await World.of(ids)
    const { node } = world.at('a')
    const outcome = watchOutcome(node.reconfigure(changes as never))
    await world.settle()
    expect(outcome.error()).toBeInstanceOf(RangeError)
    expect(String(outcome.error())).toContain(name)
    expect(await settled(world, node.reconfigure({}))).toMatchObject({ electionTicks: 10 })
  })

  test('two that make sense alone and none together: the second is refused, and the node goes on', async () => {
    await using world = await World.of(ids)
    const { node } = world.at('a')
    const first = watchOutcome(node.reconfigure({ heartbeatTicks: 5 }))
    const second = watchOutcome(node.reconfigure({ electionTicks: 5 }))
    await world.settle()
    expect(first.value()).toMatchObject({ heartbeatTicks: 5, electionTicks: 10 })
    expect(second.error()).toBeInstanceOf(RangeError)
    expect(await settled(world, node.propose(text('x')))).toMatchObject({ index: 3 })
  })

  test('STOPPED: the node was disposed', async () => {
    await using world = await World.of(ids)
    const { node } = world.at('a')
    await node[Symbol.asyncDispose]()
    await expect(node.reconfigure({})).rejects.toMatchObject({ code: 'STOPPED' })
    await expect(node.forgetLeader()).rejects.toMatchObject({ code: 'STOPPED' })
  })
})

describe('a cluster of one', () => {
  test('leads before a single tick has passed, and again after a restart', async () => {
    await using world = new World()
    const { node } = await world.start('a', { membership: voters('a') })
    expect(node.status()).toMatchObject({ role: 'leader', term: 2 })
    const again = await world.restart('a')
    expect(again.node.status()).toMatchObject({ role: 'leader', term: 3 })
  })

  test('with leases, after a restart, waits for what it may have promised', async () => {
    await using world = new World()
    const options = { membership: voters('a'), reads: 'lease' } as const
    expect((await world.start('a', options)).node.status().role).toBe('leader')
    const { node } = await world.restart('a', options)
    expect(node.status().role).toBe('follower')
    world.tickMs = 100
    await world.tick(20)
    expect(node.status().role).toBe('leader')
  })

  test('a learner beside it does not make it wait', async () => {
    await using world = new World()
    const members = { ...voters('a', 'l'), voters: ['a'], learners: ['l'] }
    const { node } = await world.start('a', { membership: members })
    expect(node.status().role).toBe('leader')
  })
})

describe('a leader whose process stood still', () => {
  test('keeps what is proposed until it knows who leads, and then none of it is lost', async () => {
    await using world = await World.of(ids)
    world.tickMs = 100
    await world.tick(2)
    world.isolate('a')
    await world.tick(40, ['b', 'c'])
    const outcome = watchOutcome(world.at('a').node.propose(text('x')))
    await world.settle()
    expect(world.at('a').node.status().role).toBe('leader')
    expect(outcome.state()).toBe('waiting')
    world.heal()
    await world.tick(4)
    expect(outcome.value()).toMatchObject({ result: 'x is number 1' })
  })

  test('nor does it take what a follower passes on to it', async () => {
    await using world = await World.of(ids)
    world.tickMs = 100
    await world.tick(1)
    world.loses = ({ type }) => type === 'heartbeat-reply'
    await world.tick(15, ['b'])
    await world.deliver({
      type: 'propose',
      from: 'b',
      to: 'a',
      term: 2,
      id: 7,
      commands: [text('x')],
    })
    expect(only(world.sent, 'propose-reply')).toMatchObject([{ id: 7, accepted: 0 }])
  })
})

describe('every queue is bounded', () => {
  test('operations that wait: UNAVAILABLE, and room again when they are done', async () => {
    await using world = await World.of(ids, { maxPendingOperations: 2 })
    const { node, storage } = world.at('a')
    watchOutcome(node.propose(text('x')))
    await world.settle()
    storage.snapshotWrites.isShut = true
    const waiting = [watchOutcome(node.snapshot()), watchOutcome(node.snapshot())]
    const refused = [
      watchOutcome(node.snapshot()),
      watchOutcome(node.transferLeadership('b')),
      watchOutcome(node.changeMembership([{ type: 'remove', id: 'c' }])),
    ]
    await world.settle()
    for (const outcome of refused) expect(outcome.error()).toMatchObject({ code: 'UNAVAILABLE' })
    storage.snapshotWrites.open()
    await world.settle()
    expect(waiting.map(({ state }) => state())).toEqual(['done', 'done'])
    await settled(world, node.transferLeadership('b'))
  })

  test('messages that wait for a turn: more are lost, as in a network', async () => {
    await using world = await World.of(ids, { maxPendingMessages: 5 })
    const { onMessage } = world.receiver('b')
    const message = { type: 'read-index', from: 'a', to: 'b', term: 2 } as const
    for (let id = 0; id < 20; id++) onMessage({ ...message, id })
    await world.settle()
    expect(only(world.sent, 'read-index-reply')).toHaveLength(5)
  })

  test('bytes of commands that wait: PROPOSAL_DROPPED, but one always fits', async () => {
    await using world = await World.of(ids, { maxPendingProposalBytes: 100 })
    world.isolate('b')
    const { node } = world.at('b')
    const propose = (size: number) => watchOutcome(node.propose(new Uint8Array(size)))
    const large = propose(500)
    const refused = propose(1)
    await world.settle()
    expect([large.state(), refused.state()]).toEqual(['waiting', 'failed'])
    expect(refused.error()).toMatchObject({ code: 'PROPOSAL_DROPPED' })
    // Lost with its leader, it makes room.
    await world.tick(25, ['b'])
    expect(large.error()).toMatchObject({ code: 'OUTCOME_UNKNOWN' })
    const [first, second, third] = [propose(60), propose(40), propose(1)]
    await world.settle()
    expect([first.state(), second.state(), third.state()]).toEqual(['waiting', 'waiting', 'failed'])
    world.heal()
    await world.tick(30)
    expect([first.state(), second.state()]).toEqual(['done', 'done'])
    const after = [propose(60), propose(40)]
    await world.tick(2)
    expect(after.map(({ state }) => state())).toEqual(['done', 'done'])
  })

  test('who does not lead calls no command too large: the leader may take it', async () => {
    await using world = await World.of(ids, { maxCommandBytes: 10 })
    const commands = [new Uint8Array(50)]
    await world.deliver({ type: 'propose', from: 'b', to: 'c', term: 2, id: 7, commands })
    const [reply] = only(world.sent, 'propose-reply')
    expect(reply).toMatchObject({ id: 7, accepted: 0 })
    expect(reply!.first.index).toBeGreaterThan(0)
  })

  test('commands too large for the leader, from a node that takes larger ones: PROPOSAL_TOO_LARGE', async () => {
    await using world = new World()
    for (const id of ids)
      await world.start(id, { membership: voters(...ids), maxCommandBytes: id === 'a' ? 10 : 99 })
    await world.elect('a')
    await world.tick(1)
    const sizes = [5, 50, 60, 7]
    const outcomes = sizes.map((size) =>
      watchOutcome(world.at('b').node.propose(new Uint8Array(size))),
    )
    await world.tick(8)
    expect(outcomes.map(({ state }) => state())).toEqual(['done', 'failed', 'failed', 'done'])
    expect(outcomes[1]!.error()).toMatchObject({ code: 'PROPOSAL_TOO_LARGE' })
    expect(world.at('c').machine.state).toHaveLength(2)
  })
})

async function settled<Value>(world: World, promise: Promise<Value>): Promise<Value> {
  const outcome = watchOutcome(promise)
  await world.settle()
  if (outcome.state() === 'failed') throw outcome.error()
  return outcome.value() as Value
}
