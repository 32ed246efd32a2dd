/** Leases of the client in the process. */
import type { Environment } from '@coracle/raft-core'
import { leaseNotFound } from '../errors.ts'
import { fromBigInt, toSafeInteger } from '../int64.ts'
import type * as wire from '../wire.ts'
import type { Caller } from './caller.ts'

/** Kept alive until it is disposed, which revokes it: its keys are gone then. */
export interface Lease extends AsyncDisposable {
  readonly id: bigint
  /** In seconds. */
  readonly ttl: number
  /** Aborts when the lease has ended, whoever ended it. */
  readonly ended: AbortSignal
}

/** It is renewed so many times in its life, so that one lost renewal does not end it. */
const RENEWALS_PER_TTL = 3

export function grantLease(
  caller: Caller,
  environment: Environment,
  { id, ttl }: Pick<Lease, 'id' | 'ttl'>,
  metadata: Readonly<Record<string, string>>,
): Lease {
  const ended = new AbortController()
  const stream = caller.open<wire.LeaseId, wire.LeaseKeepAliveResponse>(
    'etcdserverpb.Lease/LeaseKeepAlive',
    { metadata },
  )
  const end = (reason: unknown): void => {
    stopRenewing()
    stream[Symbol.dispose]()
    ended.abort(reason)
  }
  const stopRenewing = environment.every((ttl * 1_000) / RENEWALS_PER_TTL, () =>
    stream.send({ ID: fromBigInt(id) }),
  )
  const follow = async (): Promise<void> => {
    for (;;) {
      const answer = await stream.next()
      if (answer === null || toSafeInteger(answer.TTL) === 0) return end(leaseNotFound)
    }
  }
  follow().catch(end)
  let revoked: Promise<void> | undefined
  const revoke = async (): Promise<void> => {
    if (ended.signal.aborted) return
    end(leaseNotFound)
    const request = { ID: fromBigInt(id) }
    // What cannot be revoked ends by itself, for nobody renews it any more.
    await caller.call('etcdserverpb.Lease/LeaseRevoke', request, { metadata }).catch(() => {})
  }
  return {
    id,
    ttl,
    ended: ended.signal,
    [Symbol.asyncDispose]: () => (revoked ??= revoke()),
  }
}
