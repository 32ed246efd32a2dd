/**
 * The messages that handlers take and give, as the codec sees them.
 *
 * On decoded messages every field can be read: what is absent has its zero value. On messages to
 * encode a missing field is a zero, which is not written; members of a oneof are written even if
 * they are zero.
 */
import type { DuplexCall } from './call.ts'
import type { Int64 } from './int64.ts'

export interface ResponseHeader {
  readonly cluster_id?: Int64
  readonly member_id?: Int64
  readonly revision?: Int64
  readonly raft_term?: Int64
}

export interface KeyValue {
  readonly key: Uint8Array
  readonly create_revision: Int64
  readonly mod_revision: Int64
  readonly version: Int64
  readonly value: Uint8Array
  readonly lease: Int64
}

export interface RangeRequest {
  readonly key: Uint8Array
  readonly range_end: Uint8Array
  readonly limit: Int64
  readonly revision: Int64
  readonly sort_order: number
  readonly sort_target: number
  readonly serializable: boolean
  readonly keys_only: boolean
  readonly count_only: boolean
  readonly min_mod_revision: Int64
  readonly max_mod_revision: Int64
  readonly min_create_revision: Int64
  readonly max_create_revision: Int64
}

export interface RangeResponse {
  readonly header?: ResponseHeader
  readonly kvs?: readonly KeyValue[]
  readonly more?: boolean
  readonly count?: Int64
}

export interface RangeStreamResponse {
  readonly range_response: RangeResponse
}

export interface PutRequest {
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly lease: Int64
  readonly prev_kv: boolean
  readonly ignore_value: boolean
  readonly ignore_lease: boolean
}

export interface PutResponse {
  readonly header: ResponseHeader
  readonly prev_kv?: KeyValue
}

export interface DeleteRangeRequest {
  readonly key: Uint8Array
  readonly range_end: Uint8Array
  readonly prev_kv: boolean
}

export interface DeleteRangeResponse {
  readonly header: ResponseHeader
  readonly deleted: Int64
  readonly prev_kvs: readonly KeyValue[]
}

/** At most one member is set; `request` names it. */
export interface RequestOp {
  readonly request?: 'request_range' | 'request_put' | 'request_delete_range' | 'request_txn'
  readonly request_range?: RangeRequest | null
  readonly request_put?: PutRequest | null
  readonly request_delete_range?: DeleteRangeRequest | null
  readonly request_txn?: TxnRequest | null
}

export type ResponseOp =
  | { readonly response_range: RangeResponse }
  | { readonly response_put: PutResponse }
  | { readonly response_delete_range: DeleteRangeResponse }
  | { readonly response_txn: TxnResponse }

/** `target_union` names the one member that is set. */
export interface Compare {
  readonly result: number
  readonly target: number
  readonly key: Uint8Array
  readonly target_union?: 'version' | 'create_revision' | 'mod_revision' | 'value' | 'lease'
  readonly version: Int64
  readonly create_revision: Int64
  readonly mod_revision: Int64
  readonly value: Uint8Array
  readonly lease: Int64
  readonly range_end: Uint8Array
}

export interface TxnRequest {
  readonly compare: readonly Compare[]
  readonly success: readonly RequestOp[]
  readonly failure: readonly RequestOp[]
}

export interface TxnResponse {
  readonly header: ResponseHeader
  readonly succeeded: boolean
  readonly responses: readonly ResponseOp[]
}

export interface CompactionRequest {
  readonly revision: Int64
  readonly physical: boolean
}

export interface HeaderOnly {
  readonly header: ResponseHeader
}

export interface LeaseGrantRequest {
  readonly TTL: Int64
  readonly ID: Int64
}

export interface LeaseGrantResponse {
  readonly header: ResponseHeader
  readonly ID: Int64
  readonly TTL: Int64
}

/** What LeaseRevoke and LeaseKeepAlive ask with. */
export interface LeaseId {
  readonly ID: Int64
}

export interface LeaseKeepAliveResponse {
  readonly header: ResponseHeader
  readonly ID: Int64
  readonly TTL: Int64
}

export type LeaseKeepAliveCall = DuplexCall<LeaseId, LeaseKeepAliveResponse>

export interface LeaseTimeToLiveRequest {
  readonly ID: Int64
  readonly keys: boolean
}

export interface LeaseTimeToLiveResponse {
  readonly header: ResponseHeader
  readonly ID: Int64
  readonly TTL: Int64
  readonly grantedTTL: Int64
  readonly keys: readonly Uint8Array[]
}

export interface LeaseLeasesResponse {
  readonly header: ResponseHeader
  readonly leases: readonly LeaseId[]
}

export interface Member {
  readonly ID: Int64
  readonly name: string
  readonly peerURLs: readonly string[]
  readonly clientURLs: readonly string[]
  readonly isLearner: boolean
}

export interface MemberListRequest {
  readonly linearizable: boolean
}

export interface MemberListResponse {
  readonly header: ResponseHeader
  readonly members: readonly Member[]
}

export interface MemberAddRequest {
  readonly peerURLs: readonly string[]
  readonly isLearner: boolean
}

/** What MemberRemove and MemberPromote ask with. */
export interface MemberId {
  readonly ID: Int64
}

export interface MemberUpdateRequest {
  readonly ID: Int64
  readonly peerURLs: readonly string[]
}

export interface AlarmRequest {
  readonly action: number
  readonly memberID: Int64
  readonly alarm: number
}

export interface AlarmMember {
  readonly memberID: Int64
  readonly alarm: number
}

