/** Three nodes that record what their transports deliver, and ways to wait for it. */
import type { Transport, TransportHandlers } from '../contracts/transport.ts'
import type { Heartbeat, Message } from '../messages.ts'
import type { NodeId, Peer } from '../types.ts'

/** Makes transports that can reach each other. One network serves one test. */
export interface TransportNetwork extends AsyncDisposable {
  /** A transport that was not started yet: at a place of its own, or at this earlier address. */
  transport(id: NodeId, address?: string): Transport
  /** Where peers find this transport. Asked after `start` has resolved. */
  address(transport: Transport): string
}

type OnSnapshot = TransportHandlers['onSnapshot']

const DEADLINE_MS = 10_000
const NODE_IDS = ['a', 'b', 'c']

/** One node: its transport and everything that was delivered to it. */
export class Member<Kind extends Transport = Transport> {
  readonly id: NodeId
  readonly transport: Kind
  readonly received: Message[] = []
  readonly unreachable: NodeId[] = []
  readonly greeted: Set<NodeId> = new Set()
  /** What the next snapshot is handed to. */
  onSnapshot: OnSnapshot = (): Promise<void> =>
    Promise.reject(new Error('no snapshot was expected'))

  constructor(id: NodeId, transport: Kind) {
    this.id = id
    this.transport = transport
  }

  start(): Promise<void> {
    return this.transport.start({
      onMessage: (message) => {
        // Greetings are sent over and over, so they are kept apart from what a test sends.
        if (message.type === 'timeout-now') this.greeted.add(message.from)
        else this.received.push(message)
      },
      onSnapshot: (message, open) => this.onSnapshot(message, open),
      onUnreachable: (peer) => this.unreachable.push(peer),
    })
  }

  greet(to: NodeId): void {
    this.transport.send({ type: 'timeout-now', from: this.id, to, term: 1 })
  }

  /** Waits until what it sends reaches a node that it knows. */
  async reaches(to: Member): Promise<void> {
    to.greeted.delete(this.id)
    await eventually(`what ${this.id} sends reaches ${to.id}`, () => {
      this.greet(to.id)
      return to.greeted.has(this.id)
    })
  }

  /** Sends heartbeats whose rounds count up from `first`. */
  count(to: NodeId, first: number, last: number): void {
    for (let round = first; round <= last; round++)
      this.transport.send(heartbeat(this.id, to, round))
  }

  /** The rounds of the heartbeats from one peer, in the order they came. */
  rounds(from: NodeId): number[] {
    const beats = this.received.filter(
      (message): message is Heartbeat => message.type === 'heartbeat' && message.from === from,
    )
    return beats.map((message) => message.round)
  }
}

/** A running cluster of a, b and c. */
export class Cluster implements AsyncDisposable {
  readonly network: TransportNetwork
  readonly #members = new Map<NodeId, Member>()
  readonly #addresses = new Map<NodeId, string>()

  constructor(network: TransportNetwork) {
    this.network = network
  }

  get a(): Member {
    return this.member('a')
  }

  get b(): Member {
    return this.member('b')
  }

  get c(): Member {
    return this.member('c')
  }

  member(id: NodeId): Member {
    const member = this.#members.get(id)
    if (member === undefined) throw new Error(`no node ${id} in this test`)
    return member
  }

  address(id: NodeId): string {
    const address = this.#addresses.get(id)
    if (address === undefined) throw new Error(`node ${id} never started`)
    return address
  }

  peers(): Peer[] {
    return [...this.#addresses].map(([id, address]) => ({ id, address }))
  }

  /** Starts a node, at this address or at a new one. */
  async start(id: NodeId, address?: string): Promise<Member> {
    const member = new Member(id, this.network.transport(id, address))
    this.#members.set(id, member)
    await member.start()
    this.#addresses.set(id, this.network.address(member.transport))
    return member
  }

  /** Tells every node where all of them are. */
  introduce(): void {
    for (const { transport } of this.#members.values()) transport.setPeers(this.peers())
  }

  /** Waits until what `from` sends reaches `to`. */
  async reached(from: NodeId, to: NodeId): Promise<void> {
    await this.member(from).reaches(this.member(to))
  }

  async connect(): Promise<void> {
    this.introduce()
    for (const from of this.#members.keys())
      for (const to of this.#members.keys()) if (from !== to) await this.reached(from, to)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { transport } of this.#members.values()) await transport[Symbol.asyncDispose]()
    await this.network[Symbol.asyncDispose]()
  }
}

/** Registers a test that gets a cluster of its own. */
export type Promised = (name: string, body: (cluster: Cluster) => Promise<void>) => void

/** a, b and c, each of which has heard from the others. */
export async function openCluster(open: () => Promise<TransportNetwork>): Promise<Cluster> {
  const cluster = new Cluster(await open())
  for (const id of NODE_IDS) await cluster.start(id)
  await cluster.connect()
  return cluster
}

export function heartbeat(from: NodeId, to: NodeId, round: number): Heartbeat {
  return { type: 'heartbeat', from, to, term: 1, commitIndex: 0, round, address: '' }
}

/** Asks again and again, a few milliseconds apart, and fails when it takes too long. */
export async function eventually(what: string, holds: () => boolean): Promise<void> {
  const beats = DEADLINE_MS / 5
  for (let beat = 0; beat < beats; beat++) {
    if (holds()) return
    await pause(beat < 10 ? 0 : 5)
  }
  throw new Error(`waited in vain until ${what}`)
}

export function pause(delayMs: number = 5): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs))
}

/** The reason of a rejection; fails if the promise resolves, or does not settle in time. */
export async function rejection(what: string, promise: Promise<unknown>): Promise<unknown> {
  return settled(
    what,
    promise.then(
      () => Promise.reject(new Error(`${what}: it resolved`)),
      (reason: unknown) => reason,
    ),
  )
}

/** The same promise, with a deadline. */
export async function settled<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: it never settled`)), DEADLINE_MS)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
