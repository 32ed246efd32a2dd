/** All services of the etcd v3 API, ready to be added to a gRPC server. */
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js'
import { clusterService } from './cluster-service.ts'
import { type ServiceContext, serviceContext } from './context.ts'
import { healthService } from './health-service.ts'
import { kvService } from './kv-service.ts'
import { leaseService } from './lease-service.ts'
import { maintenanceService } from './maintenance-service.ts'
import { definitionOf, handlerOf, type Method } from './method.ts'
import type { EtcdServicesOptions } from './options.ts'
import { allMethods } from './schema.ts'
import { watchService } from './watch-service.ts'

/** One gRPC service, as `Server.addService` takes it. */
export interface GrpcService {
  readonly name: string
  readonly definition: ServiceDefinition
  readonly handlers: UntypedServiceImplementation
}

/**
 * The services over one node. Disposing them ends the requests that wait for the cluster, which
 * are answered with "etcdserver: server stopped"; the node and the state machine go on.
 */
export interface EtcdServices extends AsyncDisposable {
  readonly services: readonly GrpcService[]
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
  return {
    services: assemble(methods, context),
    endStreams: () => context.streams.endAll(),
    async [Symbol.asyncDispose]() {
      leases[Symbol.dispose]()
      await context[Symbol.asyncDispose]()
    },
  }
}

/** Every method of the schema gets a handler; those that nobody serves say so. */
function assemble(
  methods: Record<string, Record<string, Method>>,
  context: ServiceContext,
): GrpcService[] {
  const services = new Map<
    string,
    { definition: ServiceDefinition; handlers: UntypedServiceImplementation }
  >()
  for (const schema of allMethods()) {
    const service = services.get(schema.service) ?? { definition: {}, handlers: {} }
    services.set(schema.service, service)
    const method = methods[schema.service]?.[schema.method]
    service.definition = { ...service.definition, [schema.method]: definitionOf(schema) }
    service.handlers[schema.method] = handlerOf(schema, method, context)
  }
  return [...services].map(([name, service]) => ({ name, ...service }))
}
