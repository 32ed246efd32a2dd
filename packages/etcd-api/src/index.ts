/**
 * The etcd v3 API over a Raft node that runs the key-value state machine.
 *
 * @packageDocumentation
 */
export { type EtcdServer, type EtcdServerOptions, etcdServer } from './server.ts'
export { createEtcdServices, type EtcdServices, type GrpcService } from './services.ts'
export type { EtcdLimits, EtcdNode, EtcdServicesOptions } from './options.ts'
export { clusterId, type EtcdId, memberId, memberIdOf, nodeIdOf } from './ids.ts'
export { ETCD_VERSION } from './version.ts'
