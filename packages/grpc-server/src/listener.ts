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
  /** `host:port`, with the port that was taken; a socket as it was given. */
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
 * Listens on `host:port` (`[::1]:0`, `:2379` for all interfaces), `http://` before it for no TLS; or on
 * the socket of `unix://path`, and with TLS of `unixs://path`. Rejects if it cannot.
 */
export async function listen(given: string, options: ListenOptions): Promise<Listener> {
  const { place, secure } = parseAddress(given)
  const { limits, onConnection, onSocket } = options
  const tls = secure === false ? undefined : options.tls
  if (tls === undefined && secure === true)
    throw new TypeError(`there is no certificate for ${given}`)
  const server = tls === undefined ? createServer({ noDelay: true }) : secureServer(tls, options)
  server.maxConnections = limits.maxConnections
  server.on('connection', onSocket)
  if (tls === undefined) server.on('connection', onConnection)
  const taken = await bind(server, place)
  return {
    address: taken === null ? given : `${hostIn(given)}:${taken}`,
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

interface Address {
  readonly place: { readonly host?: string; readonly port?: number; readonly path?: string }
  /** What the scheme says of TLS, or null where there is none. */
  readonly secure: boolean | null
}

const SOCKET_FORM = /^(unixs?):\/\/(.+)$/
const FORM = /^(?:(https?):\/\/)?(?:\[(.*)\]|([^:]*)):(\d{1,5})$/

function parseAddress(text: string): Address {
  const [, socketScheme, path] = SOCKET_FORM.exec(text) ?? ([] as string[])
  if (path !== undefined) return { place: { path }, secure: socketScheme === 'unixs' }
  const [, scheme, inBrackets, plain, port] = FORM.exec(text) ?? ([] as string[])
  if (port === undefined || Number(port) > 65_535)
    throw new RangeError(`not an address of the form host:port or unix://path: ${text}`)
  const host = inBrackets ?? plain
  return {
    place: { ...(host === '' || host === undefined ? {} : { host }), port: Number(port) },
    secure: scheme === undefined ? null : scheme === 'https',
  }
}

/** As it was given, in brackets if it was in brackets. */
function hostIn(given: string): string {
  return given.replace(/^https?:\/\//, '').replace(/:\d+$/, '')
}

/** Answers with the port that was taken; null for a socket. */
function bind(server: Server, place: Address['place']): Promise<number | null> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ ...place }, () => {
      server.off('error', reject)
      // A connection that cannot be accepted (no file descriptor is free) is its client's loss only.
      server.on('error', () => {})
      const bound = server.address()
      resolve(bound === null || typeof bound === 'string' ? null : bound.port)
    })
  })
}
