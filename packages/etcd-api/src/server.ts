/** A server of the etcd v3 API: gRPC, and JSON over HTTP/1.1 or HTTP/2, on the same port. */
import { type GrpcLimits, type GrpcServer, type Handler, grpcServer } from '@coracle/grpc-server'
import type { Socket } from 'node:net'
import type { TlsOptions, TLSSocket } from 'node:tls'
import { etcdClient, type EtcdClient } from './embedded/client.ts'
import { type Gateway, jsonGateway } from './gateway/gateway.ts'
import { handlerOf } from './grpc-carrier.ts'
import type { AccessOptions } from './http/access.ts'
import { httpServer } from './http/http-server.ts'
import { type EtcdServicesOptions, resolveOptions } from './options.ts'
import { createEtcdServices, type EtcdServices } from './services.ts'

export interface EtcdServerOptions extends EtcdServicesOptions, AccessOptions {
  /**
   * Where to listen: `host:port`, port 0 for any free one. With `tls`, that is where it is spoken; not
   * so at `http://host:port`. Or at a socket, `unix://path`, and `unixs://path` with TLS, which must not
   * exist yet and is removed in the end.
   */
  readonly listen: readonly string[]
  /** Certificate, key and the like; `requestCert` and `ca` to know clients by theirs. Default: no TLS. */
  readonly tls?: TlsOptions
  /** Looks at who connects by TLS, after the handshake; throws to refuse. Default: all pass. */
  readonly checkClient?: (socket: TLSSocket) => void
  /** Told of connections that came to nothing: a handshake failed, or `checkClient` threw. */
  readonly onRefused?: (error: Error, socket: Socket) => void
  /** More addresses, for health checks and metrics only. Default: none. */
  readonly listenMetrics?: readonly string[]
  /** Addresses for HTTP only; `listen` is for gRPC only then. Default: `listen` serves both. */
  readonly listenHttp?: readonly string[]
  /** Whether the API is served as JSON, too, under `/v3/`. Default: yes. */
  readonly jsonGateway?: boolean
  /** Streams that one connection may have open. Default: no limit but HTTP/2's own. */
  readonly maxConcurrentStreams?: number
  /** A connection without traffic is pinged after this time. Default 2 hours, as in etcd. */
  readonly keepaliveIntervalMs?: number
  /** A ping that is not answered for this long ends the connection. Default 20 s, as in etcd. */
  readonly keepaliveTimeoutMs?: number
  /** Clients that ping more often than this are sent away; 0 for no limit. Default 5 s, as in etcd. */
  readonly keepaliveMinTimeMs?: number
  /** How long calls may go on after disposal began, before they are cut off. Default 5 s. */
  readonly shutdownTimeoutMs?: number
}

export interface EtcdServer
  extends AsyncDisposable, Pick<EtcdServices, 'answerForwarded' | 'raiseAlarm'> {
  /** Each that is listened on: `host:port` with the port that was taken; a socket as it was given. */
  readonly addresses: readonly string[]
  /** Asks this server from within the process. */
  readonly client: EtcdClient
  /** The same of `listenHttp`. */
  readonly httpAddresses: readonly string[]
  /** The same of `listenMetrics`. */
  readonly metricsAddresses: readonly string[]
  /** Shows other certificates to whoever connects from now on. Throws a TypeError without TLS. */
  setSecureContext(tls: TlsOptions): void
}

/** What gRPC adds to a request before etcd looks at its size. */
const GRPC_OVERHEAD_BYTES = 512 * 1024

/**
 * Serves until disposed. Rejects if an address cannot be listened on, and listens on none then.
 * Disposal is idempotent: it accepts no more calls, lets those that run finish, and cuts them off
 * after `shutdownTimeoutMs`. The node and the state machine are left to whoever made them.
 */
export async function etcdServer(options: EtcdServerOptions): Promise<EtcdServer> {
  if (options.listen.length === 0) throw new RangeError('there is no address to listen on')
  return serveEtcd(options)
}

