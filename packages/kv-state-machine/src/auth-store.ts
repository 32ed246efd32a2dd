import { CodecError } from '@coracle/raft-core/codec'
import { type UserPermissions, permissionsOf } from './auth-permissions.ts'
import {
  type Auth,
  type AuthErrorCode,
  type AuthRole,
  type AuthUser,
  type Permission,
  ROOT,
} from './auth-types.ts'
import { keyOf } from './key.ts'
import { compareBytes } from './range.ts'
import type { KeyInterval } from './types.ts'

/** All users and roles at one moment, in order. The records in it never change. */
export interface AuthState {
  readonly enabled: boolean
  readonly revision: number
  readonly users: readonly AuthUser[]
  readonly roles: readonly AuthRole[]
}

type Change = AuthErrorCode | null

/** Users and roles. Every change answers why it cannot be, or null once it is made. */
export class AuthStore implements Auth {
  enabled = false
  revision = 1
  /** Records are replaced, never changed: a snapshot may hold them. */
  readonly #users = new Map<string, AuthUser>()
  readonly #roles = new Map<string, AuthRole>()
  /** What was looked up since the last change. It follows from the rest, so that no member differs. */
  readonly #permissions = new Map<string, UserPermissions>()

  user(name: string): AuthUser | null {
    return this.#users.get(name) ?? null
  }

  role(name: string): AuthRole | null {
    return this.#roles.get(name) ?? null
  }

