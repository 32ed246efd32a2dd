/** What every transport promises: one test for each sentence of the contract. */
import type { AppendEntries, Message } from '../messages.ts'
import type { Entry } from '../types.ts'
import { check, checkEqual, seededBytes, type TestFunction } from './check.ts'
import { addressTests } from './transport-addresses.ts'
import {
  eventually,
  heartbeat,
  openCluster,
  rejection,
  type Promised,
  type TransportNetwork,
} from './transport-cluster.ts'
import { snapshotTests } from './transport-snapshots.ts'

export type { TransportNetwork } from './transport-cluster.ts'

/** What the suite needs to know of a transport. What is optional here decides which areas are tested. */
export interface TransportConformance {
  /** Registers a test, as the runner of your choice does. */
  readonly test: TestFunction
  readonly open: () => Promise<TransportNetwork>
  /** So many messages of 64 KiB, sent in one go, are more than a transport holds for one peer. */
  readonly floodMessages: number
  /**
   * An address at which nobody is, for a transport whose addresses may be several, with commas between
   * them: of a peer, and of a node that listens.
   */
  readonly vacantAddress?: () => Promise<string>
}

/** Registers the tests that hold a transport to its contract. They hold no Raft. */
export function transportConformance(conformance: TransportConformance): void {
  const promise: Promised = (name, body) =>
    conformance.test(name, async () => {
      const cluster = await openCluster(conformance.open)
      try {
        await body(cluster)
      } finally {
        await cluster[Symbol.asyncDispose]()
      }
    })
  startTests(promise)
  deliveryTests(promise)
  lossTests(promise, conformance.floodMessages)
  peerTests(promise)
  snapshotTests(promise)
  if (conformance.vacantAddress !== undefined) addressTests(promise, conformance.vacantAddress)
}

function startTests(promise: Promised): void {
  promise('start resolves when peers can reach this node', async (cluster) => {
    const late = await cluster.start('d')
    cluster.a.transport.setPeers(cluster.peers())
    await cluster.reached('a', 'd')
    check(late.greeted.has('a'), 'd heard nothing')
  })

  promise('start rejects if the address is taken', async (cluster) => {
    const second = cluster.network.transport('a', cluster.address('a'))
    const reason = await rejection('starting twice in one place', second.start(SILENT))
    check(reason instanceof Error, 'the reason is no Error')
    await second[Symbol.asyncDispose]()
    await cluster.reached('b', 'a')
  })

  promise('start is called once', async (cluster) => {
    await rejection('a second start', cluster.a.transport.start(SILENT))
    await cluster.reached('b', 'a')
  })

  promise('send never throws: not before start, not after disposal', async (cluster) => {
    const early = cluster.network.transport('d')
    early.send(heartbeat('d', 'a', 1))
    early.setPeers(cluster.peers())
    early.send(heartbeat('d', 'a', 2))
    await early[Symbol.asyncDispose]()
    early.send(heartbeat('d', 'a', 3))
    early.setPeers(cluster.peers())
    await cluster.reached('b', 'a')
    check(cluster.a.rounds('d').length === 0, 'a transport that never ran sent something')
  })

  promise('disposing twice is as good as once, and before start too', async (cluster) => {
    await cluster.a.transport[Symbol.asyncDispose]()
    await cluster.a.transport[Symbol.asyncDispose]()
    const early = cluster.network.transport('d')
    await early[Symbol.asyncDispose]()
    await early[Symbol.asyncDispose]()
    await rejection('start after disposal', early.start(SILENT))
  })
}

