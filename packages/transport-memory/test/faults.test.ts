import type {
  Environment,
  Heartbeat,
  InstallSnapshot,
  Message,
  Transport,
} from '@coracle/raft-core'
import { beforeEach, describe, expect, test } from 'vitest'
import { memoryNetwork, type MemoryNetwork } from '../src/index.ts'

/** Time that stands still until a test moves it, and dice that fall as a test says. */
class ManualEnvironment implements Environment {
  dice: () => number = () => 0.5
  #now = 0
  #turns: (() => void)[] = []
  readonly #timers = new Set<{ dueAt: number; intervalMs: number; beat: () => void }>()

  now(): number {
    return this.#now
  }

  random(): number {
    return this.dice()
  }

  schedule(turn: () => void): void {
    this.#turns.push(turn)
  }

  every(intervalMs: number, beat: () => void): () => void {
    const timer = { dueAt: this.#now + intervalMs, intervalMs, beat }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Runs every turn that is waiting, and those that they schedule. */
  run(): void {
    while (this.#turns.length > 0) for (const turn of this.#turns.splice(0)) turn()
  }

  /** Lets time pass, millisecond by millisecond. */
  pass(forMs: number): void {
    for (let left = forMs; left > 0; left--) {
      this.#now += 1
      for (const timer of this.#timers)
        if (timer.dueAt <= this.#now) {
          timer.dueAt += Math.max(timer.intervalMs, 1)
          timer.beat()
        }
      this.run()
    }
  }
}

let environment: ManualEnvironment
let network: MemoryNetwork
let nodes: Record<'a' | 'b' | 'c', Transport>
let delivered: string[]
let unreachable: string[]

beforeEach(async () => {
  environment = new ManualEnvironment()
  network = memoryNetwork({ environment, maxQueuedMessages: 10 })
  nodes = { a: network.transport('a'), b: network.transport('b'), c: network.transport('c') }
  delivered = []
  unreachable = []
  for (const [id, transport] of Object.entries(nodes)) {
    await transport.start({
      onMessage: (message) => delivered.push(show(message)),
      onSnapshot: async (_message, open) => {
        const { chunks } = await open({ bytes: 0, checksum: 0 })
        for await (const chunk of chunks) delivered.push(`${id} got ${chunk.length}`)
      },
      onUnreachable: (peer) => unreachable.push(`${id} lost ${peer}`),
    })
    transport.setPeers(['a', 'b', 'c'].map((peer) => ({ id: peer, address: '' })))
  }
})

type Name = 'a' | 'b' | 'c'

function show(message: Message): string {
  return `${message.from}${message.to}${message.type === 'heartbeat' ? message.round : ''}`
}

function send(from: Name, to: Name, ...rounds: number[]): void {
  for (const round of rounds) {
    const beat: Heartbeat = {
      type: 'heartbeat',
      from,
      to,
      term: 1,
      commitIndex: 0,
      round,
      address: '',
    }
    nodes[from].send(beat)
  }
}

function sendSnapshot(chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const meta = {
    position: { term: 1, index: 1 },
    membership: { voters: [], outgoing: [], learners: [], peers: [], removed: [] },
    membershipIndex: 1,
  }
  const message: InstallSnapshot = { type: 'install-snapshot', from: 'a', to: 'b', term: 1, meta }
  const open = async () => ({ offset: 0, chunks })
  return nodes.a.sendSnapshot(message, open, { signal: new AbortController().signal })
}

/** Lets promises settle, with turns in between. */
async function settle(): Promise<void> {
  for (let times = 0; times < 20; times++) {
    await Promise.resolve()
    environment.run()
  }
}

describe('delivery', () => {
  test('waits for a turn of its own, and takes with it all that was sent before', () => {
    send('a', 'b', 1, 2)
    send('c', 'b', 3)
    expect(delivered).toEqual([])
    environment.run()
    expect(delivered).toEqual(['ab1', 'ab2', 'cb3'])
  })

  test('gives the message itself: nothing is encoded', async () => {
    const other = memoryNetwork({ environment })
    const [from, to] = [other.transport('a'), other.transport('b')]
    const received: Message[] = []
    const silent = { onSnapshot: () => Promise.resolve(), onUnreachable: () => {} }
    await from.start({ ...silent, onMessage: () => {} })
    await to.start({ ...silent, onMessage: (message) => received.push(message) })
    from.setPeers([{ id: 'b', address: '' }])
    const message: Message = { type: 'timeout-now', from: 'a', to: 'b', term: 1 }
    from.send(message)
    environment.run()
    expect(received[0]).toBe(message)
  })

  test('drops what does not fit in the queue of its receiver, and says so', () => {
    send('a', 'b', ...Array.from({ length: 12 }, (_, at) => at))
    environment.run()
    expect(delivered).toHaveLength(10)
    expect(unreachable).toEqual(['a lost b'])
  })
})

describe('a cut', () => {
  test('stops everything between two nodes, both ways, and nothing else', () => {
    network.cut('a', 'b')
    send('a', 'b', 1)
    send('b', 'a', 2)
    send('a', 'c', 3)
    send('c', 'b', 4)
    environment.run()
    expect(delivered).toEqual(['ac3', 'cb4'])
    expect(unreachable).toEqual(['a lost b', 'b lost a'])
  })

  test('also stops what is on its way', () => {
    send('a', 'b', 1)
    network.cut('a', 'b')
    environment.run()
    expect(delivered).toEqual([])
  })

  test('may be one way only', () => {
    network.cut('a', 'b', { oneWay: true })
    send('a', 'b', 1)
    send('b', 'a', 2)
    environment.run()
    expect(delivered).toEqual(['ba2'])
  })

  test('is healed for two nodes, or for all', () => {
    network.partition(['a'], ['b', 'c'])
    send('b', 'c', 1)
    send('a', 'b', 2)
    network.heal('a', 'b')
    send('a', 'b', 3)
    send('a', 'c', 4)
    network.heal()
    send('c', 'a', 5)
    environment.run()
    expect(delivered.toSorted()).toEqual(['ab3', 'bc1', 'ca5'])
  })

  test('breaks the snapshots between the two, at both ends', async () => {
    async function* chunks(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(7)
      await new Promise(() => {})
    }
    const sending = sendSnapshot(chunks())
    const failed = expect(sending).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    await settle()
    expect(delivered).toEqual(['b got 7'])
    network.cut('b', 'a', { oneWay: true })
    await failed
    await expect(sendSnapshot(chunks())).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })
})

describe('loss', () => {
  test('takes as many messages as its probability says', () => {
    const falls = [0.1, 0.29, 0.3, 0.9]
    environment.dice = () => falls.shift() ?? 0.99
    network.lose(0.3)
    send('a', 'b', 1, 2, 3, 4)
    network.lose(0)
    send('a', 'b', 5)
    environment.run()
    expect(delivered).toEqual(['ab3', 'ab4', 'ab5'])
  })

  test.each([-0.1, 1.1, Number.NaN])('with a probability of %d is a mistake', (probability) => {
    expect(() => network.lose(probability)).toThrow(RangeError)
  })
})

describe('delay', () => {
  test('holds messages back for as long as it says', () => {
    network.delay(10)
    send('a', 'b', 1)
    environment.pass(9)
    expect(delivered).toEqual([])
    environment.pass(2)
    expect(delivered).toEqual(['ab1'])
  })

  test('never lets one message overtake another of the same sender', () => {
    const falls = [0.9, 0.1, 0.5]
    environment.dice = () => falls.shift() ?? 0
    network.delay({ minMs: 1, maxMs: 100 })
    send('a', 'b', 1, 2, 3)
    network.delay(0)
    send('a', 'b', 4)
    send('c', 'b', 5)
    environment.pass(120)
    expect(delivered).toEqual(['cb5', 'ab1', 'ab2', 'ab3', 'ab4'])
  })

  test('holds back no more than fits in the queue', () => {
    network.delay(5)
    send('a', 'b', ...Array.from({ length: 12 }, (_, at) => at))
    environment.pass(10)
    expect(delivered).toHaveLength(10)
  })

  test('does not bring a message across a cut that was made meanwhile', () => {
    network.delay(5)
    send('a', 'b', 1)
    network.cut('a', 'b')
    environment.pass(10)
    expect(delivered).toEqual([])
  })

  test('is over once it is taken back and everything has arrived', () => {
    network.delay(5)
    send('a', 'b', 1)
    network.delay(0)
    environment.pass(10)
    send('a', 'b', 2)
    environment.run()
    expect(delivered).toEqual(['ab1', 'ab2'])
  })

  test.each([-1, Number.NaN, Infinity])('of %d ms is a mistake', (delayMs) => {
    expect(() => network.delay(delayMs)).toThrow(RangeError)
  })
})

describe('a rule', () => {
  test('drops or replaces what it sees, until it is taken away', () => {
    const remove = network.intercept((message) => {
      if (message.type !== 'heartbeat' || message.round === 1) return null
      return { ...message, round: message.round * 10 }
    })
    send('a', 'b', 1, 2)
    remove()
    send('a', 'b', 1)
    environment.run()
    expect(delivered).toEqual(['ab20', 'ab1'])
    expect(unreachable).toEqual([])
  })

  test('may stop a snapshot', async () => {
    network.intercept((message) => (message.type === 'install-snapshot' ? null : message))
    async function* none(): AsyncGenerator<Uint8Array> {}
    await expect(sendSnapshot(none())).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })
})
