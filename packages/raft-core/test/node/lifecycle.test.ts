import { describe, expect, test } from 'vitest'
import type { NodeStatus } from '../../src/node/status.ts'
import { heartbeat, text, voters } from '../support/messages.ts'
import { watchOutcome, World } from '../support/world.ts'

const ids = ['a', 'b', 'c']

describe('watch', () => {
  function follow(world: World, id: string, signal?: AbortSignal) {
    const seen: NodeStatus[] = []
    const done = watchOutcome(
      (async () => {
        const changes = world.at(id).node.watch(signal === undefined ? {} : { signal })
        for await (const status of changes) seen.push(status)
      })(),
    )
    return { seen, done }
  }

  test('tells the status now, and after every change of role, leader, term or membership', async () => {
    await using world = new World()
    for (const id of ids) await world.start(id, { membership: voters(...ids) })
    const { seen } = follow(world, 'b')
    await world.settle()
    expect(seen.map(({ role, leader, term }) => [role, leader, term])).toEqual([
      ['follower', null, 1],
    ])
    await world.elect('a')
    await world.tick(1)
    expect(seen.at(-1)).toMatchObject({ role: 'follower', leader: 'a', term: 2 })
    const count = seen.length
    watchOutcome(world.at('a').node.propose(text('x')))
    await world.tick(5)
    expect(seen).toHaveLength(count)
  })

  test('a slow reader skips to the newest', async () => {
    await using world = await World.of(ids)
    const changes = world.at('a').node.watch()[Symbol.asyncIterator]()
    await changes.next()
    await world.elect('b')
    await world.elect('c')
    expect(await changes.next()).toMatchObject({ done: false, value: { leader: 'c', term: 4 } })
    await changes.return?.()
  })

  test("ends when the node stops, and with the signal's reason when that aborts", async () => {
    await using world = await World.of(ids)
    const reason = new Error('enough')
    const controller = new AbortController()
    const aborted = follow(world, 'a', controller.signal)
    const ended = follow(world, 'a')
    await world.settle()
    controller.abort(reason)
    await world.settle()
    await world.at('a').node[Symbol.asyncDispose]()
    await world.settle()
    expect(aborted.done.error()).toBe(reason)
    expect(ended.done.state()).toBe('done')
  })
})

describe('transferLeadership', () => {
  test('resolves when another leads, and what is proposed meanwhile is not lost', async () => {
    await using world = await World.of(ids)
    const transfer = watchOutcome(world.at('a').node.transferLeadership('c'))
    const proposal = watchOutcome(world.at('a').node.propose(text('x')))
    await world.tick(3)
    expect(transfer.state()).toBe('done')
    expect(world.at('c').node.status().role).toBe('leader')
    expect(world.at('a').node.status().leader).toBe('c')
    expect(proposal.state()).toBe('done')
  })

  test('NOT_LEADER: with the leader, on a node that does not lead', async () => {
    await using world = await World.of(ids)
    const transfer = watchOutcome(world.at('b').node.transferLeadership('c'))
    await world.settle()
    expect(transfer.error()).toMatchObject({ code: 'NOT_LEADER', leader: 'a' })
  })

  test.each([['z'], ['a']])('UNAVAILABLE: to %s, who cannot take over', async (heir) => {
    await using world = await World.of(ids)
    const transfer = watchOutcome(world.at('a').node.transferLeadership(heir))
    await world.settle()
    expect(transfer.error()).toMatchObject({ code: 'UNAVAILABLE' })
  })

  test('UNAVAILABLE: the heir did not take over, and proposals are taken again', async () => {
    await using world = await World.of(ids)
    world.loses = ({ type }) => type === 'timeout-now'
    const transfer = watchOutcome(world.at('a').node.transferLeadership('b'))
    const proposal = watchOutcome(world.at('a').node.propose(text('x')))
    await world.tick(9)
    expect([transfer.state(), proposal.state()]).toEqual(['waiting', 'waiting'])
    await world.tick(2)
    expect(transfer.error()).toMatchObject({ code: 'UNAVAILABLE', leader: 'a' })
    expect(proposal.state()).toBe('done')
  })

  test('it is not done as long as nobody is known to lead', async () => {
    await using world = await World.of(ids)
    const { node } = world.at('a')
    // It hears that it leads no more, and not who does.
    world.loses = ({ to, type }) => to === 'a' && type !== 'request-vote'
    const transfer = watchOutcome(node.transferLeadership('c'))
    await world.settle()
    expect(world.at('c').node.status().role).toBe('leader')
    expect(node.status()).toMatchObject({ role: 'follower', leader: null })
    expect(transfer.state()).toBe('waiting')
    world.heal()
    await world.tick(3)
    expect(transfer.state()).toBe('done')
  })

  /** a leads two others, of whom it hears no more. It gives up before the transfer has had its time. */
  async function lostOnTheWay(): Promise<{
    readonly world: World
    readonly transfer: ReturnType<typeof watchOutcome>
  }> {
    const world = await World.of(ids)
    await world.tick(10)
    world.isolate('a')
    await world.tick(15, ['a'])
    const transfer = watchOutcome(world.at('a').node.transferLeadership('b'))
    await world.tick(6, ['a'])
    expect(world.at('a').node.status()).toMatchObject({ role: 'follower', leader: null })
    expect(transfer.state()).toBe('waiting')
    return { world, transfer }
  }

  test('UNAVAILABLE: another leads than it was to be', async () => {
    const { world, transfer } = await lostOnTheWay()
    await using _ = world
    world.heal()
    await world.elect('c')
    await world.tick(2)
    expect(transfer.error()).toMatchObject({ code: 'UNAVAILABLE', leader: 'c' })
  })

  test('UNAVAILABLE: leadership was lost, and nobody is known to have it', async () => {
    const { world, transfer } = await lostOnTheWay()
    await using _ = world
    await world.tick(70, ['a'])
    expect(transfer.error()).toMatchObject({ code: 'UNAVAILABLE', leader: null })
  })
})