function deliveryTests(promise: Promised): void {
  promise('every kind of message arrives as it was sent', async ({ a, b }) => {
    const messages = everyMessage()
    for (const message of messages) a.transport.send(message)
    await eventually('every kind arrived', () => b.received.length === messages.length)
    messages.forEach((message, at) => checkEqual(b.received[at], message, message.type))
  })

  promise('the order of what one peer sent is kept', async ({ a, b, c }) => {
    for (let first = 1; first <= 10_000; first += 500) {
      a.count('b', first, first + 499)
      c.count('b', first, first + 499)
      await eventually('b heard from both', () =>
        [a, c].every(({ id }) => (b.rounds(id).at(-1) ?? 0) === first + 499),
      )
    }
    for (const from of [a, c]) {
      const rounds = b.rounds(from.id)
      check(isAscending(rounds), `what ${from.id} sent arrived out of order or twice`)
    }
  })

  promise('a message goes to the node it is for and to no other', async ({ a, b, c }) => {
    a.count('b', 1, 100)
    a.count('c', 101, 200)
    await eventually('both heard', () => b.rounds('a').length * c.rounds('a').length === 10_000)
    check(Math.max(...b.rounds('a')) === 100, 'b got what was for c')
    check(Math.min(...c.rounds('a')) === 101, 'c got what was for b')
  })

  promise('a large message arrives whole', async ({ a, b }) => {
    const message = appendEntries([8 << 20], 1)
    a.transport.send(message)
    await eventually('8 MiB arrived', () => b.received.length === 1)
    checkEqual(b.received[0], message, '8 MiB')
  })

  promise('entries keep their bytes whatever arrives after them', async ({ a, b }) => {
    const sizes = [0, 1, 17, 256, 4_095, 70_000, 3]
    const messages = Array.from({ length: 60 }, (_, at) => appendEntries(sizes, at * 8 + 1))
    for (const message of messages) {
      const before = b.received.length
      a.transport.send(message)
      await eventually('the next one arrived', () => b.received.length > before)
    }
    checkEqual(b.received, messages, 'what was delivered before')
  })
}

function lossTests(promise: Promised, floodMessages: number): void {
  promise('a message to a peer that was never named is dropped in silence', async (cluster) => {
    cluster.a.count('nobody', 1, 1_000)
    cluster.a.count('a', 1, 10)
    await cluster.reached('a', 'b')
    check(cluster.a.received.length === 0, 'a message to nobody came back')
  })

  promise('messages are dropped rather than a queue growing without bound', async (cluster) => {
    const { a, b } = cluster
    const template = appendEntries([64 << 10], 1)
    for (let round = 1; round <= floodMessages; round++) a.transport.send({ ...template, round })
    await cluster.reached('a', 'b')
    const rounds = b.received.map((message) =>
      message.type === 'append-entries' ? message.round : 0,
    )
    check(rounds.length > 0, 'everything was dropped')
    check(rounds.length < floodMessages, `all ${floodMessages} messages were kept waiting`)
    check(isAscending(rounds), 'what was left arrived out of order')
    checkEqual(b.received[0], { ...template, round: rounds[0] }, 'the first that was left')
  })

  promise('a flood to one peer does not keep another from hearing', async (cluster) => {
    const { a, c } = cluster
    const template = appendEntries([64 << 10], 1)
    for (let round = 1; round <= floodMessages; round++) a.transport.send(template)
    a.count('c', 1, 10)
    await eventually('c heard all of it', () => c.rounds('a').length === 10)
  })

  promise('nothing is delivered after disposal', async (cluster) => {
    const { a, b } = cluster
    a.count('b', 1, 1_000)
    await b.transport[Symbol.asyncDispose]()
    const before = b.received.length
    for (let beat = 0; beat < 20; beat++) {
      a.count('b', 1, 100)
      await cluster.reached('a', 'c')
    }
    check(b.received.length === before, 'a disposed transport delivered')
  })

  promise('a sender hears when messages to a peer are being lost', async (cluster) => {
    const { a, b } = cluster
    await b.transport[Symbol.asyncDispose]()
    await eventually('a knows that b is gone', () => {
      a.count('b', 1, 1)
      return a.unreachable.includes('b')
    })
    check(!a.unreachable.includes('c'), 'a was told of a peer that is well')
  })

  promise('onUnreachable is never called from within send', async (cluster) => {
    const { a, b } = cluster
    await b.transport[Symbol.asyncDispose]()
    await eventually('a knows that b is gone', () => {
      const before = a.unreachable.length
      a.count('b', 1, 10)
      check(a.unreachable.length === before, 'send called back')
      return before > 0
    })
  })
}

