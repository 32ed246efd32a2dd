/** etcdserverpb.Lease: keys that live as long as somebody says so. */
import { encodeCommand } from '@coracle/kv-state-machine'
import { answerInOrder } from './answer-in-order.ts'
import type { Cancellable } from './call.ts'
import type { ServiceContext } from './context.ts'
import * as errors from './errors.ts'
import type { Permit } from './gate.ts'
import { fromBigInt, toBigInt, toSafeInteger } from './int64.ts'
import { outcome } from './outcome.ts'
import { leaseClock, type LeaseClock, type TimedLease } from './lease-clock.ts'
import { lessor } from './lessor.ts'
import { duplex, type Method, unary } from './method.ts'
import { quota } from './quota.ts'
import { renewals, type Renewals } from './renewals.ts'
import { requestIds, type RequestIds } from './request-ids.ts'
import type * as wire from './wire.ts'

/** The service, and what goes on behind it: leases end by themselves as long as it is not disposed. */
export interface LeaseService extends Disposable {
  readonly methods: Record<string, Method>
  /** How many leases this member has ended as the leader. */
  readonly expired: number
}

export function leaseService(context: ServiceContext): LeaseService {
  const { stateMachine, environment, memberId } = context.options
  const clock = leaseClock(stateMachine, environment)
  const leader = lessor(context.options, clock)
  const batches = renewals(context)
  const ids = requestIds(memberId, () => environment.random())
  return {
    methods: {
      LeaseGrant: unary(grant(context, ids)),
      LeaseRevoke: unary(revoke(context)),
      LeaseKeepAlive: duplex(keepAlive(context, batches)),
      LeaseTimeToLive: unary(timeToLive(context, clock)),
      LeaseLeases: unary(() => leases(context, clock)),
    },
    get expired() {
      return leader.expired
    },
    [Symbol.dispose]() {
      batches[Symbol.dispose]()
      leader[Symbol.dispose]()
      clock[Symbol.dispose]()
    },
  }
}

/** In seconds: etcd's limit, by which the nanoseconds of a lease fit into 63 bits. */
const MOST_TTL = 9_000_000_000
/** What etcd reckons that a lease takes. */
const LEASE_COST_BYTES = 64

/** Too short a time is lengthened: a lease must outlive the election of a leader to renew it. */
function grant(context: ServiceContext, ids: RequestIds) {
  const { electionTimeoutMs } = context.options
  const room = quota(context)
  const leastTtl = Math.ceil((1.5 * electionTimeoutMs) / 1_000)
  return async (
    request: wire.LeaseGrantRequest,
    call: Cancellable,
  ): Promise<wire.LeaseGrantResponse> => {
    room.check(LEASE_COST_BYTES)
    const asked = toSafeInteger(request.TTL)
    if (asked > MOST_TTL) throw errors.leaseTtlTooLarge
    const ttl = Math.max(asked, leastTtl)
    const chosen = toBigInt(request.ID)
    for (;;) {
      const id = chosen === 0n ? ids.next() : chosen
      const command = encodeCommand({ type: 'lease-grant', request: { id, ttl } })
      const result = await context.propose(command, call)
      // Nobody asked for this very id, so another will do.
      const isTaken = result.type === 'failure' && result.code === 'LEASE_EXISTS'
      if (isTaken && chosen === 0n) continue
      const { revision } = outcome(result, 'lease-grant')
      return { header: context.header(revision), ID: fromBigInt(id), TTL: ttl }
    }
  }
}

function revoke(context: ServiceContext) {
  return async (request: wire.LeaseId, call: Cancellable): Promise<wire.HeaderOnly> => {
    const asked = { id: toBigInt(request.ID), renewal: 0 }
    const command = encodeCommand({ type: 'lease-revoke', request: asked })
    const { revision } = outcome(await context.propose(command, call), 'lease-revoke')
    return { header: context.header(revision) }
  }
}

/** As in etcd, the header says how things were before the renewal, and no lease is a time of 0. */
function keepAlive(context: ServiceContext, batches: Renewals) {
  const answer = async ({ ID }: wire.LeaseId): Promise<wire.LeaseKeepAliveResponse> => {
    const header = context.header(context.options.stateMachine.revision)
    return { header, ID, TTL: await batches.renew(toBigInt(ID)) }
  }
  return (call: wire.LeaseKeepAliveCall, permit: Permit<wire.LeaseId>): void => {
    answerInOrder(call, (request) => {
      const refusal = permit(request)
      if (refusal === null) return answer(request)
      return refusal.then((error) => {
        if (error !== null) throw error
        return answer(request)
      })
    })
  }
}

function timeToLive(context: ServiceContext, clock: LeaseClock) {
  const { stateMachine } = context.options
  return async (
    request: wire.LeaseTimeToLiveRequest,
    call: Cancellable,
  ): Promise<wire.LeaseTimeToLiveResponse> => {
    await context.readBarrier(call)
    const id = toBigInt(request.ID)
    const header = context.header(stateMachine.revision)
    const timed = clock.get(id)
    if (timed === null) return { header, ID: request.ID, TTL: -1, grantedTTL: 0, keys: [] }
    const keys = request.keys ? stateMachine.keysOfLease(id) : []
    const TTL = remainingSeconds(context, timed)
    return { header, ID: request.ID, TTL, grantedTTL: timed.lease.ttl, keys }
  }
}

/** Whole seconds. The grace that a lease has after a change of leader is not the client's to rely on. */
function remainingSeconds(context: ServiceContext, { lease, deadline }: TimedLease): number {
  const remaining = Math.trunc((deadline - context.options.environment.now()) / 1_000)
  return Math.min(Math.max(remaining, 0), lease.ttl)
}

/** What this member knows, without asking anybody; what ends first comes first. */
function leases(context: ServiceContext, clock: LeaseClock): wire.LeaseLeasesResponse {
  const header = context.header(context.options.stateMachine.revision)
  const timed = [...clock.all()].sort((a, b) => a.deadline - b.deadline)
  return { header, leases: timed.map(({ lease }) => ({ ID: fromBigInt(lease.id) })) }
}
