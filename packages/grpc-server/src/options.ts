/** Everything that a server can be tuned by. */
import type { Socket } from 'node:net'
import type { TlsOptions, TLSSocket } from 'node:tls'
import type { Handler } from './call.ts'
import type { HttpHandler } from './http-exchange.ts'

export interface GrpcServerOptions {
  /** How each method is served, by its path: `/package.Service/Method`. */
  readonly services: Readonly<Record<string, Handler>>
  /**
   * Where to listen: `host:port`, port 0 for any free one. With `tls`, that is where it is spoken; not
   * so at `http://host:port`. Or at a socket, `unix://path`, and `unixs://path` with TLS, which must not
   * exist yet and is removed in the end. Default: nowhere, see `accept`.
   */
  readonly listen?: readonly string[]
  /** Certificate, key and the like; `requestCert` and `ca` to know clients by theirs. Default: no TLS. */
  readonly tls?: TlsOptions
  /** Looks at who connects by TLS, after the handshake; throws to refuse. Default: all pass. */
  readonly checkClient?: (socket: TLSSocket) => void
  /** Told of connections that came to nothing: a handshake failed, or `checkClient` threw. */
  readonly onRefused?: (error: Error, socket: Socket) => void
  /**
   * Gets every connection that does not begin as HTTP/2 does, with nothing read from it. Default:
   * such connections are closed. It must listen to the socket at once; disposal waits for it to close,
   * and cuts it off after `shutdownTimeoutMs`.
   */
  readonly onHttp1?: (socket: Socket) => void
  /**
   * Gets every request over HTTP/2 that is not one of gRPC by its content type. With `onHttp1`, the
   * same handler serves both: it is to use no more than `HttpRequest` and `HttpResponse`
   * have. Default: they are refused with status 415, as grpc-go does.
   */
  readonly onHttp2?: HttpHandler
  readonly limits?: Partial<GrpcLimits>
}

export interface GrpcLimits {
  /** The largest message that is taken, in bytes. Default 4 MiB. */
  readonly maxMessageBytes: number
  /** Calls that one connection may have open. Default 1000. */
  readonly maxConcurrentStreams: number
  /** What a client may send on one call before it hears that it was taken, in bytes. Default 256 KiB. */
  readonly windowBytes: number
  /** The header fields of one request, as RFC 9113 counts them, in bytes. Default 64 KiB. */
  readonly maxHeaderListBytes: number
  /** Of one connection: unfinished messages, and messages that handlers have not taken. Default 64 MiB. */
  readonly maxBufferedBytes: number
  /** Of one call: messages wait up to here until `write` says that there is no room. Default 64 KiB. */
  readonly maxQueuedBytes: number
  /** Of one connection: bytes in the socket beyond which no more messages go there. Default 256 KiB. */
  readonly maxSocketBytes: number
  /** Connections at a time. Default: no limit. */
  readonly maxConnections: number
  /** From the connection to its first bytes, and for the handshake of TLS. Default 10 s. */
  readonly handshakeTimeoutMs: number
  /** A connection that says nothing for so long is pinged. Default 2 hours. */
  readonly keepaliveIntervalMs: number
  /** A ping that nothing follows for so long ends the connection. Default 20 s. */
  readonly keepaliveTimeoutMs: number
  /** Clients that ping more often than this are sent away; 0 for no limit. Default 5 minutes. */
  readonly keepaliveMinTimeMs: number
  /** A connection without calls for so long is closed; 0 for never. Default 0. */
  readonly maxIdleMs: number
  /** Calls that one client may break off, or have broken off for bad frames, each second. Default 1000. */
  readonly maxResetsPerSecond: number
  /** How long calls may go on after disposal began, before they are cut off. Default 5 s. */
  readonly shutdownTimeoutMs: number
}

const DEFAULTS: GrpcLimits = {
  maxMessageBytes: 4 << 20,
  maxConcurrentStreams: 1_000,
  windowBytes: 256 << 10,
  maxHeaderListBytes: 64 << 10,
  maxBufferedBytes: 64 << 20,
  maxQueuedBytes: 64 << 10,
  maxSocketBytes: 256 << 10,
  maxConnections: 0xffff_ffff,
  handshakeTimeoutMs: 10_000,
  keepaliveIntervalMs: 7_200_000,
  keepaliveTimeoutMs: 20_000,
  keepaliveMinTimeMs: 300_000,
  maxIdleMs: 0,
  maxResetsPerSecond: 1_000,
  shutdownTimeoutMs: 5_000,
}

/** What each may be, where it is not any whole number from 1 on. */
const RANGES: Partial<Record<keyof GrpcLimits, readonly [least: number, most: number]>> = {
  maxMessageBytes: [0, 0x7fff_ffff],
  maxConcurrentStreams: [1, 0xffff_ffff],
  // Before the client knows better it may send as much as HTTP/2 has by default.
  windowBytes: [65_535, 0x3fff_ffff],
  maxHeaderListBytes: [1_024, 1 << 20],
  keepaliveMinTimeMs: [0, Number.MAX_SAFE_INTEGER],
  maxIdleMs: [0, Number.MAX_SAFE_INTEGER],
  shutdownTimeoutMs: [0, 0x7fff_ffff],
}

/** Fills in the defaults. Throws a RangeError that names the limit. */
export function resolveLimits(limits: Partial<GrpcLimits> = {}): GrpcLimits {
  const resolved: Record<string, number> = { ...DEFAULTS }
  for (const name of Object.keys(DEFAULTS) as (keyof GrpcLimits)[]) {
    const value = limits[name]
    if (value === undefined) continue
    const [least, most] = RANGES[name] ?? [1, Number.MAX_SAFE_INTEGER]
    if (!Number.isSafeInteger(value) || value < least || value > most)
      throw new RangeError(`${name} must be a whole number in [${least}, ${most}], not ${value}`)
    resolved[name] = value
  }
  return resolved as unknown as GrpcLimits
}
