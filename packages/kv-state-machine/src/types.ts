/**
 * What can be asked of the key-value store and what it answers, in etcd's words.
 *
 * Revisions, versions and counts are safe integers. Lease ids use all of 63 bits and are bigint.
 * A missing number is 0 and missing bytes are empty, as on etcd's wire, so no field is optional.
 */
import type { AuthErrorCode, AuthRequest, AuthResult } from './auth-types.ts'

export interface KeyValue {
  readonly key: Uint8Array
  readonly value: Uint8Array
  /** The revision that created the present incarnation of the key. */
  readonly createRevision: number
  /** The revision of the last change. */
  readonly modRevision: number
  /** The number of puts since creation: 1 when just created. */
  readonly version: number
  /** The attached lease, or 0n. */
  readonly lease: bigint
}

/**
 * The keys from `key` (inclusive) to `rangeEnd` (exclusive). An empty `rangeEnd` means the one key;
 * a single zero byte means every key from `key` on. An end at or before `key` selects nothing.
 */
export interface KeyInterval {
  readonly key: Uint8Array
  readonly rangeEnd: Uint8Array
}

export type SortTarget = 'key' | 'version' | 'create' | 'mod' | 'value'
export type SortOrder = 'none' | 'ascend' | 'descend'

export interface RangeRequest extends KeyInterval {
  /** At most this many pairs; 0 or less for all. */
  readonly limit: number
  /** Read as of this revision; 0 or less for the newest. */
  readonly revision: number
  readonly sortOrder: SortOrder
  readonly sortTarget: SortTarget
  readonly keysOnly: boolean
  readonly countOnly: boolean
  /** Filters on revisions, 0 for off. They do not change `count`. */
  readonly minModRevision: number
  readonly maxModRevision: number
  readonly minCreateRevision: number
  readonly maxCreateRevision: number
}

export interface RangeResult {
  readonly type: 'range'
  readonly kvs: readonly KeyValue[]
  /** True if `limit` cut the answer. */
  readonly more: boolean
  /** How many keys the interval holds at that revision, whatever the limit and the filters. */
  readonly count: number
  /** The revision for the answer's header. */
  readonly revision: number
}

export interface PutRequest {
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly lease: bigint
  readonly prevKv: boolean
  readonly ignoreValue: boolean
  readonly ignoreLease: boolean
}

export interface PutResult {
  readonly type: 'put'
  readonly prevKv: KeyValue | null
  readonly revision: number
}

export interface DeleteRangeRequest extends KeyInterval {
  readonly prevKv: boolean
}

export interface DeleteRangeResult {
  readonly type: 'delete-range'
  readonly deleted: number
  readonly prevKvs: readonly KeyValue[]
  readonly revision: number
}

export type CompareOperator = 'equal' | 'greater' | 'less' | 'not-equal'

/** The attribute compared, and what it is compared with. */
export type CompareTarget =
  | { readonly type: 'version' | 'create' | 'mod'; readonly value: number }
  | { readonly type: 'value'; readonly value: Uint8Array }
  | { readonly type: 'lease'; readonly value: bigint }

/** Holds if `stored <operator> given` does for every key of the interval. */
export interface Compare extends KeyInterval {
  readonly operator: CompareOperator
  readonly target: CompareTarget
}

export type Operation =
  | { readonly type: 'range'; readonly request: RangeRequest }
  | { readonly type: 'put'; readonly request: PutRequest }
  | { readonly type: 'delete-range'; readonly request: DeleteRangeRequest }
  | { readonly type: 'txn'; readonly request: TxnRequest }

export interface TxnRequest {
  readonly compare: readonly Compare[]
  readonly success: readonly Operation[]
  readonly failure: readonly Operation[]
}

export interface TxnResult {
  readonly type: 'txn'
  readonly succeeded: boolean
  readonly results: readonly OperationResult[]
  readonly revision: number
}

export type OperationResult = RangeResult | PutResult | DeleteRangeResult | TxnResult

export interface CompactRequest {
  readonly revision: number
}

export interface CompactResult {
  readonly type: 'compact'
  readonly revision: number
}

/** What a member tells the cluster about itself once it runs. */
export interface MemberAttributes {
  /** The member's id, as raft-core knows it. */
  readonly id: string
  readonly name: string
  readonly clientUrls: readonly string[]
}

/** These are members no more: what they said of themselves, and their alarms, go with them. */
export interface ForgetMembersRequest {
  readonly ids: readonly string[]
}

export interface ForgetMembersResult {
  readonly type: 'forget-members'
  readonly revision: number
}

/** `no-space`: a member's quota is used up. `corrupt`: a member holds something else than the others. */
export type AlarmType = 'no-space' | 'corrupt'

export interface Alarm {
  /** Whom it is about: a member's id, as raft-core knows it. */
  readonly memberId: string
  readonly type: AlarmType
}

export interface AlarmRequest {
  readonly action: 'raise' | 'clear'
  readonly alarm: Alarm
}

