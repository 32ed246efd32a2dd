/** A gRPC server of the etcd v3 API. */
import { type GrpcLimits, type GrpcServer, type Handler, grpcServer } from '@coracle/grpc-server'
import { handlerOf } from './grpc-carrier.ts'
import { type EtcdServicesOptions, resolveOptions } from './options.ts'
import { createEtcdServices, type EtcdServices } from './services.ts'

export interface EtcdServerOptions extends EtcdServicesOptions {
  /** Where to listen: `host:port`, port 0 for any free one. */
  readonly listen: readonly string[]
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
  /** `host:port` of each address listened on, with the ports that were taken. */
  readonly addresses: readonly string[]
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
  const services = createEtcdServices(options)
  try {
    const grpc = await grpcServer({
      listen: options.listen,
      services: handlersOf(services),
      limits: grpcLimits(options),
    })
    return running(grpc, services)
  } catch (error) {
    services.endStreams()
    await services[Symbol.asyncDispose]()
    throw error
  }
}

function running(grpc: GrpcServer, services: EtcdServices): EtcdServer {
  let stopped: Promise<void> | undefined
  const stop = async (): Promise<void> => {
    services.endStreams()
    await grpc[Symbol.asyncDispose]()
    await services[Symbol.asyncDispose]()
  }
  return {
    addresses: grpc.addresses,
    answerForwarded: (path, request) => services.answerForwarded(path, request),
    raiseAlarm: (type, about) => services.raiseAlarm(type, about),
    [Symbol.asyncDispose]: () => (stopped ??= stop()),
  }
}

function handlersOf({ rpcs }: EtcdServices): Record<string, Handler> {
  return Object.fromEntries([...rpcs].map(([path, rpc]) => [path, handlerOf(rpc)]))
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
