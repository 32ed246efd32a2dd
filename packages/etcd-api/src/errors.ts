/**
 * Every refusal a client can get, with etcd's own code and text.
 *
 * Clients compare the texts, so these are as much a part of the contract as the field numbers.
 */
import type { KvCheckCode, KvErrorCode } from '@coracle/kv-state-machine'
import { RaftError } from '@coracle/raft-core'
import { Code } from '@coracle/grpc-server'

/** An answer that is an error: a gRPC status code and etcd's text for it. */
export class EtcdError extends Error {
  override readonly name = 'EtcdError'
  /** A gRPC status code. */
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

/** Stack traces cost more than the refusals they would explain, so these carry none. */
function refusal(code: number, message: string): EtcdError {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  const error = new EtcdError(code, message)
  Error.stackTraceLimit = stackTraceLimit
  return Object.freeze(error)
}

const INVALID = Code.INVALID_ARGUMENT
const PRECONDITION = Code.FAILED_PRECONDITION
const OUT_OF_RANGE = Code.OUT_OF_RANGE
const UNAVAILABLE = Code.UNAVAILABLE

export const emptyKey: EtcdError = refusal(INVALID, 'etcdserver: key is not provided')
export const keyNotFound: EtcdError = refusal(INVALID, 'etcdserver: key not found')
export const valueProvided: EtcdError = refusal(INVALID, 'etcdserver: value is provided')
export const leaseProvided: EtcdError = refusal(INVALID, 'etcdserver: lease is provided')
export const tooManyOperations: EtcdError = refusal(
  INVALID,
  'etcdserver: too many operations in txn request',
)
export const duplicateKey: EtcdError = refusal(
  INVALID,
  'etcdserver: duplicate key given in txn request',
)
export const invalidSortOption: EtcdError = refusal(INVALID, 'etcdserver: invalid sort option')
export const requestTooLarge: EtcdError = refusal(INVALID, 'etcdserver: request is too large')
export const leaseNotFound: EtcdError = refusal(
  Code.NOT_FOUND,
  'etcdserver: requested lease not found',
)
export const leaseExists: EtcdError = refusal(PRECONDITION, 'etcdserver: lease already exists')
export const leaseTtlTooLarge: EtcdError = refusal(OUT_OF_RANGE, 'etcdserver: too large lease TTL')
export const noSpace: EtcdError = refusal(
  Code.RESOURCE_EXHAUSTED,
  'etcdserver: mvcc: database space exceeded',
)
export const tooManyRequests: EtcdError = refusal(
  Code.RESOURCE_EXHAUSTED,
  'etcdserver: too many requests',
)
export const notSupportedForLearner: EtcdError = refusal(
  PRECONDITION,
  'etcdserver: rpc not supported for learner',
)
export const compacted: EtcdError = refusal(
  OUT_OF_RANGE,
  'etcdserver: mvcc: required revision has been compacted',
)
export const futureRevision: EtcdError = refusal(
  OUT_OF_RANGE,
  'etcdserver: mvcc: required revision is a future revision',
)
export const corrupt: EtcdError = refusal(Code.DATA_LOSS, 'etcdserver: corrupt cluster')
export const memberNotFound: EtcdError = refusal(Code.NOT_FOUND, 'etcdserver: member not found')
export const badMemberUrls: EtcdError = refusal(
  INVALID,
  'etcdserver: given member URLs are invalid',
)
export const peerUrlExists: EtcdError = refusal(
  PRECONDITION,
  'etcdserver: Peer URLs already exists',
)
export const notEnoughStarted: EtcdError = refusal(
  PRECONDITION,
  'etcdserver: re-configuration failed due to not enough started members',
)
export const unhealthy: EtcdError = refusal(UNAVAILABLE, 'etcdserver: unhealthy cluster')
export const notLearner: EtcdError = refusal(
  PRECONDITION,
  'etcdserver: can only promote a learner member',
)
export const learnerNotReady: EtcdError = refusal(
  PRECONDITION,
  'etcdserver: can only promote a learner member which is in sync with leader',
)
export const tooManyLearners: EtcdError = refusal(
  PRECONDITION,
  'etcdserver: too many learner members in cluster',
)
export const notLeader: EtcdError = refusal(PRECONDITION, 'etcdserver: not leader')
export const badTransferee: EtcdError = refusal(PRECONDITION, 'etcdserver: bad leader transferee')
export const transferTimeout: EtcdError = refusal(
  Code.UNKNOWN,
  'etcdserver: request timed out, leader transfer took too long',
)
export const wrongDowngradeFormat: EtcdError = refusal(
  INVALID,
  'etcdserver: wrong downgrade target version format',
)
export const invalidDowngradeTarget: EtcdError = refusal(
  INVALID,
  'etcdserver: invalid downgrade target version',
)
export const downgradeInProgress: EtcdError = refusal(
  PRECONDITION,
  'etcdserver: cluster has a downgrade job in progress',
)
export const noDowngrade: EtcdError = refusal(PRECONDITION, 'etcdserver: no inflight downgrade job')
export const noLeaderGiven: EtcdError = refusal(Code.UNKNOWN, '"leader" field must be provided')
export const electionNoLeader: EtcdError = refusal(Code.UNKNOWN, 'election: no leader')
export const electionNotLeader: EtcdError = refusal(Code.UNKNOWN, 'election: not leader')
export const sessionExpired: EtcdError = refusal(Code.UNKNOWN, 'mutex: session is expired')
export const noLeader: EtcdError = refusal(UNAVAILABLE, 'etcdserver: no leader')
export const leaderChanged: EtcdError = refusal(UNAVAILABLE, 'etcdserver: leader changed')
export const stopped: EtcdError = refusal(UNAVAILABLE, 'etcdserver: server stopped')
export const timeout: EtcdError = refusal(UNAVAILABLE, 'etcdserver: request timed out')
export const timeoutLeaderFailure: EtcdError = refusal(
  UNAVAILABLE,
  'etcdserver: request timed out, possibly due to previous leader failure',
)
export const timeoutConnectionLost: EtcdError = refusal(
  UNAVAILABLE,
  'etcdserver: request timed out, possibly due to connection lost',
)
export const canceled: EtcdError = refusal(Code.CANCELLED, 'context canceled')
export const streamWithSort: EtcdError = refusal(
  Code.UNIMPLEMENTED,
  'RangeStream does not support custom sort orders',
)
export const streamWithFilters: EtcdError = refusal(
  Code.UNIMPLEMENTED,
  'RangeStream does not support revision filters',
)

export const userEmpty: EtcdError = refusal(INVALID, 'etcdserver: user name is empty')
export const roleEmpty: EtcdError = refusal(INVALID, 'etcdserver: role name is empty')
export const authFailed: EtcdError = refusal(
  INVALID,
  'etcdserver: authentication failed, invalid user ID or password',
)
export const permissionNotGiven: EtcdError = refusal(INVALID, 'etcdserver: permission not given')
export const invalidAuthManagement: EtcdError = refusal(
  INVALID,
  'etcdserver: invalid auth management',
)
const authOldRevision: EtcdError = refusal(INVALID, 'etcdserver: revision of auth store is old')
export const permissionDenied: EtcdError = refusal(
  Code.PERMISSION_DENIED,
  'etcdserver: permission denied',
)
export const authNotEnabled: EtcdError = refusal(
  PRECONDITION,
  'etcdserver: authentication is not enabled',
)
export const invalidAuthToken: EtcdError = refusal(
  Code.UNAUTHENTICATED,
  'etcdserver: invalid auth token',
)
/** etcd gives these no code of their own. */
export const noPasswordUser: EtcdError = refusal(
  Code.UNKNOWN,
  'auth: authentication failed, password was given for no password user',
)
export const passwordTooLong: EtcdError = refusal(
  Code.UNKNOWN,
  'bcrypt: password length exceeds 72 bytes',
)
export const verifyOnly: EtcdError = refusal(
  Code.UNKNOWN,
  'auth: token signing attempted with verify-only key',
)

/** Why a watch was not created: told in its answer, not as the status of a call. */
export const emptyWatcherRange = 'mvcc: watcher range is empty'
export const duplicateWatchId = 'mvcc: duplicate watch ID provided on the WatchStream'

/** An error told in an answer, as Go prints the status of a call. */
export function asReason({ code, message }: EtcdError): string {
  return `rpc error: code = ${GO_NAMES.get(code) ?? `Code(${code})`} desc = ${message}`
}

const GO_NAMES: ReadonlyMap<number, string> = new Map([
  [Code.UNKNOWN, 'Unknown'],
  [Code.INVALID_ARGUMENT, 'InvalidArgument'],
  [Code.PERMISSION_DENIED, 'PermissionDenied'],
  [Code.UNAVAILABLE, 'Unavailable'],
  [Code.UNAUTHENTICATED, 'Unauthenticated'],
])

/** For methods of etcd that are not there (yet), in the words of gRPC. */
export function unimplemented(service: string, method: string): EtcdError {
  return refusal(Code.UNIMPLEMENTED, `unknown method ${method} for service ${service}`)
}

/** For bytes that are no protocol buffer of the expected type. */
export function malformed(reason: unknown): EtcdError {
  // The codec's word for bytes that end too early is a RangeError about its own buffer.
  const detail = reason instanceof RangeError ? 'unexpected EOF' : messageOf(reason)
  return refusal(Code.INTERNAL, `grpc: error unmarshalling request: ${detail}`)
}

const KV_ERRORS: Record<KvErrorCode, EtcdError> = {
  COMPACTED: compacted,
  CORRUPT: corrupt,
  FUTURE_REVISION: futureRevision,
  KEY_NOT_FOUND: keyNotFound,
  LEASE_EXISTS: leaseExists,
  LEASE_NOT_FOUND: leaseNotFound,
  AUTH_FAILED: authFailed,
  AUTH_NOT_ENABLED: authNotEnabled,
  AUTH_REVISION_OLD: authOldRevision,
  INVALID_AUTH_MANAGEMENT: invalidAuthManagement,
  PERMISSION_DENIED: permissionDenied,
  PERMISSION_NOT_GRANTED: refusal(
    PRECONDITION,
    'etcdserver: permission is not granted to the role',
  ),
  ROLE_EMPTY: roleEmpty,
  ROLE_EXISTS: refusal(PRECONDITION, 'etcdserver: role name already exists'),
  ROLE_NOT_FOUND: refusal(PRECONDITION, 'etcdserver: role name not found'),
  ROLE_NOT_GRANTED: refusal(PRECONDITION, 'etcdserver: role is not granted to the user'),
  ROOT_ROLE_NOT_GRANTED: refusal(PRECONDITION, 'etcdserver: root user does not have root role'),
  ROOT_USER_NOT_FOUND: refusal(PRECONDITION, 'etcdserver: root user does not exist'),
  USER_EMPTY: userEmpty,
  USER_EXISTS: refusal(PRECONDITION, 'etcdserver: user name already exists'),
  USER_NOT_FOUND: refusal(PRECONDITION, 'etcdserver: user name not found'),
  NO_SPACE: noSpace,
  UNKNOWN_COMMAND: refusal(Code.UNKNOWN, 'etcdserver: unknown command'),
}

/** What the state machine refused. */
export function kvError(code: KvErrorCode): EtcdError {
  return KV_ERRORS[code]
}

const CHECK_ERRORS: Record<KvCheckCode, EtcdError> = {
  KEY_EMPTY: emptyKey,
  VALUE_PROVIDED: valueProvided,
  LEASE_PROVIDED: leaseProvided,
  TOO_MANY_OPS: tooManyOperations,
  DUPLICATE_KEY: duplicateKey,
}

/** Throws what a check found, if it found anything. */
export function throwIf(code: KvCheckCode | null): void {
  if (code !== null) throw CHECK_ERRORS[code]
}

/** What was known about the cluster when a request failed. */
export interface FailureContext {
  /** Somebody leads now, as far as this member knows. */
  readonly hasLeader: boolean
  /** The leader, or its term, is not the one there was when the request began. */
  readonly leaderChanged: boolean
}

/**
 * What became of a proposal. Only texts that say what is true: a proposal whose outcome is unknown
 * "timed out", which tells every etcd client that it may have happened.
 */
export function proposalError(error: unknown, context: FailureContext): EtcdError {
  if (error instanceof EtcdError) return error
  if (!(error instanceof RaftError)) return unexpected(error)
  const { code } = error
  if (code === 'PROPOSAL_TOO_LARGE') return requestTooLarge
  if (code === 'OUTCOME_UNKNOWN' || code === 'UNAVAILABLE') return timeoutError(context)
  if (code === 'STOPPED') return stopped
  if (code !== 'PROPOSAL_DROPPED' && code !== 'NOT_LEADER') return unexpected(error)
  // It waited for a leader in vain, or lost its place to a new one, or the leader has no room.
  if (!context.hasLeader) return timeoutError(context)
  return context.leaderChanged ? leaderChanged : tooManyRequests
}

/** What became of a linearizable read. Nothing was to happen, so clients may always try again. */
export function readError(error: unknown, context: FailureContext): EtcdError {
  if (error instanceof EtcdError) return error
  if (!(error instanceof RaftError)) return unexpected(error)
  if (error.code === 'STOPPED') return stopped
  if (error.code === 'COMPACTED') return unexpected(error)
  return context.hasLeader && context.leaderChanged ? leaderChanged : timeoutError(context)
}

export function timeoutError(context: FailureContext): EtcdError {
  return context.leaderChanged ? timeoutLeaderFailure : timeout
}

/** Whether it is what {@link timeoutError} gives. */
export function isTimeout(error: EtcdError): boolean {
  return error === timeout || error === timeoutLeaderFailure
}

/** A defect: told as gRPC tells of errors without a status, and never with a stack. */
export function unexpected(error: unknown): EtcdError {
  if (error instanceof EtcdError) return error
  return refusal(Code.UNKNOWN, `etcdserver: ${messageOf(error)}`)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown error'
}
