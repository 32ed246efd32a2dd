/** Taking calls: only from members of this cluster that look for this node. */
import type { NodeId } from '@coracle/raft-core'
import { CodecError } from '@coracle/raft-core/codec'
import {
  createServer as createPlainServer,
  type AddressInfo,
  type Server,
  type Socket,
} from 'node:net'
import {
  createServer as createSecureServer,
  type SecureContextOptions,
  Server as SecureServer,
  type TLSSocket,
} from 'node:tls'
import { formatAddress } from './address.ts'
import { Connection } from './connection.ts'
import { MAGIC, ProtocolError } from './frame.ts'
import {
  agreedVersion,
  decodeHello,
  encodeWelcome,
  objectionTo,
  type Hello,
  type Purpose,
} from './handshake.ts'
import type { Resolved } from './options.ts'

/** How long a caller that was refused may take to read why. */
const REFUSAL_MS = 1_000

export type OnCall = (peer: NodeId, purpose: Purpose, connection: Connection) => void

export class Listener {
  readonly #options: Resolved
  readonly #onCall: OnCall
  readonly #server: Server
  readonly #connections = new Set<Connection>()
  readonly #sockets = new Set<Socket>()

  constructor(options: Resolved, onCall: OnCall) {
    this.#options = options
    this.#onCall = onCall
    const tls = options.mixed?.listen === 'plain' ? null : options.tls
    this.#server =
      tls === null
        ? createPlainServer()
        : createSecureServer({
            requestCert: true,
            rejectUnauthorized: true,
            handshakeTimeout: options.handshakeTimeoutMs,
            ...tls,
          })
    this.#server.maxConnections = options.maxConnections
    this.#server.on('connection', (socket) => this.#track(socket))
    if (tls === null) this.#server.on('connection', (socket) => this.#greet(socket))
    else this.#server.on('secureConnection', (socket: TLSSocket) => this.#look(socket))
    this.#server.on('tlsClientError', (error, socket) => {
      this.#report(remoteOf(socket), `TLS failed: ${error.message}`)
      socket.destroy()
    })
    this.#server.on('drop', (data) => {
      const remote = formatAddress(data?.remoteAddress ?? 'unknown', data?.remotePort ?? 0)
      this.#report(remote, `${options.maxConnections} connections are open already`)
    })
  }

  /** Resolves when peers can connect; rejects if they never will. */
  listen(): Promise<void> {
    const { host, port } = this.#options.listen
    return new Promise((resolve, reject) => {
      this.#server.once('error', (cause) =>
        reject(
          new Error(`cannot listen on ${formatAddress(host, port)}: ${cause.message}`, { cause }),
        ),
      )
      this.#server.listen({ host, port }, () => {
        // From here on only a single call can fail, for want of file descriptors for instance.
        this.#server.on('error', (error) => this.#report('unknown', error.message))
        resolve()
      })
    })
  }

  /** Where it listens, with the port that the system chose. */
  address(): string {
    const { address, port } = this.#server.address() as AddressInfo
    return formatAddress(address, port)
  }

  /** Shows another certificate to whoever calls from now on. */
  setSecureContext(tls: SecureContextOptions): void {
    if (this.#server instanceof SecureServer) this.#server.setSecureContext(tls)
  }

  async close(why: Error): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const connection of this.#connections) connection.destroy(why)
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  /** Under TLS a socket lives for a while before its handshake makes a connection of it. */
  #track(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => this.#sockets.delete(socket))
  }

  #look(socket: TLSSocket): void {
    const { checkCaller } = this.#options.tls ?? {}
    if (checkCaller === undefined) return this.#greet(socket)
    checkCaller(socket).then(
      () => this.#greet(socket),
      (error: Error) => {
        this.#report(remoteOf(socket), error.message)
        socket.destroy()
      },
    )
  }

  /** Whoever opens with something else than peers do may want to speak HTTP. */
  #greet(socket: Socket): void {
    const { onHttp, handshakeTimeoutMs } = this.#options
    if (onHttp === null) return this.#accept(socket)
    const deadline = setTimeout(() => {
      this.#report(remoteOf(socket), 'the handshake took too long')
      socket.destroy()
    }, handshakeTimeoutMs)
    socket.once('close', () => clearTimeout(deadline))
    socket.once('data', (chunk: Uint8Array) => {
      clearTimeout(deadline)
      socket.pause()
      socket.unshift(chunk)
      if (looksLikeHttp(chunk)) onHttp(socket)
      else this.#accept(socket)
      process.nextTick(() => socket.resume())
    })
  }

  #accept(socket: Socket): void {
    const connection = new Connection(socket, this.#options)
    const remote = remoteOf(socket)
    let answered = false
    this.#connections.add(connection)
    connection.onClosed((why) => {
      this.#connections.delete(connection)
      const violation = why instanceof ProtocolError || why instanceof CodecError
      if (!answered || violation) this.#report(remote, why.message)
    })
    connection.onPayload((payload) => {
      const hello = decodeHello(payload)
      answered = true
      this.#answer(connection, hello, remote)
    })
  }

  #answer(connection: Connection, hello: Hello, remote: string): void {
    const { id, cluster, maxMessageBytes } = this.#options
    const refused = objectionTo(hello, cluster, id)
    const version = agreedVersion(hello)
    connection.write(MAGIC, encodeWelcome({ cluster, id, version, refused }))
    if (refused !== null) {
      this.#report(remote, refused)
      this.#dismiss(connection, refused)
      return
    }
    connection.established(maxMessageBytes)
    this.#onCall(hello.from, hello.purpose, connection)
  }

  /** Leaves the caller time to read the answer and hang up: hanging up first could lose it. */
  #dismiss(connection: Connection, why: string): void {
    connection.onPayload(() => {})
    const timer = setTimeout(() => connection.destroy(new Error(why)), REFUSAL_MS)
    connection.onClosed(() => clearTimeout(timer))
  }

  #report(remote: string, why: string): void {
    this.#options.trace({ type: 'connection-refused', remote, why })
  }
}

/** The name of a method, in capitals: not what peers open with, and not HTTP/2. */
function looksLikeHttp(chunk: Uint8Array): boolean {
  const opening = String.fromCharCode(...chunk.subarray(0, 3))
  return /^[A-Z]/.test(opening) && chunk[0] !== MAGIC[0] && opening !== 'PRI'
}

function remoteOf(socket: Socket): string {
  return formatAddress(socket.remoteAddress ?? 'unknown', socket.remotePort ?? 0)
}
