/** Taking calls: only from members of this cluster that look for this node. */
import type { NodeId } from '@coracle/raft-core'
import {
  type handleBidiStreamingCall,
  Server,
  type ServerDuplexStream,
  status,
} from '@grpc/grpc-js'
import type { SecureContextOptions } from 'node:tls'
import { formatAddress } from './address.ts'
import { sharedOptions } from './dial.ts'
import { agreedVersion, readHello, welcomeMetadata } from './handshake.ts'
import type { Resolved } from './options.ts'
import { type Bytes, SERVICE } from './service.ts'
import { openSharedPort, type SharedPort } from './shared-port.ts'

export type MessagesCall = ServerDuplexStream<Bytes, Bytes>
export type SnapshotCall = ServerDuplexStream<Bytes, Bytes>

/** What becomes of the calls of peers. */
export interface Calls {
  onMessages(peer: NodeId, call: MessagesCall): void
  onSnapshot(peer: NodeId, call: SnapshotCall): void
}

/** How long a caller may take to hang up after its stream was ended. */
const GRACE_MS = 250

export class Listener {
  readonly #options: Resolved
  readonly #calls: Calls
  readonly #server: Server
  #shared: SharedPort | null = null

  constructor(options: Resolved, calls: Calls) {
    this.#options = options
    this.#calls = calls
    this.#server = new Server(sharedOptions(options))
    const messages: handleBidiStreamingCall<Bytes, Bytes> = (call) =>
      this.#take(call, (peer) => this.#calls.onMessages(peer, call))
    const snapshot: handleBidiStreamingCall<Bytes, Bytes> = (call) =>
      this.#take(call, (peer) => this.#calls.onSnapshot(peer, call))
    this.#server.addService(SERVICE, { Messages: messages, Snapshot: snapshot })
  }

  /** Resolves when peers can connect; rejects if they never will. */
  async listen(): Promise<void> {
    const { listen } = this.#options
    this.#shared = await openSharedPort(this.#server, this.#options).catch(
      (cause: Error): never => {
        const where = formatAddress(listen.host, listen.port)
        throw new Error(`cannot listen on ${where}: ${cause.message}`, { cause })
      },
    )
  }

  /** Where it listens, with the port that the system chose. */
  address(): string {
    return formatAddress(this.#options.listen.host, this.#shared?.port ?? 0)
  }

  /** Shows another certificate to whoever calls from now on. */
  setSecureContext(tls: SecureContextOptions): void {
    this.#shared?.setSecureContext(tls)
  }

  /** Lets callers go in peace, but not for long. Nobody new gets in meanwhile. */
  async close(): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    this.#shared?.stop()
    const closed = new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()))
    const forced = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, GRACE_MS)
    })
    await Promise.race([closed, forced])
    clearTimeout(timer)
    this.#server.forceShutdown()
    this.#shared?.close()
  }

  /** Somebody broke the rules. */
  report(remote: string, why: string): void {
    this.#options.trace({ type: 'connection-refused', remote, why })
  }

  #take(call: MessagesCall | SnapshotCall, go: (peer: NodeId) => void): void {
    const peer = this.#greet(call)
    if (peer instanceof Error)
      call.emit('error', { code: status.FAILED_PRECONDITION, details: peer.message })
    else go(peer)
  }

  #greet(call: MessagesCall | SnapshotCall): NodeId | Error {
    const { cluster, id } = this.#options
    const peer = readHello(call.metadata, cluster, id)
    if (peer instanceof Error) this.report(call.getPeer(), peer.message)
    else call.sendMetadata(welcomeMetadata(cluster, id, agreedVersion(call.metadata)))
    return peer
  }
}
