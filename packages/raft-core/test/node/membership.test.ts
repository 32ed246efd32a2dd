import { describe, expect, test } from 'vitest'
import type { MembershipChange } from '../../src/types.ts'
import { text, voters } from '../support/messages.ts'
import { watchOutcome, World } from '../support/world.ts'

const ids = ['a', 'b', 'c']
/** Whom a newcomer can answer before it is told who takes part. */
const contacts = voters(...ids).peers
const addVoter = (id: string): MembershipChange => ({
  type: 'add-voter',
  peer: { id, address: id },
})
const remove = (id: string): MembershipChange => ({ type: 'remove', id })

describe('changeMembership', () => {
  test('resolves with the new membership once it is committed, and joint no longer', async () => {
    await using world = await World.of(ids)
    await world.start('d', { contacts })
    await world.start('e', { contacts })
    world.isolate('d', 'e')
    const outcome = watchOutcome(
      world.at('a').node.changeMembership([remove('c'), addVoter('d'), addVoter('e')]),
    )
    await world.tick(3)
    expect(world.at('a').node.status().membership.outgoing).toEqual(ids)
    expect(outcome.state()).toBe('waiting')
    world.heal()
    await world.tick(3)
    expect(outcome.value()).toMatchObject({ voters: ['a', 'b', 'd', 'e'], outgoing: [] })
  })

  test('a node that is added gets what was applied before', async () => {
    await using world = await World.of(ids)
    watchOutcome(world.at('a').node.propose(text('x')))
    await world.start('d', { contacts })
    watchOutcome(world.at('a').node.changeMembership([addVoter('d')]))
    await world.tick(3)
    expect(world.at('d').machine.state).toEqual(['x'])
    expect(world.at('d').node.status().membership.voters).toEqual(['a', 'b', 'c', 'd'])
  })

  test('NOT_LEADER: with the leader, on a node that does not lead', async () => {
    await using world = await World.of(ids)
    const outcome = watchOutcome(world.at('b').node.changeMembership([remove('c')]))
    await world.settle()
    expect(outcome.error()).toMatchObject({ code: 'NOT_LEADER', leader: 'a' })
  })

  test('MEMBERSHIP_CHANGE_PENDING: another is under way, and nothing of this one happens', async () => {
    await using world = await World.of(ids)
    world.isolate('b', 'c')
    const first = watchOutcome(world.at('a').node.changeMembership([addVoter('d')]))
    const second = watchOutcome(world.at('a').node.changeMembership([addVoter('e')]))
    await world.settle()
    expect(second.error()).toMatchObject({ code: 'MEMBERSHIP_CHANGE_PENDING' })
    expect(first.state()).toBe('waiting')
    expect(world.at('a').node.status().membership.voters).not.toContain('e')
  })

  test('MEMBERSHIP_CHANGE_REFUSED: it makes no sense as it is', async () => {
    await using world = await World.of(ids)
    const outcome = watchOutcome(world.at('a').node.changeMembership([addVoter('b')]))
    await world.settle()
    expect(outcome.error()).toMatchObject({ code: 'MEMBERSHIP_CHANGE_REFUSED' })
  })

  test('MEMBERSHIP_CHANGE_REFUSED: the membership is another than the one that was seen', async () => {
    await using world = await World.of(ids)
    const { node } = world.at('a')
    const { membershipIndex: expectedIndex } = node.status()
    const first = watchOutcome(node.changeMembership([remove('c')], { expectedIndex }))
    await world.tick(2)
    const second = watchOutcome(node.changeMembership([remove('b')], { expectedIndex }))
    await world.tick(2)
    expect(first.value()).toMatchObject({ voters: ['a', 'b'] })
    expect(second.error()).toMatchObject({ code: 'MEMBERSHIP_CHANGE_REFUSED' })
  })

  test('OUTCOME_UNKNOWN: leadership changed before it was complete', async () => {
    await using world = await World.of(ids)
    world.isolate('a')
    const outcome = watchOutcome(world.at('a').node.changeMembership([addVoter('d')]))
    await world.settle()
    await world.elect('b')
    world.heal()
    await world.tick(3)
    expect(outcome.error()).toMatchObject({ code: 'OUTCOME_UNKNOWN', leader: 'b' })
    expect(world.at('a').node.status().membership.voters).toEqual(ids)
  })

  test('OUTCOME_UNKNOWN: no majority made it complete in time', async () => {
    await using world = await World.of(ids, { requestTimeoutTicks: 5 })
    world.isolate('a')
    const outcome = watchOutcome(world.at('a').node.changeMembership([addVoter('d')]))
    await world.tick(4)
    expect(outcome.state()).toBe('waiting')
    await world.tick(1)
    expect(outcome.error()).toMatchObject({ code: 'OUTCOME_UNKNOWN', leader: 'a' })
  })

  test('STOPPED: the node was disposed while it waited', async () => {
    await using world = await World.of(ids)
    world.isolate('a')
    const outcome = watchOutcome(world.at('a').node.changeMembership([addVoter('d')]))
    await world.settle()
    await world.at('a').node[Symbol.asyncDispose]()
    await world.settle()
    expect(outcome.error()).toMatchObject({ code: 'STOPPED' })
  })

  test('aborting ends the wait, not the change', async () => {
    await using world = await World.of(ids)
    world.isolate('b', 'c')
    const controller = new AbortController()
    const { node } = world.at('a')
    const outcome = watchOutcome(
      node.changeMembership([remove('c')], { signal: controller.signal }),
    )
    await world.settle()
    const reason = new Error('enough')
    controller.abort(reason)
    await world.settle()
    expect(outcome.error()).toBe(reason)
    world.heal()
    await world.tick(3)
    expect(world.at('b').node.status().membership.voters).toEqual(['a', 'b'])
  })

  test('a leader that removes itself is told that it is done, and another leads', async () => {
    await using world = await World.of(ids)
    const outcome = watchOutcome(world.at('a').node.changeMembership([remove('a')]))
    await world.tick(3)
    expect(outcome.value()).toMatchObject({ voters: ['b', 'c'] })
    expect(world.at('a').node.status().role).toBe('follower')
    expect(['b', 'c'].map((id) => world.at(id).node.status().role)).toContain('leader')
  })

  test('reads that wait for a member that is gone are served once it is removed', async () => {
    await using world = await World.of(['a', 'b'])
    world.isolate('b')
    const read = watchOutcome(world.at('a').node.read())
    await world.settle()
    expect(read.state()).toBe('waiting')
    const change = watchOutcome(world.at('a').node.changeMembership([remove('b')]))
    await world.settle()
    expect(change.value()).toMatchObject({ voters: ['a'] })
    expect(read.state()).toBe('done')
  })
})
