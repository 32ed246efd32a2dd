/** A node's transport over gRPC: one stream to each peer to send by, one from each to hear it. */
import {
  type InstallSnapshot,
  type Message,
  type NodeId,
  type OpenSnapshot,
  type Peer,
  RaftError,
  type TransportHandlers,
} from '@coracle/raft-core'
import { CodecError, decodeMessage } from '@coracle/raft-core/codec'
import type { NetworkTransport } from '@coracle/raft-core/transport'
import { status } from '@grpc/grpc-js'
import { unseal } from './frame.ts'
import { Link } from './link.ts'
import { createSecureContext } from 'node:tls'
import { Listener, type MessagesCall, type SnapshotCall } from './listener.ts'
import {
  type GrpcTransportOptions,
  type Resolved,
  resolveOptions,
  type TlsMaterial,
} from './options.ts'
import type { Bytes } from './service.ts'
import { receiveSnapshot } from './snapshot-receiver.ts'
import { sendSnapshot } from './snapshot-sender.ts'

export type GrpcTransport = NetworkTransport<TlsMaterial>

/** A transport that begins to listen when it is started. Throws a RangeError for options out of range. */
export function grpcTransport(options: GrpcTransportOptions): GrpcTransport {
  return new Transceiver(resolveOptions(options))
}

const STOPPING = { code: status.UNAVAILABLE, details: 'the node stops' }

class Transceiver implements GrpcTransport {
  readonly #options: Resolved
  readonly #links = new Map<NodeId, Link>()
  /** The newest stream of each peer: an older one that still has messages would mix up the order. */
  readonly #heard = new Map<NodeId, MessagesCall>()
  readonly #sending = new Set<NodeId>()
  readonly #receiving = new Set<SnapshotCall>()
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
    const listener = new Listener(this.#options, {
      onMessages: (peer, call) => this.#hear(peer, call),
      onSnapshot: (peer, call) => this.#takeSnapshot(peer, call),
    })
    this.#listener = listener
    this.#handlers = handlers
    await listener.listen()
    if (this.#stopped.signal.aborted) await listener.close()
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
      link.close()
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
    this.#stopped.abort(new RaftError('STOPPED', 'the transport was disposed'))
    for (const link of this.#links.values()) link.close()
    this.#links.clear()
    // Told that its stream is over, a peer hangs up at once, where it would otherwise find out by
    // its next ping.
    for (const call of this.#heard.values()) call.emit('error', STOPPING)
    this.#heard.clear()
    for (const call of this.#receiving) call.emit('error', STOPPING)
    await this.#listener?.close()
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
      await sendSnapshot(this.#options, { message, addresses, open, signal })
    } finally {
      this.#sending.delete(peer)
    }
  }

  /** A peer has called and is who it says it is. */
  #hear(from: NodeId, call: MessagesCall): void {
    const older = this.#heard.get(from)
    this.#heard.set(from, call)
    older?.emit('error', { code: status.ABORTED, details: 'the peer called again' })
    this.#links.get(from)?.calling.hurry()
    const ends = { from, to: this.#options.id }
    call.on('data', (frame: Bytes) => this.#take(call, frame, ends))
    call.on('end', () => call.end())
    call.on('close', () => {
      if (this.#heard.get(from) === call) this.#heard.delete(from)
    })
  }

  #take(call: MessagesCall, frame: Bytes, ends: { from: NodeId; to: NodeId }): void {
    if (this.#heard.get(ends.from) !== call || this.#stopped.signal.aborted) return
    const message = decode(frame, ends)
    // Null is of a kind that a newer version knows, and this one can do without.
    if (message === null) return
    if (!(message instanceof CodecError)) return this.#handlers?.onMessage(message)
    this.#heard.delete(ends.from)
    this.#listener?.report(call.getPeer(), message.message)
    call.emit('error', { code: status.INVALID_ARGUMENT, details: message.message })
  }

  #takeSnapshot(from: NodeId, call: SnapshotCall): void {
    if (this.#handlers === null) return
    this.#receiving.add(call)
    // The end of the stream tells the sender that all of it is kept; an error, that it is not.
    receiveSnapshot(call, { from, to: this.#options.id }, this.#handlers)
      .then(
        () => call.end(),
        (reason: unknown) => {
          const details = reason instanceof Error ? reason.message : String(reason)
          if (reason instanceof CodecError) this.#listener?.report(call.getPeer(), details)
          call.emit('error', { code: status.ABORTED, details })
        },
      )
      .finally(() => this.#receiving.delete(call))
  }
}

function decode(frame: Bytes, ends: { from: NodeId; to: NodeId }): Message | null | CodecError {
  try {
    const message = decodeMessage(unseal(frame), ends)
    if (message?.type !== 'install-snapshot') return message
    return new CodecError('a snapshot has a stream of its own')
  } catch (error) {
    if (error instanceof CodecError) return error
    throw error
  }
}
