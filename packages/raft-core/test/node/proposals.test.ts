import { describe, expect, test } from 'vitest'
import type { RaftError } from '../../src/errors.ts'
import { only, text, voters } from '../support/messages.ts'
import { watchOutcome, World } from '../support/world.ts'

const ids = ['a', 'b', 'c']
const propose = (world: World, id: string, words: string, signal?: AbortSignal) =>
  watchOutcome(world.at(id).node.propose(text(words), signal === undefined ? {} : { signal }))

describe('propose: it happened', () => {
  test("resolves with the place in the log and the state machine's answer, once applied here", async () => {
    await using world = await World.of(ids)
    const outcome = propose(world, 'a', 'x')
    await world.settle()
    expect(outcome.value()).toEqual({ index: 3, term: 2, result: 'x is number 1' })
    expect(world.at('a').machine.state).toEqual(['x'])
  })

  test('works on a follower, and is answered when it is applied there', async () => {
    await using world = await World.of(ids)
    const { machine } = world.at('b')
    machine.isAsync = true
    machine.applies.isShut = true
    const outcome = propose(world, 'b', 'x')
    await world.tick(2)
    expect(world.at('a').machine.state).toEqual(['x'])
    expect(outcome.state()).toBe('waiting')
    machine.applies.open()
    await world.settle()
    expect(outcome.value()).toEqual({ index: 3, term: 2, result: 'x is number 1' })
  })

  test('waits for a leader', async () => {
    await using world = new World()
    for (const id of ids) await world.start(id, { membership: voters(...ids) })
    const outcomes = ids.map((id) => propose(world, id, `from ${id}`))
    await world.settle()
    expect(outcomes.map(({ state }) => state())).toEqual(['waiting', 'waiting', 'waiting'])
    await world.elect('b')
    await world.tick(2)
    expect(outcomes.map(({ state }) => state())).toEqual(['done', 'done', 'done'])
  })

  test('is not lost when the leader has no room: it waits its turn', async () => {
    await using world = await World.of(ids, { maxUncommittedBytes: 400 })
    const outcomes = Array.from({ length: 20 }, (_, at) =>
      propose(world, at % 2 === 0 ? 'a' : 'b', `${at}`.padEnd(100, 'x')),
    )
    await world.tick(30)
    expect(outcomes.map(({ state }) => state())).toEqual(Array(20).fill('done'))
  })

  test('the commands of one node are applied in the order they were proposed', async () => {
    await using world = await World.of(ids)
    const words = Array.from({ length: 50 }, (_, at) => `${at}`)
    for (const word of words) propose(world, 'b', word)
    await world.tick(3)
    for (const id of ids) expect(world.at(id).machine.state).toEqual(words)
  })

  test('everything that is proposed in one turn shares one write', async () => {
    await using world = await World.of(ids)
    world.at('a').storage.appends.isShut = true
    for (let i = 0; i < 100; i++) propose(world, 'a', `${i}`)
    await world.settle()
    expect(world.at('a').storage.appends.waiting).toBe(1)
    world.at('a').storage.appends.open()
    await world.settle()
    expect(world.at('a').machine.state).toHaveLength(100)
  })
})

