/** All methods of the etcd v3 API, ready to be called by whatever carries calls. */
import { clusterService } from './cluster-service.ts'
import { serviceContext } from './context.ts'
import { healthService } from './health-service.ts'
import { kvService } from './kv-service.ts'
import { leaseService } from './lease-service.ts'
import { maintenanceService } from './maintenance-service.ts'
import { type Method, type Rpc, rpcOf } from './method.ts'
import type { EtcdServicesOptions } from './options.ts'
import { allMethods } from './schema.ts'
import { watchService } from './watch-service.ts'

/**
 * The services over one node. Disposing them ends the requests that wait for the cluster, which
 * are answered with "etcdserver: server stopped"; the node and the state machine go on.
 */
export interface EtcdServices extends AsyncDisposable {
  /**
   * Every method of the schema under its path (`/etcdserverpb.KV/Range`), in the order of the
   * schema; those that nobody serves say so.
   */
  readonly rpcs: ReadonlyMap<string, Rpc>
  /** Ends the streams that would not end by themselves: a server that waits for its calls waits for them. */
  endStreams(): void
}

export function createEtcdServices(options: EtcdServicesOptions): EtcdServices {
  const context = serviceContext(options)
  const leases = leaseService(context)
  const methods: Record<string, Record<string, Method>> = {
    'etcdserverpb.KV': kvService(context),
    'etcdserverpb.Lease': leases.methods,
    'etcdserverpb.Watch': watchService(context),
    'etcdserverpb.Cluster': clusterService(context),
    'etcdserverpb.Maintenance': maintenanceService(context),
    'grpc.health.v1.Health': healthService(),
  }
  const rpcs = new Map<string, Rpc>()
  for (const schema of allMethods()) {
    const method = methods[schema.service]?.[schema.method]
    rpcs.set(`/${schema.service}/${schema.method}`, rpcOf(schema, method, context))
  }
  return {
    rpcs,
    endStreams: () => context.streams.endAll(),
    async [Symbol.asyncDispose]() {
      leases[Symbol.dispose]()
      await context[Symbol.asyncDispose]()
    },
  }
}
