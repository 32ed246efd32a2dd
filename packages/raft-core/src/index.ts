/**
 * Raft consensus in three layers: a pure protocol (`./protocol`), the node that drives it
 * (`startNode`), and the contracts its parts plug into.
 *
 * @packageDocumentation
 */
export {
  type Applied,
  type RaftNode,
  type ReadOptions,
  startNode,
  type StartOptions,
  type Waiting,
} from './node/node.ts'
export type { Replacement } from './node/replace-member.ts'
export type { NodeStatus, PeerProgress, SnapshotProgress } from './node/status.ts'
export { recoverCluster, type Recovery, type RecoveryOptions } from './node/recover-cluster.ts'
export type { Consistency } from './node/consistency.ts'
export type { PeerStatus } from './protocol/progress.ts'
export type { Command, StateMachine } from './contracts/state-machine.ts'
export { LogOutline, type StoredLog } from './contracts/log-outline.ts'
export type { AppendBatch, Storage, Stored, StoredSnapshot } from './contracts/storage.ts'
export type {
  HeldSnapshot,
  OpenSnapshot,
  SnapshotRest,
  Transport,
  TransportHandlers,
} from './contracts/transport.ts'
export { type Environment, systemEnvironment } from './environment.ts'
export { assert, InvariantError, RaftError, type RaftErrorCode } from './errors.ts'
export type * from './messages.ts'
export {
  type LiveOptions,
  type NodeOptions,
  type ProtocolOptions,
  resolveOptions,
} from './options.ts'
export { consoleTrace, narrate, tellMembership, tellPosition } from './narrate.ts'
export type { RaftEvent, Role, Trace } from './trace.ts'
export * from './types.ts'
