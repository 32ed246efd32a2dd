import { CodecError, type Reader, type Writer } from '@coracle/raft-core/codec'
import type { AuthRequest, AuthRole, AuthUser, Permission, PermissionType } from './auth-types.ts'
import type { KeyInterval } from './types.ts'

const REQUESTS = [
  'enable',
  'disable',
  'authenticate',
  'user-add',
  'user-delete',
  'user-change-password',
  'user-grant-role',
  'user-revoke-role',
  'role-add',
  'role-delete',
  'role-grant-permission',
  'role-revoke-permission',
] as const
const TYPES: readonly PermissionType[] = ['read', 'write', 'readwrite']

/** What is around the texts of a permission. */
const LEAST_PERMISSION_BYTES = 9
const LEAST_NAME_BYTES = 4

export function writeAuthRequest(writer: Writer, request: AuthRequest): void {
  writer.u8(REQUESTS.indexOf(request.type))
  switch (request.type) {
    case 'enable':
    case 'disable':
      return
    case 'authenticate':
      writer.string(request.user)
      writer.u64(request.revision)
      return writer.string(request.secret)
    case 'user-add':
      writer.string(request.user)
      writer.string(request.passwordHash)
      return writer.boolean(request.noPassword)
    case 'user-delete':
      return writer.string(request.user)
    case 'user-change-password':
      writer.string(request.user)
      return writer.string(request.passwordHash)
    case 'user-grant-role':
    case 'user-revoke-role':
      writer.string(request.user)
      return writer.string(request.role)
    case 'role-add':
    case 'role-delete':
      return writer.string(request.role)
    case 'role-grant-permission':
      writer.string(request.role)
      return writePermission(writer, request.permission)
    case 'role-revoke-permission':
      writer.string(request.role)
      return writeInterval(writer, request.interval)
  }
}

export function readAuthRequest(reader: Reader): AuthRequest {
  const type = REQUESTS[reader.u8()]
  if (type === undefined) throw new CodecError('an unknown request about users and roles')
  switch (type) {
    case 'enable':
    case 'disable':
      return { type }
    case 'authenticate':
      return { type, user: reader.string(), revision: reader.u64(), secret: reader.string() }
    case 'user-add': {
      const user = reader.string()
      const passwordHash = reader.string()
      return { type, user, passwordHash, noPassword: reader.boolean() }
    }
    case 'user-delete':
      return { type, user: reader.string() }
    case 'user-change-password':
      return { type, user: reader.string(), passwordHash: reader.string() }
    case 'user-grant-role':
    case 'user-revoke-role':
      return { type, user: reader.string(), role: reader.string() }
    case 'role-add':
    case 'role-delete':
      return { type, role: reader.string() }
    case 'role-grant-permission':
      return { type, role: reader.string(), permission: readPermission(reader) }
    case 'role-revoke-permission':
      return { type, role: reader.string(), interval: readInterval(reader) }
  }
}

export function writeUser(writer: Writer, user: AuthUser): void {
  writer.string(user.name)
  writer.string(user.passwordHash)
  writer.boolean(user.noPassword)
  writer.u32(user.roles.length)
  for (const role of user.roles) writer.string(role)
}

export function readUser(reader: Reader): AuthUser {
  const name = reader.string()
  const passwordHash = reader.string()
  const noPassword = reader.boolean()
  const roles = Array.from({ length: reader.count(LEAST_NAME_BYTES) }, () => reader.string())
  return { name, passwordHash, noPassword, roles }
}

export function writeRole(writer: Writer, role: AuthRole): void {
  writer.string(role.name)
  writer.u32(role.permissions.length)
  for (const permission of role.permissions) writePermission(writer, permission)
}

export function readRole(reader: Reader): AuthRole {
  const name = reader.string()
  const length = reader.count(LEAST_PERMISSION_BYTES)
  return { name, permissions: Array.from({ length }, () => readPermission(reader)) }
}

function writePermission(writer: Writer, permission: Permission): void {
  writer.u8(TYPES.indexOf(permission.type))
  writeInterval(writer, permission)
}

function readPermission(reader: Reader): Permission {
  const type = TYPES[reader.u8()]
  if (type === undefined) throw new CodecError('an unknown type of permission')
  return { type, ...readInterval(reader) }
}

function writeInterval(writer: Writer, interval: KeyInterval): void {
  writer.bytes(interval.key)
  writer.bytes(interval.rangeEnd)
}

/** Copies, not views: a permission that is kept must not keep the whole entry of the log in memory. */
function readInterval(reader: Reader): KeyInterval {
  return { key: reader.bytes().slice(), rangeEnd: reader.bytes().slice() }
}
