/** Accepts connections, plain or through TLS, and knows those that are open. */
import { createServer, type Server, type Socket } from 'node:net'
import {
  createServer as createSecureServer,
  type TlsOptions,
  type Server as TlsServer,
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
  /** Gets every connection, with TLS once its handshake is done. */
  readonly onConnection: (socket: Socket) => void
  /** Gets every socket under it, from the first moment. */
  readonly onSocket: (socket: Socket) => void
}

/** Listens on `host:port` (`[::1]:0`, `:2379` for all interfaces). Rejects if it cannot. */
export async function listen(address: string, options: ListenOptions): Promise<Listener> {
  const { host, port } = parseAddress(address)
  const { limits, tls, onConnection, onSocket } = options
  const server = tls === undefined ? createServer({ noDelay: true }) : secureServer(tls, limits)
  server.maxConnections = limits.maxConnections
  server.on('connection', onSocket)
  server.on(tls === undefined ? 'connection' : 'secureConnection', onConnection)
  const taken = await bind(server, host, port)
  return {
    address: `${address.slice(0, address.lastIndexOf(':'))}:${taken}`,
    setSecureContext(changed) {
      if (tls === undefined) throw new TypeError('a listener without TLS has no certificates')
      ;(server as TlsServer).setSecureContext(changed)
    },
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

function secureServer(tls: TlsOptions, { handshakeTimeoutMs }: GrpcLimits): TlsServer {
  const server = createSecureServer({
    minVersion: 'TLSv1.2',
    noDelay: true,
    ...tls,
    ALPNProtocols: ['h2', 'http/1.1'],
    handshakeTimeout: handshakeTimeoutMs,
  })
  // A failed handshake is its client's affair.
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  return server
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
