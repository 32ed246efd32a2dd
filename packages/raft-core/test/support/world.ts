import { expect } from 'vitest'
import type { Command, StateMachine } from '../../src/contracts/state-machine.ts'
import type { AppendBatch, Storage, Stored, StoredSnapshot } from '../../src/contracts/storage.ts'
import type { Transport, TransportHandlers } from '../../src/contracts/transport.ts'
import type { Environment } from '../../src/environment.ts'
import type { InstallSnapshot, Message } from '../../src/messages.ts'
import { type RaftNode, startNode, type StartOptions } from '../../src/node/node.ts'
import type { RaftEvent } from '../../src/trace.ts'
import type { Entry, LogIndex, NodeId, Peer, Position, SnapshotMeta } from '../../src/types.ts'
import { Disk } from './disk.ts'
import { read, text, timeoutNow, voters } from './messages.ts'

/** Promises that wait until somebody opens the gate. */
export class Gate {
  isShut = false
  failure: Error | null = null
  #waiting: (() => void)[] = []

  async pass(): Promise<void> {
    if (this.isShut)
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve)
      })
    if (this.failure !== null) throw this.failure
  }

  get waiting(): number {
    return this.#waiting.length
  }

  open(): void {
    this.isShut = false
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

/** A storage in memory, as small as can be, whose calls can be held back or made to fail. */
export class TestStorage implements Storage {
  readonly disk: Disk
  readonly appends: Gate = new Gate()
  readonly reads: Gate = new Gate()
  readonly snapshotWrites: Gate = new Gate()
  readonly snapshotReads: Gate = new Gate()
  /** Snapshots being written now; more than one breaks the contract. */
  writing = 0
  /** Snapshots that somebody has begun to read, and not ended. */
  reading = 0
  /** What a snapshot gave before its chunks failed. */
  unfinished: number[] = []

  constructor(disk: Disk) {
    this.disk = disk
  }

  async load(): Promise<Stored> {
    return this.disk.load()
  }

  async append(batch: AppendBatch): Promise<void> {
    await this.appends.pass()
    this.disk.append(batch)
  }

  async entries(
    from: LogIndex,
    to: LogIndex,
    { maxBytes }: { readonly maxBytes: number },
  ): Promise<readonly Entry[]> {
    await this.reads.pass()
    return this.disk.read(from, to, maxBytes)
  }

  async compact(position: Position): Promise<void> {
    this.disk.compact(position)
  }

  async writeSnapshot(
    meta: SnapshotMeta,
    chunks: AsyncIterable<Uint8Array>,
    { after = 0 }: { readonly after?: number } = {},
  ): Promise<void> {
    this.writing += 1
    expect(this.writing).toBe(1)
    if (after === 0) this.unfinished = []
    expect(this.unfinished).toHaveLength(after)
    try {
      const parts = this.unfinished
      for await (const chunk of chunks) parts.push(...chunk)
      this.unfinished = []
      await this.snapshotWrites.pass()
      this.disk.snapshot = { meta, bytes: Uint8Array.from(parts) }
    } finally {
      this.writing -= 1
    }
  }

  async dropUnfinished(): Promise<void> {
    expect(this.writing).toBe(0)
    this.unfinished = []
  }

  async readSnapshot(): Promise<StoredSnapshot | null> {
    const { snapshot } = this.disk
    await this.snapshotReads.pass()
    if (snapshot === null) return null
    const { meta, bytes } = snapshot
    return { meta, bytes: bytes.length, chunks: this.#chunksOf(bytes) }
  }

  async *#chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
    this.reading += 1
    try {
      yield bytes.slice(0, 3)
      yield bytes.slice(3)
    } finally {
      this.reading -= 1
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** Remembers its commands in order, and answers each with how many there are. */
export class ListMachine implements StateMachine<string> {
  durableIndex: LogIndex = 0
  state: string[] = []
  readonly applies: Gate = new Gate()
  isAsync = false
  failure: Error | null = null
  /** The index of every command that was ever applied, in the order of the calls. */
  readonly applied: LogIndex[] = []

  apply(commands: readonly Command[]): readonly string[] | Promise<readonly string[]> {
    if (this.failure !== null) throw this.failure
    if (!this.isAsync) return this.#apply(commands)
    return this.applies.pass().then(() => this.#apply(commands))
  }

  #apply(commands: readonly Command[]): readonly string[] {
    return commands.map(({ index, data }) => {
      this.applied.push(index)
      this.state.push(read(data))
      return `${read(data)} is number ${this.state.length}`
    })
  }

  async *snapshot(): AsyncGenerator<Uint8Array> {
    yield text(JSON.stringify(this.state))
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    let words = ''
    for await (const chunk of chunks) words += read(chunk)
    this.state = JSON.parse(words) as string[]
  }
}

export interface Member {
  readonly node: RaftNode<string>
  readonly storage: TestStorage
  readonly machine: ListMachine
  readonly events: RaftEvent[]
}

type Options = Partial<StartOptions<string>>

/** Nodes, their time and the network between them, all moved by hand: nothing happens by itself. */
export class World implements AsyncDisposable {
  readonly members: Map<NodeId, Member> = new Map()
  /** Messages for which this answers true are lost. */
  loses: (message: Message) => boolean = () => false
  /** Snapshot streams for which this answers with an error break off after their first chunk. */
  breaks: (message: InstallSnapshot) => Error | null = () => null
  /** Snapshot streams for which this answers true carry something else than was sent. */
  alters: (message: InstallSnapshot) => boolean = () => false
  /** The stream breaks before anything is sent: while the leader opens the snapshot, or after it has. */
  abandons: (message: InstallSnapshot) => 'opening' | 'opened' | null = () => null
  readonly sent: Message[] = []
  readonly streams: InstallSnapshot[] = []
  /** Where each stream that was opened began. */
  readonly offsets: number[] = []
  /** Whom each node can reach, as it last told its transport. */
  readonly peers: Map<NodeId, readonly Peer[]> = new Map()
  readonly #handlers = new Map<NodeId, TransportHandlers>()
  #turns: (() => void)[] = []
  readonly #beats = new Map<NodeId, Map<() => void, number>>()
  #inFlight: Message[] = []
  #seed = 0
  /** What all clocks say, in milliseconds. */
  timeMs = 0
  /** How much time a tick takes. Nothing here takes any unless a test says so. */
  tickMs = 0
  /** How fast the clock of a node runs; 1 unless it is here. */
  readonly clockRates: Map<NodeId, number> = new Map()

  /** Starts a cluster of founders, one of which leads when this resolves: the first. */
  static async of(ids: readonly NodeId[], options: Options = {}): Promise<World> {
    const world = new World()
    for (const id of ids) await world.start(id, { membership: voters(...ids), ...options })
    await world.elect(ids[0]!)
    return world
  }

  async start(id: NodeId, options: Options = {}, disk: Disk = new Disk()): Promise<Member> {
    const storage = new TestStorage(disk)
    const machine = (options.stateMachine as ListMachine | undefined) ?? new ListMachine()
    const events: RaftEvent[] = []
    const node = await startNode<string>({
      id,
      storage,
      stateMachine: machine,
      transport: this.#transport(id),
      environment: this.#environment(id),
      checkInvariants: true,
      trace: (event) => events.push(event),
      ...options,
    })
    const member = { node, storage, machine, events }
    this.members.set(id, member)
    await this.settle()
    return member
  }

  /** Stops a node and starts it again from its disk. */
  async restart(id: NodeId, options: Options = {}): Promise<Member> {
    const { node, storage } = this.at(id)
    await node[Symbol.asyncDispose]()
    return this.start(id, options, storage.disk)
  }

  at(id: NodeId): Member {
    const member = this.members.get(id)
    if (member === undefined) throw new Error(`there is no node ${id}`)
    return member
  }

  /** This node campaigns at once, whoever leads, and wins. */
  async elect(id: NodeId): Promise<void> {
    const { role, term } = this.at(id).node.status()
    if (role === 'leader') return
    const message = timeoutNow({ from: '?', to: id, term: role === 'follower' ? term : term + 1 })
    await this.deliver(message)
    expect(this.at(id).node.status().role).toBe('leader')
  }

  /** Nothing reaches these nodes, nor leaves them. */
  isolate(...ids: readonly NodeId[]): void {
    this.loses = ({ from, to }) => ids.includes(from) || ids.includes(to)
  }

  heal(): void {
    this.loses = () => false
  }

  /** One tick of time for each of these nodes, and everything that follows from it. */
  async tick(times = 1, ids: readonly NodeId[] = [...this.members.keys()]): Promise<void> {
    for (let i = 0; i < times; i++) {
      this.timeMs += this.tickMs
      for (const id of ids) this.beat(id, 1)
      await this.settle()
    }
  }

  /** Runs turns and delivers messages until nothing moves any more. */
  async settle(): Promise<void> {
    for (let i = 0; i < 2000; i++) {
      await macrotask()
      const turns = this.#turns
      const messages = this.#inFlight
      if (turns.length === 0 && messages.length === 0) return
      this.#turns = []
      this.#inFlight = []
      for (const message of messages)
        if (!this.loses(message)) this.#handlers.get(message.to)?.onMessage(message)
      for (const turn of turns) turn()
    }
    throw new Error('the nodes never come to rest')
  }

  /** Brings a message to a node as if its sender had sent it. */
  async deliver(message: Message): Promise<void> {
    this.#handlers.get(message.to)?.onMessage(message)
    await this.settle()
  }

  /** Beats without turns in between, as after the process stood still. */
  beat(id: NodeId, times: number): void {
    for (let i = 0; i < times; i++) for (const beat of this.#beats.get(id)?.keys() ?? []) beat()
  }

  /** The length of every interval that a node has a timer for. */
  timers(id: NodeId): readonly number[] {
    return [...(this.#beats.get(id)?.values() ?? [])]
  }

  receiver(id: NodeId): TransportHandlers {
    return this.#handlers.get(id)!
  }

  #environment(id: NodeId): Environment {
    let state = (this.#seed += 7919)
    const beats = new Map<() => void, number>()
    this.#beats.set(id, beats)
    return {
      now: () => this.timeMs * (this.clockRates.get(id) ?? 1),
      random: () => {
        state = (state * 48_271) % 2_147_483_647
        return state / 2_147_483_647
      },
      schedule: (turn) => this.#turns.push(turn),
      every: (intervalMs, beat) => {
        beats.set(beat, intervalMs)
        return () => beats.delete(beat)
      },
    }
  }

  #transport(id: NodeId): Transport {
    return {
      start: async (handlers) => {
        this.#handlers.set(id, handlers)
      },
      setPeers: (peers) => this.peers.set(id, peers),
      send: (message) => {
        if (!this.peers.get(id)?.some((peer) => peer.id === message.to)) return
        this.sent.push(message)
        this.#inFlight.push(message)
      },
      sendSnapshot: async (message, open) => {
        this.streams.push(message)
        const failure = this.breaks(message)
        if (this.loses(message)) throw new Error('the stream was lost')
        await this.#handlers.get(message.to)!.onSnapshot(message, async (held) => {
          const opening = open(held)
          opening.catch(() => {})
          const abandoned = this.abandons(message)
          if (abandoned === 'opened') await opening
          if (abandoned !== null) throw new Error('the stream broke before anybody read it')
          const { offset, chunks } = await opening
          this.offsets.push(offset)
          if (this.alters(message)) return { offset, chunks: altered(chunks) }
          return { offset, chunks: failure === null ? chunks : broken(chunks, failure) }
        })
      },
      async [Symbol.asyncDispose]() {},
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { node, storage, machine } of this.members.values()) {
      for (const gate of [storage.appends, storage.reads, storage.snapshotWrites]) gate.open()
      storage.snapshotReads.open()
      machine.applies.open()
      await node[Symbol.asyncDispose]()
    }
  }
}

async function* altered(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) yield chunk.map((byte) => byte ^ 1)
}

/** The first seven bytes, and then the failure. */
async function* broken(
  chunks: AsyncIterable<Uint8Array>,
  failure: Error,
): AsyncGenerator<Uint8Array> {
  let left = 7
  for await (const chunk of chunks) {
    yield chunk.subarray(0, left)
    left -= Math.min(left, chunk.length)
    if (left === 0) break
  }
  throw failure
}

/** Lets every promise that can settle do so: no time passes. */
function macrotask(): Promise<void> {
  const { setImmediate } = globalThis as unknown as { setImmediate: (run: () => void) => void }
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

/** What became of a promise, without waiting for it. */
export function watchOutcome<Value>(promise: Promise<Value>): {
  readonly state: () => 'waiting' | 'done' | 'failed'
  readonly value: () => Value | undefined
  readonly error: () => unknown
} {
  let state: 'waiting' | 'done' | 'failed' = 'waiting'
  let value: Value | undefined
  let error: unknown
  const follow = async (): Promise<void> => {
    try {
      value = await promise
      state = 'done'
    } catch (reason) {
      error = reason
      state = 'failed'
    }
  }
  follow().catch(() => {})
  return { state: () => state, value: () => value, error: () => error }
}