function peerTests(promise: Promised): void {
  promise('a peer that restarts is reached again', async (cluster) => {
    const address = cluster.address('b')
    await cluster.b.transport[Symbol.asyncDispose]()
    cluster.a.count('b', 1, 100)
    await cluster.start('b', address)
    cluster.b.transport.setPeers(cluster.peers())
    await cluster.reached('a', 'b')
    await cluster.reached('b', 'a')
  })

  promise('setPeers moves a peer to another address', async (cluster) => {
    await cluster.b.transport[Symbol.asyncDispose]()
    await cluster.start('b')
    cluster.introduce()
    await cluster.reached('a', 'b')
    await cluster.reached('b', 'a')
    await cluster.reached('a', 'c')
  })

  promise('a peer that setPeers no longer names hears nothing more', async (cluster) => {
    const { a, b, c } = cluster
    a.transport.setPeers(cluster.peers().filter(({ id }) => id !== 'b'))
    a.count('b', 1, 100)
    a.count('c', 1, 100)
    await eventually('c heard', () => c.rounds('a').length === 100)
    await cluster.reached('c', 'b')
    check(b.rounds('a').length === 0, 'b still heard from a')
    cluster.introduce()
    await cluster.reached('a', 'b')
  })

  promise('setPeers with the same peers disturbs nothing', async (cluster) => {
    const { a, b } = cluster
    for (let round = 1; round <= 200; round++) {
      a.count('b', round, round)
      cluster.introduce()
    }
    await eventually('b heard all of it', () => b.rounds('a').length === 200)
    check(isAscending(b.rounds('a')), 'the order was not kept')
  })
}

const SILENT = {
  onMessage: (): void => {},
  onSnapshot: (): Promise<void> => Promise.resolve(),
  onUnreachable: (): void => {},
}

function isAscending(rounds: readonly number[]): boolean {
  return rounds.every((round, at) => at === 0 || round > (rounds[at - 1] as number))
}

function appendEntries(sizes: readonly number[], first: number): AppendEntries {
  const entries = sizes.map((size, at): Entry => {
    const index = first + at
    return { index, term: 7, type: 'command', data: seededBytes(size, index) }
  })
  const prevLog = { term: first === 1 ? 0 : 7, index: first - 1 }
  return {
    type: 'append-entries',
    from: 'a',
    to: 'b',
    term: 7,
    prevLog,
    entries,
    commitIndex: 0,
    round: 0,
  }
}

/** One of each, with the largest numbers and the emptiest lists among them. Not `timeout-now`: that greets. */
function everyMessage(): Message[] {
  const most = Number.MAX_SAFE_INTEGER
  const head = { from: 'a', to: 'b', term: most }
  const position = { term: 3, index: most - 1 }
  const entries: Entry[] = [
    { index: 5, term: 2, type: 'no-op', data: new Uint8Array(0) },
    { index: 6, term: 3, type: 'command', data: seededBytes(300, 6) },
    { index: 7, term: 3, type: 'membership', data: seededBytes(40, 7) },
  ]
  const prevLog = { term: 2, index: 4 }
  return [
    { type: 'pre-vote', ...head, lastLog: position, address: 'here' },
    { type: 'pre-vote-reply', ...head, granted: true },
    { type: 'request-vote', ...head, lastLog: position, transfer: true, address: 'here' },
    { type: 'request-vote-reply', ...head, granted: false },
    { type: 'append-entries', ...head, prevLog, entries, commitIndex: 4, round: 9 },
    { type: 'append-entries', ...head, prevLog, entries: [], commitIndex: 0, round: 0 },
    {
      type: 'append-entries-reply',
      ...head,
      accepted: false,
      index: 4,
      hint: { term: 1, index: 2 },
      round: most,
    },
    { type: 'commit', ...head, commitIndex: most },
    { type: 'heartbeat', ...head, commitIndex: most, round: 1, address: 'here' },
    { type: 'heartbeat-reply', ...head, round: 1, promiseMs: most },
    { type: 'read-index', ...head, id: most },
    { type: 'read-index-reply', ...head, id: 0, index: -1 },
    { type: 'propose', ...head, id: 1, commands: [seededBytes(0, 0), seededBytes(900, 1)] },
    { type: 'propose-reply', ...head, id: 1, accepted: 2, first: position },
  ]
}
