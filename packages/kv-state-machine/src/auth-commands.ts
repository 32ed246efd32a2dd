import type { AuthStore } from './auth-store.ts'
import type { AuthErrorCode, AuthObserver, AuthRequest } from './auth-types.ts'

/** What became of a request: a refusal, or the token that it asked for (or none). */
export type AuthOutcome =
  | { readonly code: AuthErrorCode }
  | { readonly code: null; readonly token: string }

const DONE: AuthOutcome = { code: null, token: '' }

/** Carries out a request that is allowed, as the entry at `index` of the log. */
export function changeAuth(
  auth: AuthStore,
  request: AuthRequest,
  { index, observer }: { readonly index: number; readonly observer: AuthObserver },
): AuthOutcome {
  if (request.type === 'authenticate') {
    const code = checkAuthentication(auth, request)
    if (code !== null) return { code }
    // The index tells every member how far it must have applied to know of the token.
    const token = `${request.secret}.${index}`
    observer.authenticated(request.user, token, index)
    return { code, token }
  }
  const code = change(auth, request)
  if (code !== null) return { code }
  const { type } = request
  if (type === 'user-delete' || type === 'user-change-password')
    observer.credentialsChanged(request.user)
  else if (type === 'disable') observer.reset()
  return DONE
}

type Authentication = Extract<AuthRequest, { type: 'authenticate' }>

/** A password that was right before users or roles changed must be looked at again. */
function checkAuthentication(
  auth: AuthStore,
  { user, revision }: Authentication,
): AuthErrorCode | null {
  if (!auth.enabled) return 'AUTH_NOT_ENABLED'
  if (auth.revision !== revision) return 'AUTH_REVISION_OLD'
  const known = auth.user(user)
  return known === null || known.noPassword ? 'AUTH_FAILED' : null
}

function change(
  auth: AuthStore,
  request: Exclude<AuthRequest, Authentication>,
): AuthErrorCode | null {
  switch (request.type) {
    case 'enable':
      return auth.enable()
    case 'disable':
      return auth.disable()
    case 'user-add': {
      const { user: name, passwordHash, noPassword } = request
      return auth.addUser({ name, passwordHash, noPassword })
    }
    case 'user-delete':
      return auth.deleteUser(request.user)
    case 'user-change-password':
      return auth.changePassword(request.user, request.passwordHash)
    case 'user-grant-role':
      return auth.grantRole(request.user, request.role)
    case 'user-revoke-role':
      return auth.revokeRole(request.user, request.role)
    case 'role-add':
      return auth.addRole(request.role)
    case 'role-delete':
      return auth.deleteRole(request.role)
    case 'role-grant-permission':
      return auth.grantPermission(request.role, request.permission)
    case 'role-revoke-permission':
      return auth.revokePermission(request.role, request.interval)
  }
}

/** Passes everything on to whoever follows at the time. */
export class AuthObservers implements AuthObserver {
  readonly #observers = new Set<AuthObserver>()

  add(observer: AuthObserver): () => void {
    this.#observers.add(observer)
    return () => {
      this.#observers.delete(observer)
    }
  }

  authenticated(user: string, token: string, index: number): void {
    for (const observer of this.#observers) observer.authenticated(user, token, index)
  }

  credentialsChanged(user: string): void {
    for (const observer of this.#observers) observer.credentialsChanged(user)
  }

  reset(): void {
    for (const observer of this.#observers) observer.reset()
  }
}
