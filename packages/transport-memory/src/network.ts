/** The network of one process: who is on it, and who cannot reach whom. */
import {
  type Environment,
  type Message,
  type NodeId,
  RaftError,
  systemEnvironment,
  type Transport,
} from '@coracle/raft-core'
import { type Delay, Faults, type Rule } from './faults.ts'
import { MemoryTransport } from './transport.ts'

export interface MemoryNetworkOptions {
  /** Time, chance and scheduling. Default: those of the system. */
  readonly environment?: Environment
  /** Messages that wait for one receiver, and on one delayed line; more are dropped. Default 100000. */
  readonly maxQueuedMessages?: number
}

/** Connects the transports it hands out. Faults may be changed at any time. */
export interface MemoryNetwork {
  /**
   * A new transport for `id`, on the network from its `start` to its disposal. Peers are found by
   * their id alone: an address may be any text.
   */
  transport(id: NodeId): Transport

  /**
   * Nothing passes between `a` and `b` any more, not even what is on its way, and streams between
   * them break. With `oneWay` only what goes from `a` to `b` is lost.
   */
  cut(a: NodeId, b: NodeId, options?: { readonly oneWay?: boolean }): void

  /** Cuts every pair of nodes that are not in the same group. Nodes in no group stay as they are. */
  partition(...groups: readonly (readonly NodeId[])[]): void

  /** Undoes the cuts between two nodes, or all cuts. */
  heal(a?: NodeId, b?: NodeId): void

  /** Loses each message with this probability from now on; 0 to stop. */
  lose(probability: number): void

  /** Holds each message back for a while from now on, in order; 0 to stop. */
  delay(delay: number | Delay): void

  /**
   * Shows every message to `rule`, which may drop or replace it, in the order the rules were added.
   * A snapshot is shown by the message that opens its stream. The returned function takes the rule
   * away again.
   */
  intercept(rule: Rule): () => void
}

/** A network without faults, until told otherwise. */
export function memoryNetwork(options: MemoryNetworkOptions = {}): MemoryNetwork {
  const maxQueuedMessages = options.maxQueuedMessages ?? 100_000
  if (!Number.isSafeInteger(maxQueuedMessages) || maxQueuedMessages < 1)
    throw new RangeError(`maxQueuedMessages must be a whole number of at least 1`)
  return new Network(options.environment ?? systemEnvironment(), maxQueuedMessages)
}

/** An open snapshot stream, as the network sees it. */
export interface Stream {
  readonly from: NodeId
  readonly to: NodeId
  readonly broken: AbortController
}

export class Network implements MemoryNetwork {
  readonly environment: Environment
  readonly maxQueuedMessages: number
  readonly faults: Faults
  readonly #members = new Map<NodeId, MemoryTransport>()
  readonly #streams = new Set<Stream>()

  constructor(environment: Environment, maxQueuedMessages: number) {
    this.environment = environment
    this.maxQueuedMessages = maxQueuedMessages
    this.faults = new Faults(environment, maxQueuedMessages, (message) => {
      this.#members.get(message.to)?.receive(message)
    })
  }

  transport(id: NodeId): Transport {
    return new MemoryTransport(id, this)
  }

  cut(a: NodeId, b: NodeId, options: { readonly oneWay?: boolean } = {}): void {
    this.faults.cut(a, b)
    if (options.oneWay !== true) this.faults.cut(b, a)
    // A stream needs both directions: its acknowledgement comes back.
    this.#breakStreams(
      ({ from, to }) => (from === a && to === b) || (from === b && to === a),
      'the line was cut',
    )
  }

  partition(...groups: readonly (readonly NodeId[])[]): void {
    for (const group of groups)
      for (const other of groups)
        if (group !== other) for (const a of group) for (const b of other) this.cut(a, b)
  }

  heal(a?: NodeId, b?: NodeId): void {
    if (a === undefined || b === undefined) return this.faults.mendAll()
    this.faults.mend(a, b)
    this.faults.mend(b, a)
  }

  lose(probability: number): void {
    this.faults.lose(probability)
  }

  delay(delay: number | Delay): void {
    this.faults.delay(typeof delay === 'number' ? { minMs: delay, maxMs: delay } : delay)
  }

  intercept(rule: Rule): () => void {
    return this.faults.intercept(rule)
  }

  join(id: NodeId, member: MemoryTransport): void {
    if (this.#members.has(id)) throw new Error(`node ${id} is on the network already`)
    this.#members.set(id, member)
  }

  leave(id: NodeId, member: MemoryTransport): void {
    if (this.#members.get(id) !== member) return
    this.#members.delete(id)
    this.#breakStreams(({ from, to }) => from === id || to === id, `node ${id} left the network`)
  }

  /** False if the sender could notice that the message is lost. */
  carry(message: Message): boolean {
    const receiver = this.#members.get(message.to)
    if (receiver === undefined) return false
    if (!this.faults.active) return receiver.receive(message)
    if (this.faults.isCut(message.from, message.to)) return false
    this.faults.carry(message)
    return true
  }

  openStream(from: NodeId, to: NodeId): { receiver: MemoryTransport; stream: Stream } {
    const receiver = this.#members.get(to)
    const cut = this.faults.isCut(from, to) || this.faults.isCut(to, from)
    if (receiver === undefined || cut) throw new RaftError('UNAVAILABLE', `no way to node ${to}`)
    const stream = { from, to, broken: new AbortController() }
    this.#streams.add(stream)
    return { receiver, stream }
  }

  closeStream(stream: Stream): void {
    this.#streams.delete(stream)
  }

  #breakStreams(which: (stream: Stream) => boolean, why: string): void {
    for (const stream of this.#streams)
      if (which(stream)) stream.broken.abort(new RaftError('UNAVAILABLE', why))
  }
}
