import type {
  Environment,
  InstallSnapshot,
  Message,
  NodeId,
  OpenSnapshot,
  Peer,
  Transport,
  TransportHandlers,
} from '@coracle/raft-core'
import { crc32, encodeMessage } from '@coracle/raft-core/codec'
import type { Fault } from './faults.ts'
import type { TestedNetwork, TransportWorld } from './own-parts.ts'
import type { Network, Station } from './parts.ts'
import type { Random } from './random.ts'
import type { VirtualClock } from './virtual-clock.ts'
import type { NetworkWeather } from './virtual-network.ts'

/** What one life of a node has sent to another and has not been seen to arrive, oldest first. */
interface Line {
  readonly from: NodeId
  readonly to: NodeId
  readonly sent: string[]
}

/** A network under test. Whatever it delivers must have been sent: in this order, once, unchanged. */
export class WatchedNetwork implements Network {
  readonly clock: VirtualClock
  readonly #inner: TestedNetwork
  readonly #breach: (why: string) => void
  readonly #transports = new Map<NodeId, WatchedTransport>()
  readonly #lines = new Map<WatchedTransport, Map<NodeId, Line>>()

  constructor(parts: {
    readonly clock: VirtualClock
    readonly random: Random
    readonly weather: NetworkWeather
    readonly befell: (fault: Fault) => void
    readonly open: (world: TransportWorld) => TestedNetwork
    readonly breach: (why: string) => void
  }) {
    const { clock, random, weather } = parts
    this.clock = clock
    this.#breach = parts.breach
    this.#inner = parts.open({ environment: environmentOf(clock, random) })
    const { minDelayMs, meanDelayMs, loss } = weather
    this.#inner.delay({ minMs: minDelayMs, maxMs: minDelayMs + 2 * meanDelayMs })
    this.#inner.lose(loss)
    if (loss > 0) parts.befell('message lost')
  }

  attach(station: Station): Transport {
    const transport = new WatchedTransport(this, station, this.#inner.transport(station.id))
    this.#transports.set(station.id, transport)
    this.#lines.set(transport, new Map())
    return transport
  }

  leave(id: NodeId): void {
    const transport = this.#transports.get(id)
    this.#transports.delete(id)
    transport?.[Symbol.asyncDispose]().then(undefined, (error: unknown) =>
      this.#breach(`the transport of ${id} could not be disposed: ${String(error)}`),
    )
  }

  cut(from: NodeId, to: NodeId): void {
    this.#inner.cut(from, to, { oneWay: true })
  }

  heal(): void {
    this.#inner.heal()
  }

  calm(): void {
    this.#inner.lose(0)
    this.#inner.delay({ minMs: 0, maxMs: 2 })
  }

  noteSent(transport: WatchedTransport, message: Message, bytes: Uint8Array): void {
    const { from, to } = message
    const lines = this.#lines.get(transport)
    const line = lines?.get(to) ?? { from, to, sent: [] }
    line.sent.push(keyOf(message, bytes))
    if (line.sent.length > MOST_UNDER_WAY) line.sent.shift()
    lines?.set(to, line)
  }

  /** A message is given to `receiver`: whatever was sent before it on its line comes no more. */
  noteArrival(receiver: NodeId, message: Message): void {
    const { type, from, to, term } = message
    const what = `a ${type} of term ${term} from ${from} to ${to}`
    if (to !== receiver) return this.#breach(`${receiver} was given ${what}`)
    const key = keyOf(message, encodeMessage(message))
    for (const lines of this.#lines.values()) {
      const line = lines.get(to)
      const at = line?.from === from ? line.sent.indexOf(key) : -1
      if (line === undefined || at < 0) continue
      line.sent.splice(0, at + 1)
      return
    }
    this.#breach(
      `${receiver} was given ${what}, which was not sent, or has arrived or been overtaken`,
    )
  }
}

/** A line on which nothing arrives need not be remembered for ever: what is late by this is lost. */
const MOST_UNDER_WAY = 1_000

function keyOf({ type, term }: Message, bytes: Uint8Array): string {
  return `${type} ${term} ${bytes.length} ${crc32(bytes)}`
}

/** One node's transport under test. The node is spared what comes while it stands still, or is gone. */
class WatchedTransport implements Transport {
  readonly #network: WatchedNetwork
  readonly #station: Station
  readonly #inner: Transport

  constructor(network: WatchedNetwork, station: Station, inner: Transport) {
    this.#network = network
    this.#station = station
    this.#inner = inner
  }

  start(handlers: TransportHandlers): Promise<void> {
    const { id } = this.#station
    return this.#inner.start({
      onMessage: (message) => {
        if (!this.#station.isAlive()) return
        this.#network.noteArrival(id, message)
        this.#whenFree(() => handlers.onMessage(message))
      },
      onSnapshot: async (message, open) => {
        if (!this.#station.isAlive()) throw new Error(`${id} is away`)
        return handlers.onSnapshot(message, open)
      },
      onUnreachable: (peer) => this.#whenFree(() => handlers.onUnreachable(peer)),
    })
  }

  /** What arrives while the event loop stands still waits for it, in order. */
  #whenFree(run: () => void): void {
    if (!this.#station.isAlive()) return
    const { clock } = this.#network
    const wait = this.#station.stalledUntil() - clock.now
    if (wait > 0) clock.afterQuietly(wait, () => this.#whenFree(run))
    else run()
  }

  setPeers(peers: readonly Peer[]): void {
    this.#inner.setPeers(peers)
  }

  send(message: Message): void {
    if (!this.#station.isAlive()) return
    const bytes = encodeMessage(message)
    this.#station.sent(message, bytes)
    this.#network.noteSent(this, message, bytes)
    this.#inner.send(message)
  }

  sendSnapshot(
    message: InstallSnapshot,
    open: OpenSnapshot,
    options: { readonly signal: AbortSignal },
  ): Promise<void> {
    this.#station.sent(message, encodeMessage(message))
    return this.#inner.sendSnapshot(message, open, options)
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#inner[Symbol.asyncDispose]()
  }
}

/** What a transport waits and draws by: the same clock for all, which neither drifts nor stalls. */
function environmentOf(clock: VirtualClock, random: Random): Environment {
  return {
    now: () => clock.now,
    random: () => random.next(),
    schedule: (turn) => clock.after(0, turn),
    every(intervalMs, beat) {
      let isOver = false
      const next = (): void =>
        clock.after(Math.max(1, intervalMs), () => {
          if (isOver) return
          beat()
          next()
        })
      next()
      return () => {
        isOver = true
      }
    },
  }
}
