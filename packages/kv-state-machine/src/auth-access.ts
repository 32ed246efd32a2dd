import type { AuthStore } from './auth-store.ts'
import { type AuthErrorCode, type Identity, ROOT } from './auth-types.ts'
import { boundsOf, type Bounds, type Key } from './key.ts'
import type { Leases } from './leases.ts'
import type {
  DeleteRangeRequest,
  KeyInterval,
  KvCommand,
  Operation,
  PutRequest,
  TxnRequest,
} from './types.ts'

/** Why somebody may not do something, or null. */
type Refusal = AuthErrorCode | null

/**
 * What one user may do, by the state at the moment of asking. As long as authentication is not
 * enabled, everybody may do everything.
 */
export interface Access {
  /** Do what every user may. */
  user(): Refusal
  /** Do what only root may. */
  root(): Refusal
  /** Read an interval, or all of it that a prefix, an open end or a single key means. */
  read(interval: KeyInterval): Refusal
  write(interval: KeyInterval): Refusal
  /** Carry out a transaction, whichever way it goes: everything in both branches, however deep. */
  txn(request: TxnRequest): Refusal
  /** Know of, or end, all keys of a lease. A lease without keys is any user's. */
  keysOfLease(id: bigint, type: 'read' | 'write'): Refusal
  /** See a user: root sees all, the others themselves. */
  seeUser(name: string): Refusal
  /** See a role: root sees all, the others their own. */
  seeRole(name: string): Refusal
}

const NOBODY: Identity = { user: '', revision: 0 }

export function accessOf(auth: AuthStore, leases: Leases, identity: Identity | null): UserAccess {
  return new UserAccess(auth, leases, identity ?? NOBODY)
}

class UserAccess implements Access {
  readonly #auth: AuthStore
  readonly #leases: Leases
  readonly #identity: Identity

  constructor(auth: AuthStore, leases: Leases, identity: Identity) {
    this.#auth = auth
    this.#leases = leases
    this.#identity = identity
  }

  user(): Refusal {
    if (!this.#auth.enabled) return null
    const { user } = this.#identity
    if (user === '') return 'USER_EMPTY'
    return this.#auth.user(user) === null ? 'PERMISSION_DENIED' : null
  }

  root(): Refusal {
    if (!this.#auth.enabled) return null
    return this.user() ?? (this.#holds(ROOT) ? null : 'PERMISSION_DENIED')
  }

  read(interval: KeyInterval): Refusal {
    return this.#may('read', boundsOf(interval))
  }

  write(interval: KeyInterval): Refusal {
    return this.#may('write', boundsOf(interval))
  }

  /** What is attached to a lease can be ended with it, so only who may write all of it may attach more. */
  put({ key, lease, prevKv }: PutRequest): Refusal {
    const bounds = boundsOf({ key, rangeEnd: NO_END })
    const refusal = this.#may('write', bounds) ?? (lease === 0n ? null : this.#mayAttach(lease))
    return refusal ?? (prevKv ? this.#may('read', bounds) : null)
  }

  deleteRange(request: DeleteRangeRequest): Refusal {
    const bounds = boundsOf(request)
    return this.#may('write', bounds) ?? (request.prevKv ? this.#may('read', bounds) : null)
  }

  txn({ compare, success, failure }: TxnRequest): Refusal {
    return (
      firstOf(compare, (each) => this.read(each)) ??
      firstOf(success, (each) => this.#operation(each)) ??
      firstOf(failure, (each) => this.#operation(each))
    )
  }

  keysOfLease(id: bigint, type: 'read' | 'write'): Refusal {
    if (!this.#auth.enabled) return null
    const refusal = this.user()
    if (refusal !== null || this.#holds(ROOT)) return refusal
    return firstOf(this.#leases.keysOf(id), (key) => this.#may(type, single(key)))
  }

  seeUser(name: string): Refusal {
    const refusal = this.root()
    return name === this.#identity.user && name !== '' ? this.user() : refusal
  }

  seeRole(name: string): Refusal {
    const refusal = this.root()
    return this.#holds(name) ? this.user() : refusal
  }

  /** Everything that goes through the log is asked for here, so that no command can be forgotten. */
  command(command: KvCommand): Refusal {
    switch (command.type) {
      case 'put':
        return this.put(command.request)
      case 'delete-range':
        return this.deleteRange(command.request)
      case 'txn':
        return this.txn(command.request)
      case 'compact':
      case 'alarm':
      case 'downgrade':
        return this.root()
      case 'lease-grant':
        return this.user()
      case 'lease-revoke':
        // Whoever names a renewal is a leader that measured that the time is up.
        return command.request.renewal === 0 ? this.keysOfLease(command.request.id, 'write') : null
      case 'auth':
        return command.request.type === 'authenticate' ? null : this.root()
      // Members ask for these without saying so; who renews was looked at before many went into one entry.
      case 'publish-member':
      case 'lease-renew':
      case 'lease-checkpoint':
      case 'forget-members':
      case 'new-cluster':
        return null
    }
  }

  #operation(operation: Operation): Refusal {
    switch (operation.type) {
      case 'range':
        return this.read(operation.request)
      case 'put':
        return this.put(operation.request)
      case 'delete-range':
        return this.deleteRange(operation.request)
      case 'txn':
        return this.txn(operation.request)
    }
  }

  #mayAttach(lease: bigint): Refusal {
    if (this.#holds(ROOT)) return null
    return firstOf(this.#leases.keysOf(lease), (key) => this.#may('write', single(key)))
  }

  #may(type: 'read' | 'write', bounds: Bounds): Refusal {
    const auth = this.#auth
    if (!auth.enabled) return null
    const { user: name, revision } = this.#identity
    if (revision === 0) return 'USER_EMPTY'
    if (revision < auth.revision) return 'AUTH_REVISION_OLD'
    const user = auth.user(name)
    if (user === null) return 'PERMISSION_DENIED'
    if (user.roles.includes(ROOT)) return null
    return auth.permissionsOf(user)[type].covers(bounds) ? null : 'PERMISSION_DENIED'
  }

  #holds(role: string): boolean {
    return this.#auth.user(this.#identity.user)?.roles.includes(role) === true
  }
}

const NO_END = new Uint8Array(0)

function single(key: Key): Bounds {
  return { from: key, to: `${key}\0`, single: true }
}

function firstOf<T>(list: readonly T[], refusalOf: (each: T) => Refusal): Refusal {
  for (const each of list) {
    const refusal = refusalOf(each)
    if (refusal !== null) return refusal
  }
  return null
}
