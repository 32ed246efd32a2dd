import type { Store } from './store.ts'
import type {
  KvFailure,
  Lease,
  LeaseCheckpointRequest,
  LeaseCheckpointResult,
  LeaseGrantRequest,
  LeaseGrantResult,
  LeaseRenewRequest,
  LeaseRenewResult,
  LeaseRevokeRequest,
  LeaseRevokeResult,
} from './types.ts'

/**
 * Told of every change to a lease as it is applied, on every member; none may throw. What a member
 * learns this way is when, by its own clock, a lease was last renewed.
 */
export interface LeaseObserver {
  /** All of its time is ahead of it: it was granted, or renewed. */
  renewed(lease: Lease): void
  /** A leader wrote down how much of its time is left. */
  checkpointed(lease: Lease): void
  ended(id: bigint): void
  /** A snapshot took the place of all there was: look at everything anew. */
  restored(): void
}

export function grantLease(
  store: Store,
  { id, ttl }: LeaseGrantRequest,
  observer: LeaseObserver,
): LeaseGrantResult | KvFailure {
  if (store.leases.has(id)) return { type: 'failure', code: 'LEASE_EXISTS' }
  observer.renewed(store.leases.grant(id, ttl))
  return { type: 'lease-grant', revision: store.readRevision }
}

/** The lease ends, and all of its keys with it, in one revision; none at all if it had no keys. */
export function revokeLease(
  store: Store,
  { id, renewal }: LeaseRevokeRequest,
  observer: LeaseObserver,
): LeaseRevokeResult | KvFailure {
  const lease = store.leases.get(id)
  if (lease === null) return { type: 'failure', code: 'LEASE_NOT_FOUND' }
  if (renewal !== 0 && renewal !== lease.renewal) {
    return { type: 'lease-revoke', revoked: false, revision: store.readRevision }
  }
  const keys = store.leases.keysOf(id)
  for (const key of keys) store.delete(store.newest(key))
  store.counts.deletes += keys.length
  store.leases.remove(id)
  observer.ended(id)
  return { type: 'lease-revoke', revoked: true, revision: store.readRevision }
}

export function renewLeases(
  store: Store,
  { ids }: LeaseRenewRequest,
  observer: LeaseObserver,
): LeaseRenewResult {
  const ttls = ids.map((id) => {
    const lease = store.leases.renew(id)
    if (lease === null) return 0
    observer.renewed(lease)
    return lease.ttl
  })
  return { type: 'lease-renew', ttls, revision: store.readRevision }
}

export function checkpointLeases(
  store: Store,
  { checkpoints }: LeaseCheckpointRequest,
  observer: LeaseObserver,
): LeaseCheckpointResult {
  for (const { id, renewal, remainingTtl } of checkpoints) {
    const lease = store.leases.get(id)
    if (lease === null || lease.renewal !== renewal) continue
    const changed = store.leases.checkpoint(lease, remainingTtl)
    if (changed !== lease) observer.checkpointed(changed)
  }
  return { type: 'lease-checkpoint', revision: store.readRevision }
}

/** Passes everything on to whoever follows at the time. */
export class LeaseObservers implements LeaseObserver {
  readonly #observers = new Set<LeaseObserver>()

  add(observer: LeaseObserver): () => void {
    this.#observers.add(observer)
    return () => {
      this.#observers.delete(observer)
    }
  }

  renewed(lease: Lease): void {
    for (const observer of this.#observers) observer.renewed(lease)
  }

  checkpointed(lease: Lease): void {
    for (const observer of this.#observers) observer.checkpointed(lease)
  }

  ended(id: bigint): void {
    for (const observer of this.#observers) observer.ended(id)
  }

  restored(): void {
    for (const observer of this.#observers) observer.restored()
  }
}
