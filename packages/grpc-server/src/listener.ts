/** Accepts connections, plain or through TLS, and knows those that are open. */
import { createServer, type Server, type Socket } from 'node:net'
import {
  createServer as createSecureServer,
  type TlsOptions,
  type Server as TlsServer,
  type TLSSocket,
} from 'node:tls'
import type { GrpcLimits } from './options.ts'

export interface Listener {
  /** `host:port`, with the port that was taken. */
  readonly address: string
  /** Shows other certificates to whoever connects from now on. */
  setSecureContext(tls: TlsOptions): void
  /** Accepts no more. Resolves when the last connection has ended. */
  close(): Promise<void>
}

export interface ListenOptions {
  readonly tls: TlsOptions | undefined
  readonly limits: GrpcLimits
  readonly checkClient: ((socket: TLSSocket) => void) | undefined
  readonly onRefused: ((error: Error, socket: Socket) => void) | undefined
  /** Gets every connection, with TLS once its handshake is done. */
  readonly onConnection: (socket: Socket) => void
  /** Gets every socket under it, from the first moment. */
  readonly onSocket: (socket: Socket) => void
}

/**
 * Listens on `host:port` (`[::1]:0`, `:2379` for all interfaces), `http://` before it for no TLS.
 * Rejects if it cannot.
 */
export async function listen(given: string, options: ListenOptions): Promise<Listener> {
  const address = given.replace(/^https?:\/\//, '')
  const { host, port } = parseAddress(address)
  const { limits, onConnection, onSocket } = options
  const tls = given.startsWith('http://') ? undefined : options.tls
  if (tls === undefined && given.startsWith('https://'))
    throw new TypeError(`there is no certificate for ${given}`)
  const server = tls === undefined ? createServer({ noDelay: true }) : secureServer(tls, options)
  server.maxConnections = limits.maxConnections
  server.on('connection', onSocket)
  if (tls === undefined) server.on('connection', onConnection)
  const taken = await bind(server, host, port)
  return {
    address: `${address.slice(0, address.lastIndexOf(':'))}:${taken}`,
    setSecureContext(changed) {
      if (tls !== undefined) (server as TlsServer).setSecureContext(changed)
    },
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

function secureServer(tls: TlsOptions, options: ListenOptions): TlsServer {
  const { limits, checkClient, onConnection, onRefused } = options
  const server = createSecureServer({
    minVersion: 'TLSv1.2',
    noDelay: true,
    ...tls,
    ALPNProtocols: ['h2', 'http/1.1'],
    handshakeTimeout: limits.handshakeTimeoutMs,
  })
  const refuse = (error: Error, socket: Socket): void => {
    onRefused?.(error, socket)
    socket.destroy()
  }
  // A failed handshake is its client's affair.
  server.on('tlsClientError', refuse)
  return server.on('secureConnection', (socket) => {
    try {
      checkClient?.(socket)
    } catch (error) {
      return refuse(error instanceof Error ? error : new Error(String(error)), socket)
    }
    onConnection(socket)
  })
}

export function parseAddress(address: string): {
  readonly host: string | undefined
  readonly port: number
} {
  const [, inBrackets, plain, port] =
    /^(?:\[(.*)\]|([^:]*)):(\d{1,5})$/.exec(address) ?? ([] as string[])
  if (port === undefined || Number(port) > 65_535)
    throw new RangeError(`not an address of the form host:port: ${address}`)
  return { host: inBrackets ?? (plain === '' ? undefined : plain), port: Number(port) }
}

function bind(server: Server, host: string | undefined, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, ...(host === undefined ? {} : { host }) }, () => {
      server.off('error', reject)
      // A connection that cannot be accepted (no file descriptor is free) is its client's loss only.
      server.on('error', () => {})
      const bound = server.address()
      resolve(bound === null || typeof bound === 'string' ? port : bound.port)
    })
  })
}
