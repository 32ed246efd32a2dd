/** A gRPC server of the etcd v3 API. */
import { Server, ServerCredentials, type ServerOptions } from '@grpc/grpc-js'
import type { Environment } from '@coracle/raft-core'
import { definitionOf, handlerOf } from './grpc-carrier.ts'
import { type Listener, listen } from './listener.ts'
import { type EtcdServicesOptions, resolveOptions } from './options.ts'
import { createEtcdServices } from './services.ts'

export interface EtcdServerOptions extends EtcdServicesOptions {
  /** Where to listen: `host:port`, port 0 for any free one. */
  readonly listen: readonly string[]
  /** Streams that one connection may have open. Default: no limit but HTTP/2's own. */
  readonly maxConcurrentStreams?: number
  /** A connection without traffic is pinged after this time. Default 2 hours, as in etcd. */
  readonly keepaliveIntervalMs?: number
  /** A ping that is not answered for this long ends the connection. Default 20 s, as in etcd. */
  readonly keepaliveTimeoutMs?: number
  /** How long calls may go on after disposal began, before they are cut off. Default 5 s. */
  readonly shutdownTimeoutMs?: number
}

export interface EtcdServer extends AsyncDisposable {
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
  const { limits, environment } = resolveOptions(options)
  const services = createEtcdServices(options)
  const grpc = new Server(channelOptions(options, limits.maxRequestBytes))
  for (const rpc of services.rpcs.values()) {
    const { method } = rpc.schema
    grpc.addService({ [method]: definitionOf(rpc.schema) }, { [method]: handlerOf(rpc) })
  }
  // Connections are accepted here rather than by gRPC, which cannot cut off those that are left.
  const connections = grpc.createConnectionInjector(ServerCredentials.createInsecure())
  const listeners: Listener[] = []
  let stopped: Promise<void> | undefined
  const stop = async (): Promise<void> => {
    services.endStreams()
    await shutDown(grpc, listeners, environment, options.shutdownTimeoutMs ?? 5_000)
    await services[Symbol.asyncDispose]()
  }
  const dispose = (): Promise<void> => (stopped ??= stop())
  try {
    for (const address of options.listen)
      listeners.push(
        await listen(address, (socket) => connections.injectConnection(socket), environment),
      )
  } catch (error) {
    await dispose()
    throw error
  }
  return { addresses: listeners.map(({ address }) => address), [Symbol.asyncDispose]: dispose }
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

/** No more connections, no more calls; what runs may finish, but only until the time is up. */
async function shutDown(
  grpc: Server,
  listeners: readonly Listener[],
  environment: Environment,
  timeoutMs: number,
): Promise<void> {
  const stopWaiting = environment.every(timeoutMs, () => {
    for (const listener of listeners) listener.destroyConnections()
  })
  const closed = listeners.map((listener) => listener.close())
  await new Promise<void>((resolve) => grpc.tryShutdown(() => resolve()))
  await Promise.all(closed)
  stopWaiting()
}