export interface AlarmResult {
  readonly type: 'alarm'
  /** The alarm, if it was not raised, or cleared, already. */
  readonly changed: readonly Alarm[]
  readonly revision: number
}

export interface DowngradeRequest {
  /** The version to go back to; empty to give it up. */
  readonly target: string
}

export interface DowngradeResult {
  readonly type: 'downgrade'
  readonly revision: number
}

/**
 * Other members take over these keys: nothing is kept that was said of, or by, the members there
 * were. The history goes on at a higher revision, and all of it so far counts as compacted, so that
 * no watcher of the old cluster can go on in the new one as if nothing had happened.
 */
export interface NewClusterRequest {
  /** How much higher the revision is to be. With 0, it and the history stay as they are. */
  readonly bumpRevision: number
}

export interface NewClusterResult {
  readonly type: 'new-cluster'
  readonly revision: number
}

/**
 * A lease, as every member knows it. There is no clock here: how much of its time has passed is
 * for the members to measure, from the moment they apply what it {@link Lease.renewal} counts.
 */
export interface Lease {
  /** Any number of 64 bits, signed, but 0. */
  readonly id: bigint
  /** The time it was granted for, in seconds, from 1. */
  readonly ttl: number
  /** What was left when a leader last wrote it down since the last renewal, in seconds; else `ttl`. */
  readonly remainingTtl: number
  /** The number of the grant or renewal that its time runs from. No two of them are the same. */
  readonly renewal: number
}

export interface LeaseGrantRequest {
  readonly id: bigint
  readonly ttl: number
}

export interface LeaseGrantResult {
  readonly type: 'lease-grant'
  readonly revision: number
}

export interface LeaseRevokeRequest {
  readonly id: bigint
  /**
   * Whoever revokes because the time is up says what they measured it from: if the lease was renewed
   * since, it stays. 0 to revoke it in any case.
   */
  readonly renewal: number
}

export interface LeaseRevokeResult {
  readonly type: 'lease-revoke'
  /** False if it was renewed since. */
  readonly revoked: boolean
  readonly revision: number
}

export interface LeaseRenewRequest {
  readonly ids: readonly bigint[]
}

export interface LeaseRenewResult {
  readonly type: 'lease-renew'
  /** The time each was granted for, in the order of the request; 0 for one that does not exist. */
  readonly ttls: readonly number[]
  readonly revision: number
}

export interface LeaseCheckpoint {
  readonly id: bigint
  /** What the remaining time was measured from: it is of no use once the lease was renewed. */
  readonly renewal: number
  /** In whole seconds, rounded up. */
  readonly remainingTtl: number
}

export interface LeaseCheckpointRequest {
  readonly checkpoints: readonly LeaseCheckpoint[]
}

export interface LeaseCheckpointResult {
  readonly type: 'lease-checkpoint'
  readonly revision: number
}

/** A change, as it goes through the log. */
export type KvCommand =
  | { readonly type: 'put'; readonly request: PutRequest }
  | { readonly type: 'delete-range'; readonly request: DeleteRangeRequest }
  | { readonly type: 'txn'; readonly request: TxnRequest }
  | { readonly type: 'compact'; readonly request: CompactRequest }
  | { readonly type: 'publish-member'; readonly request: MemberAttributes }
  | { readonly type: 'lease-grant'; readonly request: LeaseGrantRequest }
  | { readonly type: 'lease-revoke'; readonly request: LeaseRevokeRequest }
  | { readonly type: 'lease-renew'; readonly request: LeaseRenewRequest }
  | { readonly type: 'lease-checkpoint'; readonly request: LeaseCheckpointRequest }
  | { readonly type: 'auth'; readonly request: AuthRequest }
  | { readonly type: 'forget-members'; readonly request: ForgetMembersRequest }
  | { readonly type: 'alarm'; readonly request: AlarmRequest }
  | { readonly type: 'downgrade'; readonly request: DowngradeRequest }
  | { readonly type: 'new-cluster'; readonly request: NewClusterRequest }

/** Why a request had no effect. etcd-api turns each into etcd's own code and text. */
export type KvErrorCode =
  | AuthErrorCode
  | 'COMPACTED'
  | 'CORRUPT'
  | 'FUTURE_REVISION'
  | 'KEY_NOT_FOUND'
  | 'LEASE_EXISTS'
  | 'LEASE_NOT_FOUND'
  | 'NO_SPACE'
  | 'UNKNOWN_COMMAND'

export interface KvFailure {
  readonly type: 'failure'
  readonly code: KvErrorCode
}

export interface PublishMemberResult {
  readonly type: 'publish-member'
  readonly revision: number
}

export type KvResult =
  | PutResult
  | DeleteRangeResult
  | TxnResult
  | CompactResult
  | PublishMemberResult
  | LeaseGrantResult
  | LeaseRevokeResult
  | LeaseRenewResult
  | LeaseCheckpointResult
  | AuthResult
  | ForgetMembersResult
  | AlarmResult
  | DowngradeResult
  | NewClusterResult
  | KvFailure