describe('propose: it did not happen', () => {
  test('PROPOSAL_TOO_LARGE: beyond maxCommandBytes', async () => {
    await using world = await World.of(['a'], { maxCommandBytes: 10 })
    const fits = propose(world, 'a', '0123456789')
    const large = propose(world, 'a', '0123456789+')
    await world.settle()
    expect(fits.state()).toBe('done')
    expect(large.error()).toMatchObject({ code: 'PROPOSAL_TOO_LARGE' })
    expect(world.at('a').machine.state).toEqual(['0123456789'])
  })

  test('PROPOSAL_DROPPED: no leader was there in time', async () => {
    await using world = await World.of(ids, { requestTimeoutTicks: 30 })
    world.isolate(...ids)
    await world.tick(25)
    const outcome = propose(world, 'b', 'x')
    await world.tick(29)
    expect(outcome.state()).toBe('waiting')
    await world.tick(2)
    expect(outcome.error()).toMatchObject({ code: 'PROPOSAL_DROPPED', leader: null })
    world.heal()
    await world.tick(60)
    for (const id of ids) expect(world.at(id).machine.state).toEqual([])
  })

  test('PROPOSAL_DROPPED: too many wait, and there is room again when they are settled', async () => {
    await using world = await World.of(ids, { maxPendingProposals: 3, requestTimeoutTicks: 50 })
    world.isolate('a')
    const waiting = ['1', '2', '3'].map((words) => propose(world, 'a', words))
    await world.settle()
    const refused = propose(world, 'a', '4')
    await world.settle()
    expect(refused.error()).toMatchObject({ code: 'PROPOSAL_DROPPED' })
    // Another leads, and what stood in the old leader's log is overwritten.
    await world.elect('b')
    const kept = [1, 2, 3, 4].map((n) => propose(world, 'b', `kept ${n}`))
    await world.settle()
    world.heal()
    await world.tick(5)
    expect(kept.slice(0, 3).map(({ state }) => state())).toEqual(['done', 'done', 'done'])
    expect(waiting.map(({ error }) => (error() as RaftError).code)).toEqual(
      Array(3).fill('PROPOSAL_DROPPED'),
    )
    const later = propose(world, 'a', '5')
    await world.tick(2)
    expect(later.state()).toBe('done')
  })

  test('what was passed on and answered waits no longer', async () => {
    await using world = await World.of(ids, { maxPendingProposals: 3 })
    for (let round = 0; round < 5; round++) {
      const outcomes = [1, 2, 3].map((n) => propose(world, 'b', `${round}.${n}`))
      await world.tick(2)
      expect(outcomes.map(({ state }) => state())).toEqual(['done', 'done', 'done'])
    }
  })

  test('PROPOSAL_DROPPED: another entry was committed in its place', async () => {
    await using world = await World.of(ids)
    world.isolate('a')
    const lost = propose(world, 'a', 'lost')
    await world.settle()
    await world.elect('b')
    propose(world, 'b', 'kept')
    await world.settle()
    expect(lost.state()).toBe('waiting')
    world.heal()
    await world.tick(3)
    expect(lost.error()).toMatchObject({ code: 'PROPOSAL_DROPPED' })
    for (const id of ids) expect(world.at(id).machine.state).toEqual(['kept'])
  })
})

describe('propose: perhaps it happened', () => {
  test('OUTCOME_UNKNOWN: the leader changed before it said what it did with it', async () => {
    await using world = await World.of(ids)
    world.loses = ({ type }) => type === 'propose-reply'
    const outcome = propose(world, 'b', 'x')
    await world.settle()
    expect(world.at('a').machine.state).toEqual(['x'])
    expect(outcome.state()).toBe('waiting')
    world.isolate('a')
    await world.elect('c')
    expect(outcome.error()).toMatchObject({ code: 'OUTCOME_UNKNOWN' })
  })

  test('OUTCOME_UNKNOWN: it was not committed in time, and may be later', async () => {
    await using world = await World.of(ids, { requestTimeoutTicks: 5, electionTicks: 50 })
    world.isolate('a')
    const outcome = propose(world, 'a', 'x')
    await world.tick(6)
    expect(outcome.error()).toMatchObject({ code: 'OUTCOME_UNKNOWN', leader: 'a' })
    world.heal()
    await world.tick(3)
    expect(world.at('b').machine.state).toEqual(['x'])
  })

  test('OUTCOME_UNKNOWN: the leader did not answer in time', async () => {
    await using world = await World.of(ids, { requestTimeoutTicks: 5 })
    world.loses = ({ type }) => type === 'propose'
    const outcome = propose(world, 'b', 'x')
    await world.tick(6)
    expect(outcome.error()).toMatchObject({ code: 'OUTCOME_UNKNOWN', leader: 'a' })
  })

  test('OUTCOME_UNKNOWN: a snapshot replaced the log where it stood', async () => {
    await using world = await World.of(ids, { snapshotEntries: 5, keepEntries: 0 })
    world.isolate('a')
    const outcome = propose(world, 'a', 'lost?')
    await world.settle()
    await world.elect('b')
    for (let i = 0; i < 20; i++) propose(world, 'b', `${i}`)
    await world.settle()
    expect(world.at('b').node.status().firstIndex).toBeGreaterThan(4)
    world.heal()
    await world.tick(6)
    expect(world.streams.map(({ to }) => to)).toContain('a')
    expect(outcome.error()).toMatchObject({ code: 'OUTCOME_UNKNOWN' })
  })

  test('STOPPED: the node was disposed while it waited', async () => {
    await using world = await World.of(ids)
    world.isolate('a')
    const outcome = propose(world, 'a', 'x')
    await world.settle()
    await world.at('a').node[Symbol.asyncDispose]()
    await world.settle()
    expect(outcome.error()).toMatchObject({ code: 'STOPPED' })
    await expect(world.at('a').node.propose(text('y'))).rejects.toMatchObject({ code: 'STOPPED' })
  })
})