export interface AlarmResponse {
  readonly header: ResponseHeader
  readonly alarms: readonly AlarmMember[]
}

export interface MoveLeaderRequest {
  readonly targetID: Int64
}

export interface DowngradeRequest {
  readonly action: number
  readonly version: string
}

export interface DowngradeResponse {
  readonly header: ResponseHeader
  readonly version: string
}

export interface SnapshotResponse {
  readonly remaining_bytes: Int64
  readonly blob: Uint8Array
  readonly version: string
}

export interface LockRequest {
  readonly name: Uint8Array
  readonly lease: Int64
}

export interface LockResponse {
  readonly header: ResponseHeader
  readonly key: Uint8Array
}

export interface CampaignRequest {
  readonly name: Uint8Array
  readonly lease: Int64
  readonly value: Uint8Array
}

/** A leadership among clients, to be shown by whoever holds it. */
export interface LeaderKey {
  readonly name: Uint8Array
  readonly key: Uint8Array
  readonly rev: Int64
  readonly lease: Int64
}

export interface CampaignResponse {
  readonly header: ResponseHeader
  readonly leader: LeaderKey
}

/** What Proclaim and Resign ask with. */
export interface LeaderKeyRequest {
  readonly leader?: LeaderKey | null
  readonly value: Uint8Array
}

export interface LeaderResponse {
  readonly header: ResponseHeader
  readonly kv: KeyValue
}

export interface StatusResponse {
  readonly header: ResponseHeader
  readonly version: string
  readonly dbSize: Int64
  readonly leader: Int64
  readonly raftIndex: Int64
  readonly raftTerm: Int64
  readonly raftAppliedIndex: Int64
  readonly errors: readonly string[]
  readonly dbSizeInUse: Int64
  readonly isLearner: boolean
  readonly storageVersion: string
  readonly dbSizeQuota: Int64
  readonly downgradeInfo: { readonly enabled: boolean; readonly targetVersion: string }
}

export interface HashResponse {
  readonly header: ResponseHeader
  readonly hash: number
}

export interface HashKVRequest {
  readonly revision: Int64
}

export interface HashKVResponse {
  readonly header: ResponseHeader
  readonly hash: number
  readonly compact_revision: Int64
  readonly hash_revision: Int64
}

export interface HealthCheckRequest {
  readonly service: string
}

export interface HealthCheckResponse {
  readonly status: number
}

/** At most one member is set; `request_union` names it. */
export interface WatchRequest {
  readonly request_union?: 'create_request' | 'cancel_request' | 'progress_request'
  readonly create_request?: WatchCreateRequest | null
  readonly cancel_request?: { readonly watch_id: Int64 } | null
  readonly progress_request?: object | null
}

export interface WatchCreateRequest {
  readonly key: Uint8Array
  readonly range_end: Uint8Array
  readonly start_revision: Int64
  readonly progress_notify: boolean
  readonly filters: readonly number[]
  readonly prev_kv: boolean
  readonly watch_id: Int64
  readonly fragment: boolean
}

export interface Event {
  readonly type: number
  readonly kv: KeyValue
  readonly prev_kv?: KeyValue
}

export interface WatchResponse {
  readonly header: ResponseHeader
  readonly watch_id: Int64
  readonly created?: boolean
  readonly canceled?: boolean
  readonly compact_revision?: Int64
  readonly cancel_reason?: string
  readonly fragment?: boolean
  readonly events?: readonly Event[]
}

/** `message_request` names the one member that is set. */
export interface ReflectionRequest {
  readonly host: string
  readonly message_request?:
    | 'file_by_filename'
    | 'file_containing_symbol'
    | 'file_containing_extension'
    | 'all_extension_numbers_of_type'
    | 'list_services'
  readonly file_by_filename: string
  readonly file_containing_symbol: string
}

export interface ReflectionResponse {
  readonly valid_host: string
  readonly original_request: ReflectionRequest
  readonly file_descriptor_response?: { readonly file_descriptor_proto: readonly Uint8Array[] }
  readonly list_services_response?: { readonly service: readonly { readonly name: string }[] }
  readonly error_response?: { readonly error_code: number; readonly error_message: string }
}

export interface AuthenticateRequest {
  readonly name: string
  readonly password: string
}

/** A user or a role, where nothing else is said about it. */
export interface Name {
  readonly name: string
}

export interface RoleName {
  readonly role: string
}

export interface UserAddRequest extends AuthenticateRequest {
  readonly options: { readonly no_password: boolean } | null
}

export interface UserGrantRoleRequest {
  readonly user: string
  readonly role: string
}

export interface UserRevokeRoleRequest {
  readonly name: string
  readonly role: string
}

export interface Permission {
  readonly permType: number
  readonly key: Uint8Array
  readonly range_end: Uint8Array
}

export interface RoleGrantPermissionRequest {
  readonly name: string
  readonly perm: Permission | null
}

export interface RoleRevokePermissionRequest {
  readonly role: string
  readonly key: Uint8Array
  readonly range_end: Uint8Array
}

export interface AuthStatusResponse {
  readonly header: ResponseHeader
  readonly enabled: boolean
  readonly authRevision: Int64
}

export interface AuthenticateResponse {
  readonly header: ResponseHeader
  readonly token: string
}

export interface UserListResponse {
  readonly header: ResponseHeader
  readonly users: readonly string[]
}

/** Of a user, or of all. */
export interface RolesResponse {
  readonly header: ResponseHeader
  readonly roles: readonly string[]
}

export interface RoleGetResponse {
  readonly header: ResponseHeader
  readonly perm: readonly Permission[]
}
