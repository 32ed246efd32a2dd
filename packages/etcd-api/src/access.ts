/**
 * What each method takes of whoever calls it, once authentication is enabled. A method without a row
 * cannot be served.
 */
import type { Access, AuthErrorCode, KvStateMachine } from '@coracle/kv-state-machine'
import { isReadOnly, txnRequest } from './kv-requests.ts'
import { toBigInt } from './int64.ts'
import type { EtcdLimits } from './options.ts'
import type { MethodSchema } from './schema.ts'
import type * as wire from './wire.ts'

/** What a check may look at beside the request. */
interface Surroundings {
  readonly limits: EtcdLimits
  readonly stateMachine: KvStateMachine
}

/** Why the request is refused, or null. Throws an EtcdError for a request that makes no sense. */
export type Check = (
  access: Access,
  request: never,
  surroundings: Surroundings,
) => AuthErrorCode | null

/** When whoever calls is asked for what. */
export type Rule =
  /** Everybody may. */
  | { readonly when: 'never' }
  /** What it does goes through the log with the name of the caller, and is checked as it is applied. */
  | { readonly when: 'applied' }
  /** It is made of other methods, called on behalf of the same call: each asks for itself. */
  | { readonly when: 'parts' }
  /** Before it is carried out. */
  | { readonly when: 'before'; readonly check: Check }
  /** What it answers is only given away if it was allowed when it was read. */
  | { readonly when: 'reading'; readonly check: Check }
  /** For each request of the stream. */
  | { readonly when: 'each-message'; readonly check: Check }

const anyone: Rule = { when: 'never' }
const applied: Rule = { when: 'applied' }
const parts: Rule = { when: 'parts' }
const user = before((access) => access.user())
const root = before((access) => access.root())
const readRange: Rule = reading((access, { key, range_end }: wire.RangeRequest) =>
  // What is no range at all is refused as such.
  key.length === 0 ? null : access.read({ key, rangeEnd: range_end }),
)

const RULES: Readonly<Record<string, Readonly<Record<string, Rule>>>> = {
  'etcdserverpb.KV': {
    Range: readRange,
    RangeStream: readRange,
    Put: applied,
    DeleteRange: applied,
    Txn: reading(readTxn),
    Compact: applied,
  },
  'etcdserverpb.Watch': { Watch: eachMessage(watch) },
  'etcdserverpb.Lease': {
    LeaseGrant: applied,
    LeaseRevoke: applied,
    LeaseKeepAlive: eachMessage((access, { ID }: wire.LeaseId) =>
      access.keysOfLease(toBigInt(ID), 'write'),
    ),
    LeaseTimeToLive: reading((access, { ID, keys }: wire.LeaseTimeToLiveRequest) =>
      keys ? access.keysOfLease(toBigInt(ID), 'read') : access.user(),
    ),
    LeaseLeases: reading(allLeases),
  },
  'etcdserverpb.Cluster': {
    MemberAdd: root,
    MemberRemove: root,
    MemberUpdate: root,
    MemberList: user,
    MemberPromote: root,
  },
  'etcdserverpb.Maintenance': {
    Alarm: before((access, { action }: wire.AlarmRequest) =>
      action === GET ? access.user() : access.root(),
    ),
    Status: user,
    Defragment: root,
    Hash: root,
    HashKV: root,
    Snapshot: root,
    MoveLeader: root,
    Downgrade: root,
  },
  'etcdserverpb.Auth': {
    AuthEnable: root,
    AuthDisable: root,
    AuthStatus: anyone,
    Authenticate: anyone,
    UserAdd: root,
    UserGet: reading((access, { name }: wire.Name) => access.seeUser(name)),
    UserList: reading((access) => access.root()),
    UserDelete: root,
    UserChangePassword: root,
    UserGrantRole: root,
    UserRevokeRole: root,
    RoleAdd: root,
    RoleGet: reading((access, { role }: wire.RoleName) => access.seeRole(role)),
    RoleList: reading((access) => access.root()),
    RoleDelete: root,
    RoleGrantPermission: root,
    RoleRevokePermission: root,
  },
  'v3lockpb.Lock': { Lock: parts, Unlock: parts },
  'v3electionpb.Election': {
    Campaign: parts,
    Proclaim: parts,
    Leader: parts,
    Observe: parts,
    Resign: parts,
  },
  'grpc.reflection.v1.ServerReflection': { ServerReflectionInfo: eachMessage(() => null) },
  'grpc.reflection.v1alpha.ServerReflection': { ServerReflectionInfo: eachMessage(() => null) },
  'grpc.health.v1.Health': { Check: anyone, Watch: anyone },
}

const GET = 0

/** The rule of a method. Throws a TypeError if somebody added one and forgot who may call it. */
export function ruleOf({ service, method }: MethodSchema): Rule {
  const rule = RULES[service]?.[method]
  if (rule === undefined) throw new TypeError(`nobody said who may call ${service}/${method}`)
  return rule
}

/** A transaction that writes is checked as it is applied. */
function readTxn(
  access: Access,
  request: wire.TxnRequest,
  { limits }: Surroundings,
): AuthErrorCode | null {
  const asked = txnRequest(request, limits.maxTxnOps)
  return isReadOnly(asked) ? access.txn(asked) : null
}

/** The interval as the client sent it: what an end of one zero byte means is for the check to know. */
function watch(access: Access, { create_request }: wire.WatchRequest): AuthErrorCode | null {
  if (!create_request) return null
  const key = create_request.key.length === 0 ? ZERO : create_request.key
  return access.read({ key, rangeEnd: create_request.range_end })
}

const ZERO = Uint8Array.of(0)

/** As in etcd, one key that may not be read hides all leases. */
function allLeases(
  access: Access,
  _request: object,
  { stateMachine }: Surroundings,
): AuthErrorCode | null {
  const refusal = access.user()
  if (refusal !== null || access.root() === null) return refusal
  for (const { id } of stateMachine.leases()) {
    const hidden = access.keysOfLease(id, 'read')
    if (hidden !== null) return hidden
  }
  return null
}

type CheckOf<Request> = (
  access: Access,
  request: Request,
  surroundings: Surroundings,
) => AuthErrorCode | null

function before<Request>(check: CheckOf<Request>): Rule {
  return { when: 'before', check }
}

function reading<Request>(check: CheckOf<Request>): Rule {
  return { when: 'reading', check }
}

function eachMessage<Request>(check: CheckOf<Request>): Rule {
  return { when: 'each-message', check }
}