describe('propose: signals', () => {
  test('one that is aborted already proposes nothing', async () => {
    await using world = await World.of(ids)
    const reason = new Error('no')
    const outcome = propose(world, 'a', 'x', AbortSignal.abort(reason))
    await world.tick(2)
    expect(outcome.error()).toBe(reason)
    expect(world.at('a').machine.state).toEqual([])
  })

  test('before it was handed on, aborting takes it back', async () => {
    await using world = await World.of(ids)
    world.isolate(...ids)
    await world.tick(25)
    const controller = new AbortController()
    const outcome = propose(world, 'b', 'x', controller.signal)
    await world.settle()
    controller.abort(new Error('enough'))
    await world.settle()
    expect(outcome.error()).toEqual(new Error('enough'))
    world.heal()
    await world.tick(60)
    expect(world.at('b').machine.state).toEqual([])
  })

  test('after that, aborting ends the wait and nothing else', async () => {
    await using world = await World.of(ids)
    world.loses = ({ type }) => type === 'append-entries-reply'
    const controller = new AbortController()
    const outcome = propose(world, 'a', 'x', controller.signal)
    await world.settle()
    controller.abort()
    await world.settle()
    expect(outcome.error()).toMatchObject({ name: 'AbortError' })
    world.heal()
    await world.tick(3)
    expect(world.at('a').machine.state).toEqual(['x'])
  })
})

describe('forwarding', () => {
  test('a follower sends what it was given in one message, cut at a megabyte', async () => {
    await using world = await World.of(ids)
    const before = world.sent.length
    for (let i = 0; i < 3; i++) watchOutcome(world.at('b').node.propose(new Uint8Array(500_000)))
    await world.settle()
    const batches = only(world.sent.slice(before), 'propose')
    expect(batches.map(({ commands }) => commands.length)).toEqual([2, 1])
    expect(world.at('b').machine.state).toHaveLength(3)
  })

  test('what the leader has no room for is passed on again with time, not at once', async () => {
    await using world = await World.of(ids, { maxUncommittedBytes: 400 })
    world.loses = ({ type }) => type === 'append-entries-reply'
    propose(world, 'a', 'x'.repeat(400))
    await world.settle()
    const before = world.sent.length
    const outcome = propose(world, 'b', 'y')
    await world.tick(3)
    expect(only(world.sent.slice(before), 'propose').length).toBeLessThanOrEqual(4)
    world.heal()
    await world.tick(5)
    expect(outcome.state()).toBe('done')
  })

  test('an answer that comes twice, or to nobody, settles nothing', async () => {
    await using world = await World.of(ids)
    const outcome = propose(world, 'b', 'x')
    await world.settle()
    const [reply] = only(world.sent, 'propose-reply')
    await world.deliver(reply!)
    await world.deliver({ ...reply!, id: 1 })
    expect(outcome.state()).toBe('done')
    const next = propose(world, 'b', 'y')
    await world.settle()
    expect(next.value()).toMatchObject({ result: 'y is number 2' })
  })

  test('a node that does not lead takes nothing that is passed on to it', async () => {
    await using world = await World.of(ids)
    await world.deliver({
      type: 'propose',
      from: 'b',
      to: 'c',
      term: 2,
      id: 7,
      commands: [text('x')],
    })
    expect(only(world.sent, 'propose-reply')).toMatchObject([{ to: 'b', id: 7, accepted: 0 }])
    expect(world.at('c').machine.state).toEqual([])
  })
})
