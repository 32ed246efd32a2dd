/** Taking calls: only from members of this cluster that look for this node. */
import type { NodeId } from '@coracle/raft-core'
import { formatPlace } from '@coracle/raft-core/transport'
import {
  type handleBidiStreamingCall,
  Server,
  type ServerDuplexStream,
  status,
} from '@grpc/grpc-js'
import type { SecureContextOptions } from 'node:tls'
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
  readonly #shared: SharedPort[] = []

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

  /** Resolves when peers can connect everywhere; rejects if they never will, and listens nowhere then. */
  async listen(): Promise<void> {
    for (const place of this.#options.listen) {
      try {
        this.#shared.push(await openSharedPort(this.#server, place, this.#options))
      } catch (cause) {
        await this.close()
        const why = cause instanceof Error ? cause.message : String(cause)
        throw new Error(`cannot listen on ${formatPlace(place)}: ${why}`, { cause })
      }
    }
  }

  /** Where it listens, with the ports that the system chose, and commas between places. */
  address(): string {
    return this.#shared.map(({ place }) => formatPlace(place)).join(',')
  }

  /** Shows another certificate to whoever calls from now on. */
  setSecureContext(tls: SecureContextOptions): void {
    for (const shared of this.#shared) shared.setSecureContext(tls)
  }

  /** Lets callers go in peace, but not for long. Nobody new gets in meanwhile. */
  async close(): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    for (const shared of this.#shared) shared.stop()
    const closed = new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()))
    const forced = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, GRACE_MS)
    })
    await Promise.race([closed, forced])
    clearTimeout(timer)
    this.#server.forceShutdown()
    for (const shared of this.#shared) shared.close()
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
