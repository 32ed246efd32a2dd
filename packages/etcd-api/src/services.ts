/** All methods of the etcd v3 API, ready to be called by whatever carries calls. */
import { authService } from './auth-service.ts'
import type { AlarmType } from '@coracle/kv-state-machine'
import type { NodeId } from '@coracle/raft-core'
import { raiseAlarm } from './alarms.ts'
import { autoCompactor } from './auto-compaction.ts'
import { clusterService } from './cluster-service.ts'
import { serviceContext } from './context.ts'
import { forgetDeparted } from './departures.ts'
import { electionService } from './election-service.ts'
import { healthService } from './health-service.ts'
import type { Endpoint } from './http/endpoints.ts'
import { healthEndpoints } from './http/health.ts'
import { metricsEndpoint } from './http/metrics.ts'
import { versionEndpoint } from './http/version.ts'
import { kvCalls } from './kv-calls.ts'
import { kvService } from './kv-service.ts'
import { type ForwardedAnswer, leaderCalls } from './leader-calls.ts'
import { leaseService } from './lease-service.ts'
import { lockService } from './lock-service.ts'
import { maintenanceService } from './maintenance-service.ts'
import { type Method, type Rpc, rpcOf } from './method.ts'
import { etcdMetrics } from './metrics/etcd-metrics.ts'
import { handlingTimes } from './metrics/handling-times.ts'
import { healthMetrics } from './metrics/health-metrics.ts'
import { leaseMetrics } from './metrics/lease-metrics.ts'
import { raftStatusMetrics } from './metrics/raft-metrics.ts'
import { rpcMetrics, type Traffic } from './metrics/rpc-metrics.ts'
import { serverMetrics } from './metrics/server-metrics.ts'
import type { EtcdServicesOptions } from './options.ts'
import { reflectionService } from './reflection-service.ts'
import { allMethods } from './schema.ts'
import { waitingLine } from './waiting-line.ts'
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
  /** What is served over HTTP beside the gateway, by path. */
  readonly endpoints: ReadonlyMap<string, Endpoint>
  /** Whoever carries calls adds the bytes of their messages. */
  readonly traffic: Traffic
  /** Carries out a call of another member's client that only the leader can. Never rejects. */
  answerForwarded(path: string, request: Uint8Array): Promise<ForwardedAnswer>
  /** Raises an alarm about a member through the log, without waiting for it. */
  raiseAlarm(type: AlarmType, about: NodeId): void
  /** Ends the streams that would not end by themselves: a server that waits for its calls waits for them. */
  endStreams(): void
}

export function createEtcdServices(options: EtcdServicesOptions): EtcdServices {
  const { registry } = options.metrics ?? etcdMetrics(options)
  const counted = rpcMetrics(registry)
  const context = serviceContext(options)
  const { environment } = context.options
  const timed =
    options.metricsDetail === 'extensive'
      ? handlingTimes(registry, () => environment.now())
      : (rpc: Rpc) => rpc
  raftStatusMetrics(registry, options.node)
  const counts = serverMetrics(registry, context)
  const leases = leaseService(context)
  const stopCounting = leaseMetrics(registry, options.stateMachine, leases)
  const auth = authService(context)
  const { autoCompaction } = options
  const compactor = autoCompaction === undefined ? null : autoCompactor(context, autoCompaction)
  const rpcs = new Map<string, Rpc>()
  /** Those that are not counted, as in etcd: what a client asks of one method may take others. */
  const inner = new Map<string, Rpc>()
  const kv = kvCalls(inner)
  const line = waitingLine(context, kv)
  const calls = leaderCalls(context)
  const departures = forgetDeparted(context)
  const methods: Record<string, Record<string, Method>> = {
    'etcdserverpb.KV': kvService(context),
    'etcdserverpb.Lease': leases.methods,
    'etcdserverpb.Watch': watchService(context, counts.events),
    'etcdserverpb.Cluster': clusterService(context, calls, counts.promotions),
    'etcdserverpb.Maintenance': maintenanceService(context, counts.maintenance),
    'etcdserverpb.Auth': auth.methods,
    'v3lockpb.Lock': lockService(line, kv),
    'v3electionpb.Election': electionService(context, line, kv),
    'grpc.reflection.v1.ServerReflection': reflectionService(),
    'grpc.reflection.v1alpha.ServerReflection': reflectionService(),
    'grpc.health.v1.Health': healthService(),
  }
  for (const schema of allMethods()) {
    const method = methods[schema.service]?.[schema.method]
    const path = `/${schema.service}/${schema.method}`
    const rpc = rpcOf(schema, method, context)
    inner.set(path, rpc)
    rpcs.set(path, timed(counted.count(rpc)))
  }
  const endpoints = new Map<string, Endpoint>([
    ...healthEndpoints(context, healthMetrics(registry)),
    ['/version', versionEndpoint()],
    ['/metrics', metricsEndpoint(registry)],
  ])
  return {
    rpcs,
    endpoints,
    traffic: counted.traffic,
    answerForwarded: (path, request) => calls.answer(path, request),
    raiseAlarm: (type, about) => raiseAlarm(context, type, about),
    endStreams: () => context.streams.endAll(),
    async [Symbol.asyncDispose]() {
      departures[Symbol.dispose]()
      stopCounting()
      compactor?.[Symbol.dispose]()
      leases[Symbol.dispose]()
      await Promise.all([auth[Symbol.asyncDispose](), context[Symbol.asyncDispose]()])
    },
  }
}