/** The same, also for nobody but the process itself. */
export async function serveEtcd(options: EtcdServerOptions): Promise<EtcdServer> {
  const services = createEtcdServices(options)
  const { endpoints } = services
  const gateway = options.jsonGateway === false ? null : gatewayOf(services, options)
  const http = httpServer({ ...options, gateway, endpoints })
  const onlyEndpoints = httpServer({ gateway: null, endpoints })
  const limits = grpcLimits(options)
  const servers: GrpcServer[] = []
  let stopped: Promise<void> | undefined
  const stop = async (): Promise<void> => {
    services.endStreams()
    for (const server of [http, onlyEndpoints]) server.close()
    await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()))
    await services[Symbol.asyncDispose]()
  }
  const dispose = (): Promise<void> => (stopped ??= stop())
  const start = async (server: Promise<GrpcServer>): Promise<readonly string[]> => {
    servers.push(await server)
    return (await server).addresses
  }
  try {
    const { listen, listenHttp = [], listenMetrics = [] } = options
    const handlers = handlersOf(services)
    const secure = securityOf(options)
    return {
      client: etcdClient(services.rpcs, resolveOptions(options).environment),
      addresses: await start(
        grpcServer({
          ...secure,
          listen,
          services: handlers,
          limits,
          ...(listenHttp.length === 0 ? { onHttp1: http.serve, onHttp2: http.answer } : {}),
        }),
      ),
      httpAddresses: await start(
        grpcServer({
          ...secure,
          listen: listenHttp,
          services: {},
          limits,
          onHttp1: http.serve,
          onHttp2: http.answer,
        }),
      ),
      metricsAddresses: await start(
        grpcServer({
          ...secure,
          listen: listenMetrics,
          services: {},
          limits,
          onHttp1: onlyEndpoints.serve,
          onHttp2: onlyEndpoints.answer,
        }),
      ),
      answerForwarded: (path, request) => services.answerForwarded(path, request),
      raiseAlarm: (type, about) => services.raiseAlarm(type, about),
      setSecureContext(tls) {
        for (const server of servers) server.setSecureContext(tls)
      },
      [Symbol.asyncDispose]: dispose,
    }
  } catch (error) {
    await dispose()
    throw error
  }
}

function securityOf({ tls, checkClient, onRefused }: EtcdServerOptions) {
  return {
    ...(tls === undefined ? {} : { tls }),
    ...(checkClient === undefined ? {} : { checkClient }),
    ...(onRefused === undefined ? {} : { onRefused }),
  }
}

function handlersOf({ rpcs, traffic }: EtcdServices): Record<string, Handler> {
  return Object.fromEntries([...rpcs].map(([path, rpc]) => [path, handlerOf(rpc, traffic)]))
}

function gatewayOf({ rpcs, traffic }: EtcdServices, options: EtcdServerOptions): Gateway {
  const { limits, environment } = resolveOptions(options)
  const maxMessageBytes = limits.maxRequestBytes + GRPC_OVERHEAD_BYTES
  return jsonGateway({ rpcs, traffic, maxMessageBytes, environment })
}

function grpcLimits(options: EtcdServerOptions): Partial<GrpcLimits> {
  return {
    maxMessageBytes: resolveOptions(options).limits.maxRequestBytes + GRPC_OVERHEAD_BYTES,
    maxConcurrentStreams: options.maxConcurrentStreams ?? 0xffff_ffff,
    keepaliveIntervalMs: options.keepaliveIntervalMs ?? 7_200_000,
    keepaliveTimeoutMs: options.keepaliveTimeoutMs ?? 20_000,
    keepaliveMinTimeMs: options.keepaliveMinTimeMs ?? 5_000,
    shutdownTimeoutMs: options.shutdownTimeoutMs ?? 5_000,
  }
}
