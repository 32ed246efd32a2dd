import type {
  InstallSnapshot,
  Message,
  NodeId,
  OpenSnapshot,
  Peer,
  Transport,
  TransportHandlers,
} from '@coracle/raft-core'
import { decodeMessage, encodeMessage, type Ends } from '@coracle/raft-core/codec'
import type { Fault } from './faults.ts'
import { asLater, unknownMessage } from './later-version.ts'
import type { Network, Station } from './parts.ts'
import type { Random } from './random.ts'
import { SnapshotStream } from './snapshot-stream.ts'
import type { VirtualClock } from './virtual-clock.ts'

/** How the network behaves, the same on all lines. Probabilities are per message. */
export interface NetworkWeather {
  readonly minDelayMs: number
  readonly meanDelayMs: number
  readonly loss: number
  /**
   * More than transports may do: a message arrives twice. Raft itself must not mind. Proposals on
   * their way to the leader are spared, for they count on the contract.
   */
  readonly duplication: number
  /** More than transports may do: messages overtake each other. */
  readonly reorders: boolean
  /** A message is held up for up to `holdMs`, and with it all behind it unless they overtake. */
  readonly hold: number
  readonly holdMs: number
  readonly streamBreak: number
  /** The sender is told of a loss. */
  readonly notice: number
}

const CALM = { minDelayMs: 0, meanDelayMs: 1, loss: 0, duplication: 0, hold: 0, streamBreak: 0 }

/** A network on virtual time. Messages travel in their binary form, and outlive their senders. */
export class VirtualNetwork implements Network {
  weather: NetworkWeather
  readonly clock: VirtualClock
  readonly random: Random
  readonly #cuts = new Set<string>()
  readonly #stations = new Map<NodeId, { station: Station; handlers: TransportHandlers }>()
  readonly #streams = new Set<SnapshotStream>()
  /** When the newest message on a line arrives. */
  readonly #lineBusyUntil = new Map<string, number>()
  readonly #befell: (fault: Fault) => void
  readonly #misunderstood: (why: string) => void

  constructor(parts: {
    readonly misunderstood: (why: string) => void
    readonly clock: VirtualClock
    readonly random: Random
    readonly weather: NetworkWeather
    readonly befell: (fault: Fault) => void
  }) {
    this.clock = parts.clock
    this.random = parts.random
    this.weather = parts.weather
    this.#befell = parts.befell
    this.#misunderstood = parts.misunderstood
  }

  attach(station: Station): Transport {
    return new VirtualTransport(this, station)
  }

  join(station: Station, handlers: TransportHandlers): void {
    if (!station.isAlive()) return
    this.#stations.set(station.id, { station, handlers })
  }

