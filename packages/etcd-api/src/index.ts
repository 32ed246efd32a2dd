/**
 * The etcd v3 API over a Raft node that runs the key-value state machine.
 *
 * @packageDocumentation
 */
export { type EtcdServer, type EtcdServerOptions, etcdServer } from './server.ts'
export { startServer, type StartServerOptions } from './embedded/start-server.ts'
export type {
  EtcdClient,
  PutOptions,
  RangeAnswer,
  RangeOptions,
  ReadOptions,
} from './embedded/client.ts'
export type { InProcessOptions } from './embedded/in-process-call.ts'
export type { Lease } from './embedded/lease.ts'
export type { Comparison, Condition, Operation, Txn, TxnOutcome } from './embedded/txn.ts'
export type { Bytes, Keys, Pair } from './embedded/values.ts'
export type { WatchedEvent, WatchOptions } from './embedded/watch.ts'
export { createEtcdServices, type EtcdServices } from './services.ts'
export type { AutoCompaction } from './auto-compaction.ts'
export type { Call, DuplexCall, Receiver } from './call.ts'
export type { Rpc } from './method.ts'
export type { Forward, ForwardedAnswer, ForwardedCall } from './leader-calls.ts'
export { describeMembers, type MemberInfo } from './members.ts'
export type { MethodSchema } from './schema.ts'
export type { EtcdError } from './errors.ts'
export type { AuthEnvironment } from './environment.ts'
export { JWT_METHODS, type JwtMethod, type JwtOptions } from './jwt-tokens.ts'
export type { EtcdAuthOptions, EtcdLimits, EtcdNode, EtcdServicesOptions } from './options.ts'
export { etcdMetrics, type EtcdMetrics } from './metrics/etcd-metrics.ts'
export { clusterId, type EtcdId, memberId, memberIdOf, nodeIdOf } from './ids.ts'
export {
  decodeSnapshotInfo,
  SNAPSHOT_BLOCK_BYTES,
  SNAPSHOT_DIGEST_BYTES,
  type SnapshotInfo,
  type SnapshotPiece,
  snapshotPieces,
} from './snapshot-file.ts'
export { ETCD_STORAGE_VERSION, ETCD_VERSION } from './version.ts'
