/** A gRPC server: listens, tells HTTP/2 from HTTP/1.1, and ends well. */
import type { Socket } from 'node:net'
import { TLSSocket, type TlsOptions } from 'node:tls'
import { Connection, type ConnectionContext, type Identity } from './connection.ts'
import { Deadlines } from './deadlines.ts'
import { type Listener, listen } from './listener.ts'
import { type GrpcServerOptions, resolveLimits } from './options.ts'
import { detectProtocol } from './preface.ts'
import { routesOf } from './routes.ts'

export interface GrpcServer extends AsyncDisposable {
  /** Each that is listened on: `host:port` with the port that was taken; a socket as it was given. */
  readonly addresses: readonly string[]
  /** Serves a connection that somebody else accepted: from its first byte, after TLS if there is any. */
  accept(socket: Socket): void
  /** Shows other certificates to whoever connects from now on. Throws a TypeError without TLS. */
  setSecureContext(tls: TlsOptions): void
}

/**
 * Serves until disposed. Rejects if an address cannot be listened on, and listens on none then;
 * throws a RangeError or TypeError for an option that makes no sense. Disposal is idempotent: it takes
 * no more connections and calls, lets those that run finish, and cuts them off after
 * `shutdownTimeoutMs`.
 */
export async function grpcServer(options: GrpcServerOptions): Promise<GrpcServer> {
  const server = new Server(options)
  try {
    for (const address of options.listen ?? []) await server.listen(address)
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw error
  }
  return server
}

/** For what is said to calls that are cut off to reach the clients. */
const LAST_WORDS_MS = 500

class Server implements GrpcServer {
  readonly #options: GrpcServerOptions
  readonly #context: ConnectionContext
  readonly #listeners: Listener[] = []
  readonly #sockets = new Set<Socket>()
  readonly #connections = new Set<Connection>()
  readonly #sweep: NodeJS.Timeout
  #stopped: Promise<void> | null = null

  constructor(options: GrpcServerOptions) {
    const limits = resolveLimits(options.limits)
    this.#options = options
    this.#context = {
      routes: routesOf(options.services),
      onHttp2: options.onHttp2,
      limits,
      deadlines: new Deadlines(),
    }
    const { keepaliveIntervalMs, keepaliveTimeoutMs, maxIdleMs } = limits
    const shortest = Math.min(keepaliveIntervalMs, keepaliveTimeoutMs, maxIdleMs || Infinity)
    // Late by a quarter at most.
    this.#sweep = setInterval(() => this.#look(), Math.max(5, Math.min(10_000, shortest / 4)))
    this.#sweep.unref()
  }

  get addresses(): readonly string[] {
    return this.#listeners.map(({ address }) => address)
  }

  async listen(address: string): Promise<void> {
    const listener = await listen(address, {
      tls: this.#options.tls,
      checkClient: this.#options.checkClient,
      onRefused: this.#options.onRefused,
      limits: this.#context.limits,
      onSocket: (socket) => this.#track(socket),
      onConnection: (socket) => this.accept(socket),
    })
    this.#listeners.push(listener)
  }

  accept(socket: Socket): void {
    this.#track(socket)
    if (this.#stopped !== null) {
      socket.destroy()
      return
    }
    detectProtocol(socket, this.#context.limits.handshakeTimeoutMs, {
      http2: (rest) => this.#serve(socket, rest),
      other: () => {
        if (this.#options.onHttp1 === undefined) socket.destroy()
        else this.#options.onHttp1(socket)
      },
    })
  }

  setSecureContext(tls: TlsOptions): void {
    if (this.#options.tls === undefined)
      throw new TypeError('a server without TLS has no certificates')
    for (const listener of this.#listeners) listener.setSecureContext(tls)
  }

  #track(socket: Socket): void {
    if (this.#sockets.has(socket)) return
    this.#sockets.add(socket)
    // An error closes the socket, and nobody may take its event for overlooked.
    socket.on('error', () => {})
    socket.once('close', () => this.#sockets.delete(socket))
  }

  #serve(socket: Socket, rest: Uint8Array): void {
    const connection = new Connection(
      socket,
      this.#context,
      () => identityOf(socket),
      () => this.#connections.delete(connection),
    )
    this.#connections.add(connection)
    if (this.#stopped !== null) connection.goAway()
    if (rest.length > 0) connection.read(rest)
  }

  #look(): void {
    const now = performance.now()
    for (const connection of this.#connections) connection.look(now)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return (this.#stopped ??= this.#stop())
  }

  async #stop(): Promise<void> {
    const closed = this.#listeners.map((listener) => listener.close())
    for (const connection of this.#connections) connection.goAway()
    const cutOff = setTimeout(() => this.#cutOff(), this.#context.limits.shutdownTimeoutMs)
    await Promise.all([...closed, ...[...this.#sockets].map(closing)])
    clearTimeout(cutOff)
    clearInterval(this.#sweep)
    this.#context.deadlines.stop()
  }

  #cutOff(): void {
    for (const connection of this.#connections) connection.cutOff()
    // Whoever never spoke, and then whoever does not take the last words.
    for (const socket of this.#sockets) if (!socket.writableEnded) socket.destroy()
    setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy()
    }, LAST_WORDS_MS)
  }
}

function closing(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve()
    else socket.once('close', () => resolve())
  })
}

function identityOf(socket: Socket): Identity {
  const { remoteAddress = 'unknown', remotePort = 0 } = socket
  const host = remoteAddress.includes(':') ? `[${remoteAddress}]` : remoteAddress
  return { peer: `${host}:${remotePort}`, commonName: commonNameOf(socket) }
}

/** Of a certificate that was verified only. */
function commonNameOf(socket: Socket): string | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined
  // The types do not say so, but a client may have shown no certificate, or one without a name.
  const { subject } = socket.getPeerCertificate() as { subject?: { CN?: string | string[] } }
  const name = subject?.CN
  return typeof name === 'string' ? name : name?.[0]
}
