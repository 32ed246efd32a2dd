/**
 * A key-value state machine with etcd's semantics.
 *
 * @packageDocumentation
 */
export { kvStateMachine, type KvStateMachine, type KvStateMachineOptions } from './state-machine.ts'
export {
  attributeCommand,
  decodeCommand,
  encodeCommand,
  identityOf,
  MAX_TXN_DEPTH,
  ownCommand,
} from './command-codec.ts'
export type { Access } from './auth-access.ts'
export type * from './auth-types.ts'
export { ROOT } from './auth-types.ts'
export {
  checkDeleteRange,
  type CheckOptions,
  checkPut,
  checkRange,
  checkTxn,
  type KvCheckCode,
} from './checks.ts'
export type { KvCounts } from './counts.ts'
export type { KvHash } from './hash.ts'
export type { LeaseObserver } from './lease-commands.ts'
export type * from './types.ts'
export type * from './watch.ts'
