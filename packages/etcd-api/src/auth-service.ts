/** etcdserverpb.Auth: users, roles, what they may do, and who is who. */
import {
  type AuthRequest,
  encodeCommand,
  type Permission,
  type PermissionType,
  ROOT,
} from '@coracle/kv-state-machine'
import type { Cancellable } from './call.ts'
import type { ServiceContext } from './context.ts'
import * as errors from './errors.ts'
import { bytes } from './kv-requests.ts'
import { outcome } from './outcome.ts'
import { type Method, unary } from './method.ts'
import { type Passwords, passwords } from './passwords.ts'
import type * as wire from './wire.ts'

/** The service, and the thread that it checks passwords in. */
export interface AuthService extends AsyncDisposable {
  readonly methods: Record<string, Method>
}

/** At ten or so in a second, who comes later than this has given up. */
const MOST_PASSWORDS_WAITING = 1_000

export function authService(context: ServiceContext): AuthService {
  const hashes = passwords({
    cost: context.options.auth.bcryptCost,
    maxWaiting: MOST_PASSWORDS_WAITING,
  })
  return {
    methods: { ...switches(context, hashes), ...users(context, hashes), ...roles(context) },
    [Symbol.asyncDispose]: () => hashes[Symbol.asyncDispose](),
  }
}

function switches(context: ServiceContext, hashes: Passwords): Record<string, Method> {
  const { stateMachine } = context.options
  return {
    AuthEnable: unary(change(context, () => ({ type: 'enable' }))),
    AuthDisable: unary(change(context, () => ({ type: 'disable' }))),
    AuthStatus: unary(
      read(context, (header): wire.AuthStatusResponse => {
        const { enabled, revision } = stateMachine.auth
        return { header, enabled, authRevision: revision }
      }),
    ),
    Authenticate: unary(authenticate(context, hashes)),
  }
}

function users(context: ServiceContext, hashes: Passwords): Record<string, Method> {
  const { stateMachine } = context.options
  return {
    UserAdd: unary(
      change(context, async ({ name: user, password, options }: wire.UserAddRequest, call) => {
        if (user === '') throw errors.userEmpty
        const noPassword = options?.no_password === true
        const passwordHash = noPassword ? '' : await hashes.hash(password, call)
        return { type: 'user-add', user, passwordHash, noPassword }
      }),
    ),
    UserGet: unary(
      read(context, (header, { name }: wire.Name): wire.RolesResponse => {
        const user = stateMachine.auth.user(name)
        if (user === null) throw errors.kvError('USER_NOT_FOUND')
        return { header, roles: user.roles }
      }),
    ),
    UserList: unary(
      read(context, (header): wire.UserListResponse => ({
        header,
        users: stateMachine.auth.userNames(),
      })),
    ),
    UserDelete: unary(
      change(context, ({ name: user }: wire.Name) => ({ type: 'user-delete', user })),
    ),
    UserChangePassword: unary(
      change(context, async ({ name: user, password }: wire.AuthenticateRequest, call) => ({
        type: 'user-change-password',
        user,
        passwordHash: await hashes.hash(password, call),
      })),
    ),
    UserGrantRole: unary(
      change(context, ({ user, role }: wire.UserGrantRoleRequest) => ({
        type: 'user-grant-role',
        user,
        role,
      })),
    ),
    UserRevokeRole: unary(
      change(context, ({ name: user, role }: wire.UserRevokeRoleRequest) => ({
        type: 'user-revoke-role',
        user,
        role,
      })),
    ),
  }
}

function roles(context: ServiceContext): Record<string, Method> {
  const { stateMachine } = context.options
  return {
    RoleAdd: unary(change(context, ({ name: role }: wire.Name) => ({ type: 'role-add', role }))),
    RoleGet: unary(
      read(context, (header, { role: name }: wire.RoleName): wire.RoleGetResponse => {
        const role = stateMachine.auth.role(name)
        if (role === null) throw errors.kvError('ROLE_NOT_FOUND')
        return { header, perm: name === ROOT ? [EVERYTHING] : role.permissions.map(permissionTo) }
      }),
    ),
    RoleList: unary(
      read(context, (header): wire.RolesResponse => ({
        header,
        roles: stateMachine.auth.roleNames(),
      })),
    ),
    RoleDelete: unary(
      change(context, ({ role }: wire.RoleName) => ({ type: 'role-delete', role })),
    ),
    RoleGrantPermission: unary(
      change(context, ({ name: role, perm }: wire.RoleGrantPermissionRequest) => {
        if (perm === null) throw errors.permissionNotGiven
        return { type: 'role-grant-permission', role, permission: permissionFrom(perm) }
      }),
    ),
    RoleRevokePermission: unary(
      change(context, ({ role, key, range_end }: wire.RoleRevokePermissionRequest) => ({
        type: 'role-revoke-permission',
        role,
        interval: { key: bytes(key), rangeEnd: bytes(range_end) },
      })),
    ),
  }
}

/** A method that changes something, and answers with nothing but a header. */
function change<Request>(
  context: ServiceContext,
  wanted: (request: Request, call: Cancellable) => AuthRequest | Promise<AuthRequest>,
) {
  return async (request: Request, call: Cancellable): Promise<wire.HeaderOnly> => {
    const command = encodeCommand({ type: 'auth', request: await wanted(request, call) })
    const { revision } = outcome(await context.propose(command, call), 'auth')
    return { header: context.header(revision) }
  }
}

/** In etcd these go through the log, too: nothing that was acknowledged before is missing. */
function read<Request, Response>(
  context: ServiceContext,
  answer: (header: wire.ResponseHeader, request: Request) => Response,
) {
  return async (request: Request, call: Cancellable): Promise<Response> => {
    await context.readBarrier(call)
    return answer(context.header(context.options.stateMachine.revision), request)
  }
}

/** The password is compared here, and never leaves this member; a token is given out through the log. */
function authenticate(context: ServiceContext, hashes: Passwords) {
  const { stateMachine } = context.options
  return async (
    { name, password }: wire.AuthenticateRequest,
    call: Cancellable,
  ): Promise<wire.AuthenticateResponse> => {
    for (;;) {
      await context.readBarrier(call)
      const { enabled, revision } = stateMachine.auth
      if (!enabled) throw errors.authNotEnabled
      const user = stateMachine.auth.user(name)
      if (user?.noPassword === true) throw errors.noPasswordUser
      const isRight = await hashes.matches(password, user?.passwordHash ?? null, call)
      if (!isRight) throw errors.authFailed
      const token = await context.tokens.issue(name, revision, call)
      if (token !== null) return { header: context.header(stateMachine.revision), token }
    }
  }
}

const TYPES: readonly PermissionType[] = ['read', 'write', 'readwrite']

/** What the root role allows, whether it is granted so or not. */
const EVERYTHING: wire.Permission = {
  permType: TYPES.indexOf('readwrite'),
  key: new Uint8Array(0),
  range_end: Uint8Array.of(0),
}

function permissionFrom({ permType, key, range_end }: wire.Permission): Permission {
  const type = TYPES[permType]
  if (type === undefined) throw errors.invalidAuthManagement
  return { type, key: bytes(key), rangeEnd: bytes(range_end) }
}

function permissionTo({ type, key, rangeEnd }: Permission): wire.Permission {
  return { permType: TYPES.indexOf(type), key, range_end: rangeEnd }
}
