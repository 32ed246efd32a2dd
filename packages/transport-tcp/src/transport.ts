/** A node's transport over TCP: one connection to each peer to send by, one from each to hear it. */
import {
  type InstallSnapshot,
  type Message,
  type NodeId,
  type OpenSnapshot,
  type Peer,
  RaftError,
  type TransportHandlers,
} from '@coracle/raft-core'
import { decodeMessage } from '@coracle/raft-core/codec'
import type { NetworkTransport } from '@coracle/raft-core/transport'
import { createSecureContext } from 'node:tls'
import type { Connection } from './connection.ts'
import { dial } from './dial.ts'
import { ProtocolError } from './frame.ts'
import type { Purpose } from './handshake.ts'
import { Link } from './link.ts'
import { Listener } from './listener.ts'
import {
  type Resolved,
  resolveOptions,
  type TcpTransportOptions,
  type TlsMaterial,
} from './options.ts'
import { receiveSnapshot } from './snapshot-receiver.ts'
import { sendSnapshot } from './snapshot-sender.ts'

export type TcpTransport = NetworkTransport<TlsMaterial>

/** A transport that begins to listen when it is started. Throws a RangeError for options out of range. */
export function tcpTransport(options: TcpTransportOptions): TcpTransport {
  return new Transceiver(resolveOptions(options))
}

class Transceiver implements TcpTransport {
  readonly #options: Resolved
  readonly #links = new Map<NodeId, Link>()
  /** The newest connection of each peer, by purpose: an older one that still has bytes would mix up the order. */
  readonly #heard = new Map<string, Connection>()
  readonly #sending = new Set<NodeId>()
  readonly #stopped = new AbortController()
  #handlers: TransportHandlers | null = null
  #listener: Listener | null = null
  #disposal: Promise<void> | null = null

  constructor(options: Resolved) {
    this.#options = options
  }

  async start(handlers: TransportHandlers): Promise<void> {
    this.#stopped.signal.throwIfAborted()
    if (this.#listener !== null) throw new TypeError('a transport is started once')
    const listener = new Listener(this.#options, (peer, purpose, connection) =>
      this.#take(peer, purpose, connection),
    )
    this.#listener = listener
    this.#handlers = handlers
    await listener.listen()
    if (this.#stopped.signal.aborted) await listener.close(this.#stopped.signal.reason)
    this.#stopped.signal.throwIfAborted()
    for (const link of this.#links.values()) link.calling.open()
  }

  address(): string {
    if (this.#listener === null) throw new TypeError('the transport was not started')
    return this.#listener.address()
  }

  renewTls(tls: TlsMaterial): void {
    if (this.#options.tls === null)
      throw new TypeError('a transport without TLS has no certificate')
    createSecureContext({ ...tls, ...tls.whenCalling })
    this.#listener?.setSecureContext(tls)
    this.#options.tls = tls
  }

  setPeers(peers: readonly Peer[]): void {
    if (this.#stopped.signal.aborted) return
    const wanted = new Map(peers.map(({ id, address }) => [id, address]))
    wanted.delete(this.#options.id)
    for (const [id, link] of this.#links) {
      if (wanted.get(id) === link.calling.address) continue
      link.close(new Error('the peer moved or was removed'))
      this.#links.delete(id)
    }
    for (const [id, address] of wanted) if (!this.#links.has(id)) this.#link(id, address)
  }

  send(message: Message): void {
    this.#links.get(message.to)?.send(message)
  }

  async sendSnapshot(
    message: InstallSnapshot,
    open: OpenSnapshot,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<void> {
    signal.throwIfAborted()
    await this.#sendSnapshot(message, open, AbortSignal.any([signal, this.#stopped.signal]))
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#dispose()
    return this.#disposal
  }

  async #dispose(): Promise<void> {
    const why = new RaftError('STOPPED', 'the transport was disposed')
    this.#stopped.abort(why)
    for (const link of this.#links.values()) link.close(why)
    this.#links.clear()
    await this.#listener?.close(why)
  }

  #link(id: NodeId, address: string): void {
    const link = new Link(id, address, this.#options, (peer) => this.#handlers?.onUnreachable(peer))
    this.#links.set(id, link)
    if (this.#handlers !== null) link.calling.open()
  }

  async #sendSnapshot(
    message: InstallSnapshot,
    open: OpenSnapshot,
    signal: AbortSignal,
  ): Promise<void> {
    const { to: peer } = message
    const addresses = this.#links.get(peer)?.calling.addresses()
    signal.throwIfAborted()
    if (this.#handlers === null) throw new RaftError('UNAVAILABLE', 'the transport was not started')
    if (addresses === undefined) throw new RaftError('UNAVAILABLE', `node ${peer} is no peer`)
    if (this.#sending.has(peer))
      throw new RaftError('UNAVAILABLE', `a snapshot is on its way to node ${peer} already`)
    this.#sending.add(peer)
    try {
      const connection = await this.#dialForSnapshot(peer, addresses, signal)
      const hangUp = (): void => connection.destroy(signal.reason)
      signal.addEventListener('abort', hangUp)
      if (signal.aborted) hangUp()
      await sendSnapshot(connection, message, open).finally(() =>
        signal.removeEventListener('abort', hangUp),
      )
    } finally {
      this.#sending.delete(peer)
    }
  }

  async #dialForSnapshot(
    peer: NodeId,
    addresses: readonly string[],
    signal: AbortSignal,
  ): Promise<Connection> {
    let cause: unknown = null
    for (const address of addresses) {
      try {
        return await dial(this.#options, { peer, address, purpose: 'snapshot' }, signal)
      } catch (error) {
        signal.throwIfAborted()
        cause = error
      }
    }
    const where = addresses.join(',')
    throw new RaftError('UNAVAILABLE', `no way to node ${peer} at ${where}`, { cause })
  }

  /** A peer has called and is who it says it is. */
  #take(peer: NodeId, purpose: Purpose, connection: Connection): void {
    const key = `${purpose}\n${peer}`
    this.#heard.get(key)?.destroy(new Error('the peer called again'))
    this.#heard.set(key, connection)
    connection.onClosed(() => {
      if (this.#heard.get(key) === connection) this.#heard.delete(key)
    })
    this.#links.get(peer)?.calling.hurry()
    if (this.#handlers === null) return
    if (purpose === 'messages') return this.#hear(peer, connection, this.#handlers)
    const maxBufferBytes = this.#options.maxSnapshotBufferBytes
    const handlers = this.#handlers
    receiveSnapshot(connection, { from: peer, to: this.#options.id, handlers, maxBufferBytes })
  }

  #hear(from: NodeId, connection: Connection, handlers: TransportHandlers): void {
    const ends = { from, to: this.#options.id }
    connection.onPayload((payload) => {
      const message = decodeMessage(payload, ends)
      // Of a kind that a newer version knows, and this one can do without.
      if (message === null) return
      if (message.type === 'install-snapshot')
        throw new ProtocolError('a snapshot has a connection of its own')
      handlers.onMessage(message)
    })
  }
}
