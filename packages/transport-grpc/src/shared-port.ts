/** One port for gRPC and for HTTP/1, told apart by the first bytes of a connection. */
import { formatAddress, type Place } from '@coracle/raft-core/transport'
import { type Server, ServerCredentials } from '@grpc/grpc-js'
import { createServer, type Server as Listener, type Socket } from 'node:net'
import {
  createServer as createSecureServer,
  type SecureContextOptions,
  Server as SecureListener,
  type TLSSocket,
} from 'node:tls'
import type { Resolved, TlsMaterial } from './options.ts'

export interface SharedPort {
  /** With the port that the system chose. */
  readonly place: Place
  /** Shows another certificate to whoever calls from now on. */
  setSecureContext(tls: SecureContextOptions): void
  /** Accepts no more connections. */
  stop(): void
  /** Ends those that are left. */
  close(): void
}

/** What every connection of HTTP/2 begins with (RFC 9113, section 3.4). */
const PREFACE = 'PRI'

/** Rejects if it cannot listen there. */
export function openSharedPort(
  server: Server,
  { secure, ...place }: Resolved['listen'][number],
  options: Resolved,
): Promise<SharedPort> {
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
  const { onHttp } = options
  const tls = secure ? options.tls : null
  const sockets = new Set<Socket>()
  const greet = (socket: Socket): void => {
    const deadline = setTimeout(() => socket.destroy(), options.handshakeTimeoutMs)
    socket.once('close', () => clearTimeout(deadline))
    socket.once('data', (chunk: Uint8Array) => {
      clearTimeout(deadline)
      socket.pause()
      socket.unshift(chunk)
      const opening = String.fromCharCode(...chunk.subarray(0, PREFACE.length))
      if (onHttp === null || PREFACE.startsWith(opening)) injector.injectConnection(socket)
      else onHttp(socket)
      process.nextTick(() => socket.resume())
    })
  }
  const listener = tls === null ? createServer(greet) : secureListener(tls, options, greet)
  listener.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => sockets.delete(socket))
  })
  return new Promise((resolve, reject) => {
    listener.once('error', reject)
    listener.listen({ ...place }, () => {
      listener.off('error', reject)
      // A connection that cannot be accepted is its caller's loss only.
      listener.on('error', () => {})
      resolve({
        place: takenPlace(place, listener),
        setSecureContext(changed) {
          if (listener instanceof SecureListener) listener.setSecureContext(changed)
        },
        stop() {
          listener.close()
        },
        close() {
          for (const socket of sockets) socket.destroy()
        },
      })
    })
  })
}

function takenPlace(place: Place, listener: Listener): Place {
  const bound = listener.address()
  if ('path' in place || bound === null || typeof bound === 'string') return place
  return { host: place.host, port: bound.port }
}

function secureListener(
  tls: TlsMaterial,
  { handshakeTimeoutMs, trace }: Resolved,
  greet: (socket: Socket) => void,
): Listener {
  const report = (socket: Socket, why: string): void => {
    const remote = formatAddress(socket.remoteAddress ?? 'unknown', socket.remotePort ?? 0)
    trace({ type: 'connection-refused', remote, why })
    socket.destroy()
  }
  const listener = createSecureServer({
    requestCert: true,
    rejectUnauthorized: true,
    handshakeTimeout: handshakeTimeoutMs,
    ...tls,
    ALPNProtocols: ['h2', 'http/1.1'],
  })
  listener.on('tlsClientError', (error, socket) => report(socket, `TLS failed: ${error.message}`))
  return listener.on('secureConnection', (socket: TLSSocket) => {
    socket.on('error', () => {})
    if (tls.checkCaller === undefined) return greet(socket)
    tls.checkCaller(socket).then(
      () => greet(socket),
      (error: Error) => report(socket, error.message),
    )
  })
}
