import type { Message, Transport } from '@coracle/raft-core'
import { memoryNetwork } from '@coracle/transport-memory'
import { describe, expect, test } from 'vitest'
import { simulate, type TestedNetwork, type TransportWorld } from '../src/index.ts'

/** The first seed that breaks a rule, and what the simulation says of it; null if none does. */
async function firstViolation(
  transport: (world: TransportWorld) => TestedNetwork,
  seeds = 20,
): Promise<{ seed: number; property: string; why: string } | null> {
  for (let seed = 1; seed <= seeds; seed++) {
    const { violation } = await simulate({ seed, transport, storyLines: 0 })
    if (violation !== null) return { seed, ...violation }
  }
  return null
}

/** A memory network that delivers what `deliver` makes of each message. */
function altered(
  { environment }: TransportWorld,
  deliver: (message: Message) => readonly Message[],
): TestedNetwork {
  const network = memoryNetwork({ environment })
  return {
    transport(id) {
      const inner = network.transport(id)
      const transport: Transport = {
        start: (handlers) =>
          inner.start({
            ...handlers,
            onMessage: (message) => deliver(message).forEach(handlers.onMessage),
          }),
        setPeers: (peers) => inner.setPeers(peers),
        send: (message) => inner.send(message),
        sendSnapshot: (message, open, options) => inner.sendSnapshot(message, open, options),
        [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
      }
      return transport
    },
    cut: (from, to, options) => network.cut(from, to, options),
    heal: () => network.heal(),
    lose: (probability) => network.lose(probability),
    delay: (delay) => network.delay(delay),
  }
}

/** Every so many messages, something else. */
function seldom(
  deliver: (message: Message) => readonly Message[],
): (message: Message) => readonly Message[] {
  let count = 0
  return (message) => (++count % 100 === 0 ? deliver(message) : [message])
}

const BREACH = { property: 'the transport keeps its contract' }

describe('a transport of your own', () => {
  test('that keeps its contract, holds: the network of transport-memory', async () => {
    expect(await firstViolation((world) => memoryNetwork(world), 2)).toBeNull()
  })

  test('is a function of the seed like everything else', async () => {
    const transport = (world: TransportWorld): TestedNetwork => memoryNetwork(world)
    const first = await simulate({ seed: 3, transport })
    expect(await simulate({ seed: 3, transport })).toEqual(first)
    expect(first.tally.messages).toBeGreaterThan(100)
  })

  test('that delivers to the wrong node, is found', async () => {
    const found = await firstViolation((world) =>
      altered(
        world,
        seldom((message) => [{ ...message, to: 'z' }]),
      ),
    )
    expect(found).toMatchObject({
      ...BREACH,
      why: expect.stringMatching(/^[a-z]+ was given .* to z$/),
    })
  })

  test('that delivers twice, is found', async () => {
    const found = await firstViolation((world) =>
      altered(
        world,
        seldom((message) => [message, message]),
      ),
    )
    expect(found).toMatchObject(BREACH)
  })

  test('that lets messages overtake each other, is found', async () => {
    const held: Message[] = []
    const found = await firstViolation((world) =>
      altered(world, (message) => {
        if (message.type === 'heartbeat') return [message, ...held.splice(0).filter(isFor(message))]
        if (held.length < 1) held.push(message)
        return held.includes(message) ? [] : [message]
      }),
    )
    expect(found).toMatchObject(BREACH)
  })

  test('that changes what it carries, is found', async () => {
    const found = await firstViolation((world) =>
      altered(
        world,
        seldom((message) => [{ ...message, term: message.term + 1 }]),
      ),
    )
    expect(found).toMatchObject(BREACH)
  })
})

function isFor({ from, to }: Message): (message: Message) => boolean {
  return (message) => message.from === from && message.to === to
}