describe('dispose', () => {
  test('is idempotent, ends time, and leaves the parts to whoever made them', async () => {
    await using world = await World.of(ids)
    const { node } = world.at('a')
    await node[Symbol.asyncDispose]()
    await node[Symbol.asyncDispose]()
    expect(await node.stopped).toBe(null)
    const before = world.sent.length
    await world.tick(20, ['a'])
    expect(world.sent.length).toBe(before)
  })

  test('waits for the write under way, and acknowledges it to nobody', async () => {
    await using world = await World.of(['a'])
    const { node, storage } = world.at('a')
    storage.appends.isShut = true
    const proposal = watchOutcome(node.propose(text('x')))
    await world.settle()
    const disposed = watchOutcome(Promise.resolve(node[Symbol.asyncDispose]()))
    await world.settle()
    expect([proposal.state(), disposed.state()]).toEqual(['failed', 'waiting'])
    storage.appends.open()
    await world.settle()
    expect(disposed.state()).toBe('done')
    expect(proposal.error()).toMatchObject({ code: 'STOPPED' })
  })

  test('everything asked for afterwards is refused: STOPPED', async () => {
    await using world = await World.of(ids)
    const { node } = world.at('a')
    await node[Symbol.asyncDispose]()
    for (const asking of [
      node.propose(text('x')),
      node.read(),
      node.snapshot(),
      node.transferLeadership(),
    ])
      await expect(asking).rejects.toMatchObject({ code: 'STOPPED' })
  })
})

describe('time', () => {
  test('a process that stood still is not late: what arrived meanwhile is taken in first', async () => {
    await using world = await World.of(ids, { preVote: false, checkQuorum: false })
    const { term } = world.at('b').node.status()
    for (let stall = 0; stall < 10; stall++) {
      world.beat('b', 50)
      await world.deliver(heartbeat({ from: 'a', to: 'b', term }))
    }
    expect(world.at('b').node.status()).toMatchObject({ role: 'follower', leader: 'a', term })
  })

  test('a slow state machine holds up neither heartbeats nor elections', async () => {
    await using world = await World.of(ids)
    for (const id of ids) {
      world.at(id).machine.isAsync = true
      world.at(id).machine.applies.isShut = true
    }
    const outcome = watchOutcome(world.at('a').node.propose(text('x')))
    await world.tick(30)
    expect(world.at('a').node.status()).toMatchObject({ role: 'leader', term: 2, commitIndex: 3 })
    expect(outcome.state()).toBe('waiting')
    for (const id of ids) world.at(id).machine.applies.open()
    await world.settle()
    expect(outcome.state()).toBe('done')
  })

  test('a long backlog is applied in helpings of bounded size, in order, each command once', async () => {
    await using world = await World.of(['a'], { maxApplyBytes: 500 })
    const { machine, node } = world.at('a')
    machine.isAsync = true
    const outcomes = Array.from({ length: 40 }, (_, at) =>
      watchOutcome(node.propose(text(`${at}`.padStart(100, '0')))),
    )
    await world.settle()
    expect(outcomes.every(({ state }) => state() === 'done')).toBe(true)
    expect(machine.applied).toEqual(Array.from({ length: 40 }, (_, at) => at + 3))
  })
})
