/** One node's end of the network. */
import {
  type InstallSnapshot,
  type Message,
  type NodeId,
  type OpenSnapshot,
  type Peer,
  RaftError,
  type Transport,
  type TransportHandlers,
} from '@coracle/raft-core'
import type { Network } from './network.ts'
import { readUntilAborted, untilAborted } from './snapshot.ts'

export class MemoryTransport implements Transport {
  readonly #id: NodeId
  readonly #network: Network
  readonly #peers = new Set<NodeId>()
  readonly #lost = new Set<NodeId>()
  readonly #streaming = new Map<NodeId, AbortController>()
  #handlers: TransportHandlers | null = null
  #started = false
  #disposed = false
  #inbox: Message[] = []

  constructor(id: NodeId, network: Network) {
    this.#id = id
    this.#network = network
  }

  async start(handlers: TransportHandlers): Promise<void> {
    if (this.#disposed) throw new RaftError('STOPPED', 'the transport was disposed')
    if (this.#started) throw new TypeError('a transport is started once')
    this.#network.join(this.#id, this)
    this.#started = true
    this.#handlers = handlers
  }

  setPeers(peers: readonly Peer[]): void {
    this.#peers.clear()
    for (const { id } of peers) if (id !== this.#id) this.#peers.add(id)
  }

  send(message: Message): void {
    if (this.#handlers === null || !this.#peers.has(message.to)) return
    if (!this.#network.carry(message)) this.#reportLost(message.to)
  }

  async sendSnapshot(
    message: InstallSnapshot,
    open: OpenSnapshot,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<void> {
    let source: AsyncIterator<Uint8Array> | null = null
    try {
      signal.throwIfAborted()
      await this.#stream(message, signal, (line) => async (held) => {
        if (source !== null) throw new TypeError('a snapshot is opened once')
        const { offset, chunks } = await untilAborted(open(held), line)
        source = chunks[Symbol.asyncIterator]()
        return { offset, chunks: readUntilAborted(source, line) }
      })
    } finally {
      // Not awaited: a source that hangs must not hold up the news that the stream broke.
      ;(source as AsyncIterator<Uint8Array> | null)?.return?.().catch(() => {})
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true
    this.#handlers = null
    this.#inbox = []
    this.#network.leave(this.#id, this)
    return Promise.resolve()
  }

  /** Takes a message in for the next turn; false if too many wait already. */
  receive(message: Message): boolean {
    if (this.#inbox.length >= this.#network.maxQueuedMessages) return false
    if (this.#inbox.push(message) === 1) this.#network.environment.schedule(this.#deliver)
    return true
  }

  /** Everything that arrived before the turn is handed over in it, and nothing that arrives during it. */
  readonly #deliver = (): void => {
    const messages = this.#inbox
    this.#inbox = []
    const { faults } = this.#network
    for (const message of messages) {
      if (faults.active && faults.isCut(message.from, message.to)) continue
      this.#handlers?.onMessage(message)
    }
  }

  /** Later, never from within `send`: the sender is in the middle of something. Once a turn is enough. */
  #reportLost(peer: NodeId): void {
    if (this.#lost.has(peer)) return
    this.#lost.add(peer)
    this.#network.environment.schedule(() => {
      this.#lost.delete(peer)
      this.#handlers?.onUnreachable(peer)
    })
  }

  async #stream(
    message: InstallSnapshot,
    signal: AbortSignal,
    openOn: (line: AbortSignal) => OpenSnapshot,
  ): Promise<void> {
    const { to } = message
    if (this.#handlers === null) throw new RaftError('STOPPED', 'the transport is not running')
    if (!this.#peers.has(to)) throw new RaftError('UNAVAILABLE', `node ${to} is no peer`)
    if (this.#streaming.has(to))
      throw new RaftError('UNAVAILABLE', `a snapshot is on its way to node ${to} already`)
    const altered = this.#network.faults.applyRules(message)
    if (altered?.type !== 'install-snapshot')
      throw new RaftError('UNAVAILABLE', `the way to node ${to} broke`)
    const { receiver, stream } = this.#network.openStream(this.#id, to)
    this.#streaming.set(to, stream.broken)
    const release = (): void => this.#release(to, stream.broken)
    // At once, so that the caller may start again as soon as it has aborted.
    signal.addEventListener('abort', release, { once: true })
    const line = AbortSignal.any([signal, stream.broken.signal])
    try {
      await untilAborted(this.#nextTurn(), line)
      await untilAborted(receiver.#receiveSnapshot(altered, openOn(line)), line)
    } finally {
      signal.removeEventListener('abort', release)
      release()
      this.#network.closeStream(stream)
      // Whoever still reads the chunks at the other side must not take their silence for an end.
      stream.broken.abort(new RaftError('UNAVAILABLE', 'the stream is over'))
    }
  }

  #release(to: NodeId, stream: AbortController): void {
    if (this.#streaming.get(to) === stream) this.#streaming.delete(to)
  }

  async #receiveSnapshot(message: InstallSnapshot, open: OpenSnapshot): Promise<void> {
    if (this.#handlers === null) throw new RaftError('UNAVAILABLE', `node ${this.#id} is away`)
    await this.#handlers.onSnapshot(message, open)
  }

  #nextTurn(): Promise<void> {
    return new Promise((resolve) => this.#network.environment.schedule(resolve))
  }
}