  userNames(): readonly string[] {
    return [...this.#users.keys()].sort(byText)
  }

  roleNames(): readonly string[] {
    return [...this.#roles.keys()].sort(byText)
  }

  /** What the roles of a user allow; the root role is not among them, for it needs no interval. */
  permissionsOf(user: AuthUser): UserPermissions {
    let permissions = this.#permissions.get(user.name)
    if (permissions === undefined) {
      const roles = user.roles.flatMap((name) => this.#roles.get(name) ?? [])
      this.#permissions.set(user.name, (permissions = permissionsOf(roles)))
    }
    return permissions
  }

  /** As in etcd, this alone is no change that makes what was identified before look old. */
  enable(): Change {
    if (this.enabled) return null
    const root = this.user(ROOT)
    if (root === null) return 'ROOT_USER_NOT_FOUND'
    if (!root.roles.includes(ROOT)) return 'ROOT_ROLE_NOT_GRANTED'
    this.enabled = true
    return null
  }

  disable(): Change {
    if (!this.enabled) return null
    this.enabled = false
    return this.#changed()
  }

  addUser(user: Omit<AuthUser, 'roles'>): Change {
    if (user.name === '') return 'USER_EMPTY'
    if (this.#users.has(user.name)) return 'USER_EXISTS'
    return this.#setUser({ ...user, roles: [] })
  }

  deleteUser(name: string): Change {
    if (this.enabled && name === ROOT) return 'INVALID_AUTH_MANAGEMENT'
    return this.#users.delete(name) ? this.#changed() : 'USER_NOT_FOUND'
  }

  changePassword(name: string, passwordHash: string): Change {
    const user = this.user(name)
    if (user === null) return 'USER_NOT_FOUND'
    return this.#setUser(user.noPassword ? user : { ...user, passwordHash })
  }

  /** The root role may be granted before it is added. */
  grantRole(name: string, role: string): Change {
    const user = this.user(name)
    if (user === null) return 'USER_NOT_FOUND'
    if (role !== ROOT && !this.#roles.has(role)) return 'ROLE_NOT_FOUND'
    if (user.roles.includes(role)) return null
    return this.#setUser({ ...user, roles: [...user.roles, role].sort(byText) })
  }

  revokeRole(name: string, role: string): Change {
    if (this.enabled && name === ROOT && role === ROOT) return 'INVALID_AUTH_MANAGEMENT'
    const user = this.user(name)
    if (user === null) return 'USER_NOT_FOUND'
    if (!user.roles.includes(role)) return 'ROLE_NOT_GRANTED'
    return this.#setUser(withoutRole(user, role))
  }

  addRole(name: string): Change {
    if (name === '') return 'ROLE_EMPTY'
    if (this.#roles.has(name)) return 'ROLE_EXISTS'
    return this.#setRole({ name, permissions: [] })
  }

  deleteRole(name: string): Change {
    if (this.enabled && name === ROOT) return 'INVALID_AUTH_MANAGEMENT'
    if (!this.#roles.delete(name)) return 'ROLE_NOT_FOUND'
    for (const user of this.#users.values()) {
      if (user.roles.includes(name)) this.#users.set(user.name, withoutRole(user, name))
    }
    return this.#changed()
  }

  /**
   * A permission for the same interval takes the place of the one before. As in etcd, only the first
   * permission that begins with the key is looked at for that.
   */
  grantPermission(name: string, permission: Permission): Change {
    if (!isPermissible(permission)) return 'INVALID_AUTH_MANAGEMENT'
    const role = this.role(name)
    if (role === null) return 'ROLE_NOT_FOUND'
    const { permissions } = role
    const first = permissions.findIndex(({ key }) => compareBytes(key, permission.key) === 0)
    const found = permissions[first]
    const isKnown = found !== undefined && isSameInterval(found, permission)
    const after = permissions.findLastIndex(({ key }) => compareBytes(key, permission.key) <= 0)
    return this.#setRole({
      name,
      permissions: isKnown
        ? permissions.with(first, permission)
        : permissions.toSpliced(after + 1, 0, permission),
    })
  }

  revokePermission(name: string, interval: KeyInterval): Change {
    const role = this.role(name)
    if (role === null) return 'ROLE_NOT_FOUND'
    const permissions = role.permissions.filter((each) => !isSameInterval(each, interval))
    if (permissions.length === role.permissions.length) return 'PERMISSION_NOT_GRANTED'
    return this.#setRole({ name, permissions })
  }

  freeze(): AuthState {
    const { enabled, revision } = this
    return { enabled, revision, users: [...this.#users.values()], roles: [...this.#roles.values()] }
  }

  /** Begins with what comes from a snapshot: the roles before the users. */
  loadAt({ enabled, revision }: Pick<AuthState, 'enabled' | 'revision'>): void {
    if (revision < 1) throw new CodecError('an impossible revision of users and roles')
    this.enabled = enabled
    this.revision = revision
  }

  loadRole(role: AuthRole): void {
    const { name, permissions } = role
    const isPossible = name !== '' && permissions.every(isPermissible)
    if (!isPossible || this.#roles.has(name)) throw new CodecError('an impossible role')
    if (!isOrdered(permissions, (a, b) => compareBytes(a.key, b.key) <= 0))
      throw new CodecError('permissions are out of order')
    this.#roles.set(name, role)
  }

  loadUser(user: AuthUser): void {
    const { name, roles } = user
    const isPossible = name !== '' && roles.every((role) => role === ROOT || this.#roles.has(role))
    if (!isPossible || this.#users.has(name)) throw new CodecError('an impossible user')
    if (!isOrdered(roles, (a, b) => byText(a, b) < 0))
      throw new CodecError('the roles of a user are out of order')
    this.#users.set(name, user)
  }

  checkLoaded(): void {
    if (this.enabled && this.user(ROOT)?.roles.includes(ROOT) !== true)
      throw new CodecError('nobody could do anything: there is no root')
  }

  #setUser(user: AuthUser): null {
    this.#users.set(user.name, user)
    return this.#changed()
  }

  #setRole(role: AuthRole): null {
    this.#roles.set(role.name, role)
    return this.#changed()
  }

  #changed(): null {
    this.revision += 1
    this.#permissions.clear()
    return null
  }
}

/** Names in the order of their UTF-8, which is not that of JavaScript's strings. */
export function byText(a: string, b: string): number {
  return compareBytes(encoder.encode(a), encoder.encode(b))
}

const encoder = new TextEncoder()

function withoutRole(user: AuthUser, role: string): AuthUser {
  return { ...user, roles: user.roles.filter((each) => each !== role) }
}

/** A key, and an end that is none, open, or after the key. */
function isPermissible({ key, rangeEnd }: KeyInterval): boolean {
  if (key.length === 0) return false
  if (rangeEnd.length === 0 || (rangeEnd.length === 1 && rangeEnd[0] === 0)) return true
  return compareBytes(key, rangeEnd) < 0
}

function isSameInterval(a: KeyInterval, b: KeyInterval): boolean {
  return keyOf(a.key) === keyOf(b.key) && keyOf(a.rangeEnd) === keyOf(b.rangeEnd)
}

function isOrdered<T>(list: readonly T[], follows: (a: T, b: T) => boolean): boolean {
  return list.every((each, at) => at === 0 || follows(list[at - 1] as T, each))
}
