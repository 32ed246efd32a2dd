import { CodecError } from '@coracle/raft-core/codec'
import type { Key } from './key.ts'
import type { Lease } from './types.ts'

/** What a lease takes beside its keys, and what each attached key adds: an estimate. */
const LEASE_BYTES = 200
const ATTACHMENT_BYTES = 40

/** All leases at one moment. The records in it never change. */
export interface LeasesView {
  readonly renewals: number
  readonly leases: readonly Lease[]
}

/**
 * Who holds which keys. The way from a key to its lease is the newest version of the key, which
 * names it; the way back is kept here. The store sees to it that both always say the same.
 */
export class Leases {
  /** Records are replaced, never changed: a snapshot may hold them. */
  readonly #leases = new Map<bigint, Lease>()
  readonly #keys = new Map<bigint, Set<Key>>()
  /** Counts grants and renewals, so that each has a number of its own. */
  #renewals = 0
  #attachments = 0

  get size(): number {
    return this.#leases.size * LEASE_BYTES + this.#attachments * ATTACHMENT_BYTES
  }

  get(id: bigint): Lease | null {
    return this.#leases.get(id) ?? null
  }

  has(id: bigint): boolean {
    return this.#leases.has(id)
  }

  all(): Iterable<Lease> {
    return this.#leases.values()
  }

  /** In order: what is done to them must be done in the same order everywhere. */
  keysOf(id: bigint): readonly Key[] {
    return [...(this.#keys.get(id) ?? [])].sort()
  }

  grant(id: bigint, ttl: number): Lease {
    this.#renewals += 1
    return this.#set({ id, ttl, remainingTtl: ttl, renewal: this.#renewals })
  }

  /** Its whole time is ahead of it again. Answers null if there is no such lease. */
  renew(id: bigint): Lease | null {
    const lease = this.#leases.get(id)
    if (lease === undefined) return null
    this.#renewals += 1
    return this.#set({ ...lease, remainingTtl: lease.ttl, renewal: this.#renewals })
  }

  /** Time only passes: what is not less than was known is no news. */
  checkpoint(lease: Lease, remainingTtl: number): Lease {
    return remainingTtl < lease.remainingTtl ? this.#set({ ...lease, remainingTtl }) : lease
  }

  /** Takes away a lease that holds no keys any more. */
  remove(id: bigint): void {
    this.#leases.delete(id)
  }

  attach(id: bigint, key: Key): void {
    let keys = this.#keys.get(id)
    if (keys === undefined) this.#keys.set(id, (keys = new Set()))
    keys.add(key)
    this.#attachments += 1
  }

  detach(id: bigint, key: Key): void {
    const keys = this.#keys.get(id)
    if (keys === undefined || !keys.delete(key)) return
    if (keys.size === 0) this.#keys.delete(id)
    this.#attachments -= 1
  }

  freeze(): LeasesView {
    return { renewals: this.#renewals, leases: [...this.#leases.values()] }
  }

  /** Begins with leases from a snapshot. Their keys come with the changes of the store. */
  loadAt(renewals: number): void {
    this.#renewals = renewals
  }

  load(lease: Lease): void {
    const { id, ttl, remainingTtl, renewal } = lease
    const isPossible =
      id !== 0n && ttl >= 1 && remainingTtl <= ttl && renewal >= 1 && renewal <= this.#renewals
    if (!isPossible || this.#leases.has(id)) throw new CodecError('an impossible lease')
    this.#set(lease)
  }

  /** Once all is loaded: whatever a key names must be there. */
  checkLoaded(): void {
    for (const id of this.#keys.keys())
      if (!this.#leases.has(id)) throw new CodecError('a key belongs to a lease that is not there')
  }

  #set(lease: Lease): Lease {
    this.#leases.set(lease.id, lease)
    return lease
  }
}

/** Lease ids in ascending order: the same on every node. */
export function byId(a: Lease, b: Lease): number {
  return a.id < b.id ? -1 : 1
}
