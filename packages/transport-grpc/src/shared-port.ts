/** One port for gRPC and for HTTP/1, told apart by the first bytes of a connection. */
import { type Server, ServerCredentials } from '@grpc/grpc-js'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import type { Resolved } from './options.ts'

export interface SharedPort {
  readonly port: number
  /** Accepts no more connections. */
  stop(): void
  /** Ends those that are left. */
  close(): void
}

/** What every connection of HTTP/2 begins with (RFC 9113, section 3.4). */
const PREFACE = 'PRI'

/** Listens where the options say. Rejects if it cannot. */
export function openSharedPort(
  server: Server,
  options: Resolved,
  onHttp: (socket: Socket) => void,
): Promise<SharedPort> {
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
  const sockets = new Set<Socket>()
  const listener = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    const deadline = setTimeout(() => socket.destroy(), options.handshakeTimeoutMs)
    socket.once('close', () => {
      clearTimeout(deadline)
      sockets.delete(socket)
    })
    socket.once('data', (chunk: Uint8Array) => {
      clearTimeout(deadline)
      socket.pause()
      socket.unshift(chunk)
      const opening = String.fromCharCode(...chunk.subarray(0, PREFACE.length))
      if (PREFACE.startsWith(opening)) injector.injectConnection(socket)
      else onHttp(socket)
      process.nextTick(() => socket.resume())
    })
  })
  return new Promise((resolve, reject) => {
    listener.once('error', reject)
    listener.listen({ ...options.listen }, () => {
      listener.off('error', reject)
      // A connection that cannot be accepted is its caller's loss only.
      listener.on('error', () => {})
      resolve({
        port: (listener.address() as AddressInfo).port,
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
