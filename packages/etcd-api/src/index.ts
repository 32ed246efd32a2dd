/**
 * The etcd v3 API over a Raft node that runs the key-value state machine.
 *
 * @packageDocumentation
 */
export { type EtcdServer, type EtcdServerOptions, etcdServer } from './server.ts'
export { createEtcdServices, type EtcdServices } from './services.ts'
export type { Call, DuplexCall, Receiver } from './call.ts'
export type { Rpc } from './method.ts'
export type { MethodSchema } from './schema.ts'
export type { EtcdError } from './errors.ts'
export type { EtcdLimits, EtcdNode, EtcdServicesOptions } from './options.ts'
export { clusterId, type EtcdId, memberId, memberIdOf, nodeIdOf } from './ids.ts'
export { ETCD_VERSION } from './version.ts'
