/** Taking calls: only from members of this cluster that look for this node. */
import type { NodeId } from '@coracle/raft-core'
import { CodecError } from '@coracle/raft-core/codec'
import { formatAddress, formatPlace, type Place } from '@coracle/raft-core/transport'
import { createServer as createPlainServer, type Server, type Socket } from 'node:net'
import {
  createServer as createSecureServer,
  type SecureContextOptions,
  Server as SecureServer,
  type TLSSocket,
} from 'node:tls'
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
import type { Resolved, TlsMaterial } from './options.ts'

/** How long a caller that was refused may take to read why. */
const REFUSAL_MS = 1_000

export type OnCall = (peer: NodeId, purpose: Purpose, connection: Connection) => void

/** A place, and what listens there. */
interface Door {
  readonly place: Place
  readonly server: Server
}

export class Listener {
  readonly #options: Resolved
  readonly #onCall: OnCall
  readonly #doors: readonly Door[]
  readonly #connections = new Set<Connection>()
  readonly #sockets = new Set<Socket>()

  constructor(options: Resolved, onCall: OnCall) {
    this.#options = options
    this.#onCall = onCall
    this.#doors = options.listen.map(({ secure, ...place }) => {
      const server = this.#serverOf(secure ? options.tls : null)
      return { place, server }
    })
  }

  /** Resolves when peers can connect everywhere; rejects if they never will, and listens nowhere then. */
  async listen(): Promise<void> {
    try {
      for (const door of this.#doors) await this.#bind(door)
    } catch (error) {
      await this.close(new Error('another place cannot be listened on'))
      throw error
    }
  }

  /** Where it listens, with the ports that the system chose, and commas between places. */
  address(): string {
    return this.#doors
      .map(({ server }) => {
        const bound = server.address()
        if (bound === null) throw new TypeError('the transport does not listen')
        if (typeof bound === 'string') return formatPlace({ path: bound })
        return formatAddress(bound.address, bound.port)
      })
      .join(',')
  }

  /** Shows another certificate to whoever calls from now on. */
  setSecureContext(tls: SecureContextOptions): void {
    for (const { server } of this.#doors)
      if (server instanceof SecureServer) server.setSecureContext(tls)
  }

  async close(why: Error): Promise<void> {
    const closed = this.#doors.map(
      ({ server }) => new Promise<void>((resolve) => server.close(() => resolve())),
    )
    for (const connection of this.#connections) connection.destroy(why)
    for (const socket of this.#sockets) socket.destroy()
    await Promise.all(closed)
  }

  #serverOf(tls: TlsMaterial | null): Server {
    const { handshakeTimeoutMs, maxConnections } = this.#options
    const server =
      tls === null
        ? createPlainServer()
        : createSecureServer({
            requestCert: true,
            rejectUnauthorized: true,
            handshakeTimeout: handshakeTimeoutMs,
            ...tls,
          })
    server.maxConnections = maxConnections
    server.on('connection', (socket) => this.#track(socket))
    if (tls === null) server.on('connection', (socket) => this.#greet(socket))
    else server.on('secureConnection', (socket: TLSSocket) => this.#look(socket))
    server.on('tlsClientError', (error, socket) => {
      this.#report(remoteOf(socket), `TLS failed: ${error.message}`)
      socket.destroy()
    })
    server.on('drop', (data) => {
      const remote = formatAddress(data?.remoteAddress ?? 'unknown', data?.remotePort ?? 0)
      this.#report(remote, `${maxConnections} connections are open already`)
    })
    return server
  }

  #bind({ server, place }: Door): Promise<void> {
    return new Promise((resolve, reject) => {
      server.once('error', (cause) =>
        reject(new Error(`cannot listen on ${formatPlace(place)}: ${cause.message}`, { cause })),
      )
      server.listen({ ...place }, () => {
        // From here on only a single call can fail, for want of file descriptors for instance.
        server.on('error', (error) => this.#report('unknown', error.message))
        resolve()
      })
    })
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
