/** A server of the etcd v3 API: gRPC, and JSON over HTTP/1.1, on the same port. */
import type { Socket } from 'node:net'
import { Server, ServerCredentials, type ServerOptions } from '@grpc/grpc-js'
import type { Environment } from '@coracle/raft-core'
import { etcdClient, type EtcdClient } from './embedded/client.ts'
import { type Gateway, jsonGateway } from './gateway/gateway.ts'
import { definitionOf, handlerOf } from './grpc-carrier.ts'
import type { AccessOptions } from './http/access.ts'
import { type HttpServer, httpServer } from './http/http-server.ts'
import { type Listener, listen } from './listener.ts'
import type { Protocols } from './opening.ts'
import { type EtcdServicesOptions, resolveOptions } from './options.ts'
import { createEtcdServices, type EtcdServices } from './services.ts'

export interface EtcdServerOptions extends EtcdServicesOptions, AccessOptions {
  /** Where to listen: `host:port`, port 0 for any free one. */
  readonly listen: readonly string[]
  /** More addresses, for HTTP/1.1's health checks and metrics only. Default: none. */
  readonly listenMetrics?: readonly string[]
  /** Whether the API is served as JSON, too, under `/v3/`. Default: yes. */
  readonly jsonGateway?: boolean
  /** Streams that one connection may have open. Default: no limit but HTTP/2's own. */
  readonly maxConcurrentStreams?: number
  /** A connection without traffic is pinged after this time. Default 2 hours, as in etcd. */
  readonly keepaliveIntervalMs?: number
  /** A ping that is not answered for this long ends the connection. Default 20 s, as in etcd. */
  readonly keepaliveTimeoutMs?: number
  /** How long calls may go on after disposal began, before they are cut off. Default 5 s. */
  readonly shutdownTimeoutMs?: number
}

export interface EtcdServer
  extends AsyncDisposable, Pick<EtcdServices, 'answerForwarded' | 'raiseAlarm'> {
  /** `host:port` of each address listened on, with the ports that were taken. */
  readonly addresses: readonly string[]
  /** Asks this server from within the process. */
  readonly client: EtcdClient
  /** The same of `listenMetrics`. */
  readonly metricsAddresses: readonly string[]
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
  const { limits, environment } = resolveOptions(options)
  const services = createEtcdServices(options)
  const grpc = new Server(channelOptions(options, limits.maxRequestBytes))
  for (const rpc of services.rpcs.values()) {
    const { method } = rpc.schema
    grpc.addService(
      { [method]: definitionOf(rpc.schema, services.traffic) },
      { [method]: handlerOf(rpc) },
    )
  }
  // Connections are accepted here rather than by gRPC, which cannot cut off those that are left.
  const connections = grpc.createConnectionInjector(ServerCredentials.createInsecure())
  const gateway = options.jsonGateway === false ? null : gatewayOf(services, options)
  const { endpoints } = services
  const http = httpServer({ ...options, gateway, endpoints })
  const onlyEndpoints = httpServer({ gateway: null, endpoints })
  const listeners: Listener[] = []
  let stopped: Promise<void> | undefined
  const stop = async (): Promise<void> => {
    services.endStreams()
    await shutDown(
      { grpc, http: [http, onlyEndpoints], listeners },
      environment,
      options.shutdownTimeoutMs ?? 5_000,
    )
    await services[Symbol.asyncDispose]()
  }
  const dispose = (): Promise<void> => (stopped ??= stop())
  const listenAll = async (addresses: readonly string[], serve: Protocols): Promise<string[]> => {
    const taken: string[] = []
    for (const address of addresses) {
      const listener = await listen(address, serve, environment)
      listeners.push(listener)
      taken.push(listener.address)
    }
    return taken
  }
  try {
    const http2 = (socket: Socket): void => connections.injectConnection(socket)
    const addresses = await listenAll(options.listen, { http1: http.serve, http2 })
    const metricsAddresses = await listenAll(options.listenMetrics ?? [], {
      http1: onlyEndpoints.serve,
      http2: (socket) => {
        socket.destroy()
      },
    })
    return {
      addresses,
      client: etcdClient(services.rpcs, environment),
      metricsAddresses,
      answerForwarded: (path, request) => services.answerForwarded(path, request),
      raiseAlarm: (type, about) => services.raiseAlarm(type, about),
      [Symbol.asyncDispose]: dispose,
    }
  } catch (error) {
    await dispose()
    throw error
  }
}

/** Base64 makes a third more of bytes; the rest is room for names and spaces. */
const JSON_OVERHEAD = 2

function gatewayOf({ rpcs }: EtcdServices, options: EtcdServerOptions): Gateway {
  const { limits, environment } = resolveOptions(options)
  const maxBodyBytes = JSON_OVERHEAD * (limits.maxRequestBytes + GRPC_OVERHEAD_BYTES)
  return jsonGateway({ rpcs, maxBodyBytes, environment })
}

function channelOptions(options: EtcdServerOptions, maxRequestBytes: number): ServerOptions {
  return {
    'grpc.max_receive_message_length': maxRequestBytes + GRPC_OVERHEAD_BYTES,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': options.maxConcurrentStreams ?? 0xffff_ffff,
    'grpc.keepalive_time_ms': options.keepaliveIntervalMs ?? 7_200_000,
    'grpc.keepalive_timeout_ms': options.keepaliveTimeoutMs ?? 20_000,
    // Accounting that nobody reads, on every call.
    'grpc.enable_channelz': 0,
  }
}

interface Carriers {
  readonly grpc: Server
  readonly http: readonly HttpServer[]
  readonly listeners: readonly Listener[]
}

/** No more connections, no more calls; what runs may finish, but only until the time is up. */
async function shutDown(
  { grpc, http, listeners }: Carriers,
  environment: Environment,
  timeoutMs: number,
): Promise<void> {
  const stopWaiting = environment.every(timeoutMs, () => {
    for (const listener of listeners) listener.destroyConnections()
  })
  for (const server of http) server.close()
  const closed = listeners.map((listener) => listener.close())
  await new Promise<void>((resolve) => grpc.tryShutdown(() => resolve()))
  await Promise.all(closed)
  stopWaiting()
}
