/**
 * Users, roles and what they may do, in etcd's words.
 *
 * A request carries who asks for it and how many changes to users and roles there had been when that
 * was found out. Whether it is allowed is decided where it is applied, by the state of that moment.
 */
import type { KeyInterval } from './types.ts'

/** Who asks. */
export interface Identity {
  readonly user: string
  /** The {@link Auth.revision} that the user was identified at; 0 if there is no user. */
  readonly revision: number
}

export type PermissionType = 'read' | 'write' | 'readwrite'

export interface Permission extends KeyInterval {
  readonly type: PermissionType
}

export interface AuthUser {
  readonly name: string
  /** Made by whoever proposes it: a password itself never enters the log. */
  readonly passwordHash: string
  /** The user can only be identified by a certificate. */
  readonly noPassword: boolean
  /** Sorted by their bytes. */
  readonly roles: readonly string[]
}

export interface AuthRole {
  readonly name: string
  /** Sorted by their keys. */
  readonly permissions: readonly Permission[]
}

/** The user, and the role that may do everything. */
export const ROOT = 'root'

/** A change to users and roles, or to whether they matter. */
export type AuthRequest =
  | { readonly type: 'enable' | 'disable' }
  /** The password was found right at this revision of users and roles: asks for a token. */
  | {
      readonly type: 'authenticate'
      readonly user: string
      readonly revision: number
      /** What nobody can guess in the token. */
      readonly secret: string
    }
  | {
      readonly type: 'user-add'
      readonly user: string
      readonly passwordHash: string
      readonly noPassword: boolean
    }
  | { readonly type: 'user-delete'; readonly user: string }
  | { readonly type: 'user-change-password'; readonly user: string; readonly passwordHash: string }
  | {
      readonly type: 'user-grant-role' | 'user-revoke-role'
      readonly user: string
      readonly role: string
    }
  | { readonly type: 'role-add' | 'role-delete'; readonly role: string }
  | {
      readonly type: 'role-grant-permission'
      readonly role: string
      readonly permission: Permission
    }
  | {
      readonly type: 'role-revoke-permission'
      readonly role: string
      readonly interval: KeyInterval
    }

export interface AuthResult {
  readonly type: 'auth'
  /** What stands for the user from now on; empty unless it was asked for. */
  readonly token: string
  readonly revision: number
}

/** Why a request about users, roles or permissions had no effect, or any request that is not allowed. */
export type AuthErrorCode =
  | 'AUTH_FAILED'
  | 'AUTH_NOT_ENABLED'
  | 'AUTH_REVISION_OLD'
  | 'INVALID_AUTH_MANAGEMENT'
  | 'PERMISSION_DENIED'
  | 'PERMISSION_NOT_GRANTED'
  | 'ROLE_EMPTY'
  | 'ROLE_EXISTS'
  | 'ROLE_NOT_FOUND'
  | 'ROLE_NOT_GRANTED'
  | 'ROOT_ROLE_NOT_GRANTED'
  | 'ROOT_USER_NOT_FOUND'
  | 'USER_EMPTY'
  | 'USER_EXISTS'
  | 'USER_NOT_FOUND'

/** What is known of users and roles, as of the last command applied. */
export interface Auth {
  /** Whether anybody has to say who they are. */
  readonly enabled: boolean
  /** Grows with every change to users and roles, and when {@link enabled} ends. Begins at 1. */
  readonly revision: number
  user(name: string): AuthUser | null
  role(name: string): AuthRole | null
  /** All names, sorted by their bytes. */
  userNames(): readonly string[]
  /** All names, sorted by their bytes. */
  roleNames(): readonly string[]
}

/**
 * Told of what happens to tokens, as it is applied, on every member; none may throw. The tokens
 * themselves are no state: they end by the clock, and how long they last is for each member to say.
 */
export interface AuthObserver {
  /** The token stands for the user from now on. */
  authenticated(user: string, token: string, index: number): void
  /** Whatever stood for the user does so no more. */
  credentialsChanged(user: string): void
  /** No token stands for anybody any more: nobody has to be identified, or a snapshot was restored. */
  reset(): void
}
