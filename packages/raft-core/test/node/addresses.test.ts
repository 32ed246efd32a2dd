import { describe, expect, test } from 'vitest'
import { heartbeat, preVote, requestVote, voters } from '../support/messages.ts'
import { World } from '../support/world.ts'

const peer = (id: string) => ({ id, address: `${id}:1` })

describe('a node can answer whoever asks it', () => {
  test('one that was away while all others were replaced follows their leader, and catches up', async () => {
    await using world = await World.of(['a', 'b', 'c'])
    world.isolate('c')
    await world.start('d', { contacts: [peer('a')] })
    const { node } = world.at('a')
    const changed = node.changeMembership([{ type: 'add-voter', peer: peer('d') }])
    await world.tick(3)
    await changed
    await world.elect('d')
    await world.tick(3)
    expect(world.peers.get('c')).not.toContainEqual(peer('d'))
    world.heal()
    await world.tick(40)
    const { commitIndex } = world.at('d').node.status()
    expect(world.at('c').node.status()).toMatchObject({ role: 'follower', commitIndex })
    expect(world.at('c').node.status().membership.voters).toEqual(['a', 'b', 'c', 'd'])
  })

  async function alone(): Promise<World> {
    const world = new World()
    await world.start('a', { membership: voters('a', 'b', 'c') })
    return world
  }

  test.each([preVote, requestVote])('a candidate that it does not know', async (ask) => {
    await using world = await alone()
    const last = [1, 9] as const
    await world.deliver(ask({ from: 'd', to: 'a', term: 4, last, address: 'd:1' }))
    expect(world.peers.get('a')).toContainEqual(peer('d'))
    expect(world.sent.some(({ to }) => to === 'd')).toBe(true)
  })

  test('what the leader says of itself counts, and what others say of members does not', async () => {
    await using world = await alone()
    const addressOfB = () => world.peers.get('a')?.find(({ id }) => id === 'b')?.address
    const before = addressOfB()
    await world.deliver(preVote({ from: 'b', to: 'a', term: 3, last: [0, 0], address: 'old:1' }))
    expect(addressOfB()).toBe(before)
    await world.deliver(heartbeat({ from: 'b', to: 'a', term: 3, address: 'new:1' }))
    expect(addressOfB()).toBe('new:1')
    await world.deliver(heartbeat({ from: 'c', to: 'a', term: 2, address: 'old:1' }))
    expect(world.peers.get('a')).not.toContainEqual({ id: 'c', address: 'old:1' })
  })

  test('strangers are remembered in a bounded number', async () => {
    await using world = await alone()
    for (let n = 0; n < 100; n++)
      await world.deliver(
        preVote({ from: `x${n}`, to: 'a', term: 3, last: [0, 0], address: `x${n}:1` }),
      )
    expect(world.peers.get('a')).toHaveLength(3 + 64)
    expect(world.peers.get('a')).toContainEqual(peer('x99'))
  })

  test('a leader that removes itself hears what commits its removal', async () => {
    await using world = await World.of(['a', 'b', 'c'], { checkQuorum: false })
    const changed = world.at('a').node.changeMembership([{ type: 'remove', id: 'a' }])
    await world.tick(2)
    await expect(changed).resolves.toMatchObject({ voters: ['b', 'c'] })
  })

  test('a node that is removed hears so, and is forgotten then', async () => {
    await using world = await World.of(['a', 'b', 'c'])
    const changed = world.at('a').node.changeMembership([{ type: 'remove', id: 'c' }])
    await world.tick(1)
    await changed
    expect(world.at('c').node.status().membership.voters).toEqual(['a', 'b'])
    await world.tick(30)
    expect(world.peers.get('a')?.map(({ id }) => id)).toEqual(['a', 'b'])
  })
})