  leave(id: NodeId): void {
    this.#stations.delete(id)
    for (const stream of this.#streams) if (stream.from === id || stream.to === id) stream.break()
  }

  cut(from: NodeId, to: NodeId): void {
    this.#cuts.add(`${from}>${to}`)
    for (const stream of this.#streams) if (stream.isBetween(from, to)) stream.break()
  }

  heal(): void {
    this.#cuts.clear()
  }

  calm(): void {
    this.weather = { ...this.weather, ...CALM }
  }

  isCut(from: NodeId, to: NodeId): boolean {
    return this.#cuts.has(`${from}>${to}`)
  }

  handlersOf(id: NodeId): TransportHandlers | null {
    return this.#stations.get(id)?.handlers ?? null
  }

  delay(): number {
    const { minDelayMs, meanDelayMs } = this.weather
    return minDelayMs + this.random.exponential(meanDelayMs)
  }

  carry(message: Message): void {
    const { from, to } = message
    const sender = this.#stations.get(from)?.station
    const bytes = this.encode(message, sender)
    sender?.sent(message, bytes)
    if (sender?.isLater === true && this.random.chance(0.02)) {
      this.#befell('message of an unknown type')
      this.#dispatch(from, to, unknownMessage(this.random))
    }
    if (this.isCut(from, to) || this.random.chance(this.weather.loss)) return this.#lose(from, to)
    this.#dispatch(from, to, bytes)
    if (message.type === 'propose' || !this.random.chance(this.weather.duplication)) return
    this.#befell('message duplicated')
    this.#dispatch(from, to, bytes)
  }

  encode(message: Message, sender: Station | undefined): Uint8Array {
    const bytes = encodeMessage(message)
    return sender?.isLater === true ? asLater(bytes, this.random) : bytes
  }

  #dispatch(from: NodeId, to: NodeId, bytes: Uint8Array): void {
    const { hold, holdMs, reorders } = this.weather
    const isHeld = this.random.chance(hold)
    if (isHeld) this.#befell('message held up')
    let arrival = this.clock.now + this.delay() + (isHeld ? this.random.next() * holdMs : 0)
    const line = `${from}>${to}`
    const busyUntil = this.#lineBusyUntil.get(line) ?? 0
    if (!reorders) arrival = Math.max(arrival, busyUntil)
    else if (arrival < busyUntil) this.#befell('message overtaken')
    this.#lineBusyUntil.set(line, Math.max(arrival, busyUntil))
    this.clock.afterQuietly(arrival - this.clock.now, () => this.#arrive(from, to, bytes))
  }

  #arrive(from: NodeId, to: NodeId, bytes: Uint8Array): void {
    if (this.isCut(from, to)) return
    const receiver = this.#stations.get(to)
    if (receiver === undefined) return
    const wait = receiver.station.stalledUntil() - this.clock.now
    if (wait > 0) return this.clock.afterQuietly(wait, () => this.#arrive(from, to, bytes))
    const message = this.#decode(bytes, { from, to })
    if (message !== null) receiver.handlers.onMessage(message)
  }

  /** What a later version has added is no reason not to understand the rest. */
  #decode(bytes: Uint8Array, ends: Ends): Message | null {
    try {
      return decodeMessage(bytes, ends)
    } catch (error) {
      this.#misunderstood(`${ends.to} cannot read a message from ${ends.from}: ${String(error)}`)
      return null
    }
  }

  #lose(from: NodeId, to: NodeId): void {
    this.#befell('message lost')
    if (!this.random.chance(this.weather.notice)) return
    this.#befell('loss noticed')
    const sender = this.#stations.get(from)
    this.clock.afterQuietly(this.delay(), () => {
      if (this.#stations.get(from) === sender) sender?.handlers.onUnreachable(to)
    })
  }

  open(from: NodeId, to: NodeId): SnapshotStream {
    for (const stream of this.#streams)
      if (stream.from === from && stream.to === to) throw new Error('one snapshot at a time')
    const stream = new SnapshotStream(from, to)
    this.#streams.add(stream)
    if (this.random.chance(this.weather.streamBreak))
      this.clock.after(this.random.exponential(20 * this.delay()), () => {
        if (this.#streams.has(stream)) this.#befell('snapshot stream broken')
        stream.break()
      })
    if (this.isCut(from, to) || this.isCut(to, from)) stream.break()
    return stream
  }

  close(stream: SnapshotStream): void {
    this.#streams.delete(stream)
    stream.break()
  }
}

class VirtualTransport implements Transport {
  readonly #network: VirtualNetwork
  readonly #station: Station
  #peers: ReadonlySet<NodeId> = new Set()

  constructor(network: VirtualNetwork, station: Station) {
    this.#network = network
    this.#station = station
  }

  async start(handlers: TransportHandlers): Promise<void> {
    this.#network.join(this.#station, handlers)
  }

  setPeers(peers: readonly Peer[]): void {
    this.#peers = new Set(peers.map((peer) => peer.id))
  }

  send(message: Message): void {
    if (this.#station.isAlive() && this.#peers.has(message.to)) this.#network.carry(message)
  }

  async sendSnapshot(
    message: InstallSnapshot,
    open: OpenSnapshot,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<void> {
    const network = this.#network
    const { from, to } = message
    signal.throwIfAborted()
    const bytes = network.encode(message, this.#station)
    this.#station.sent(message, bytes)
    const stream = network.open(from, to)
    const abort = (): void => stream.break()
    signal.addEventListener('abort', abort)
    const pause = (): Promise<void> => network.clock.sleep(network.delay())
    try {
      await stream.unlessBroken(pause())
      const receiver = network.handlersOf(to)
      if (receiver === null) throw new Error(`${to} is away`)
      const opened = decodeMessage(bytes, { from, to }) as InstallSnapshot
      await stream.unlessBroken(receiver.onSnapshot(opened, stream.carry(open, pause)))
      await stream.unlessBroken(pause())
    } finally {
      signal.removeEventListener('abort', abort)
      network.close(stream)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#network.leave(this.#station.id)
  }
}
