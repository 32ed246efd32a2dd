/** v3electionpb.Election: the leader is whoever comes first in the line under the election's name. */
import type { Call } from './call.ts'
import type { ServiceContext } from './context.ts'
import * as errors from './errors.ts'
import { followKeys } from './follow-keys.ts'
import { toSafeInteger } from './int64.ts'
import type { KvCalls } from './kv-calls.ts'
import { keyValue } from './kv-responses.ts'
import { type Method, serverStream, unary } from './method.ts'
import { ascii, concat, interval, type WaitingLine } from './waiting-line.ts'
import type * as wire from './wire.ts'

export function electionService(
  context: ServiceContext,
  line: WaitingLine,
  kv: KvCalls,
): Record<string, Method> {
  return {
    Campaign: unary((request: wire.CampaignRequest, call: Call) =>
      campaign(line, kv, request, call),
    ),
    Proclaim: unary(({ leader, value }: wire.LeaderKeyRequest, call: Call) => {
      if (!leader) throw errors.noLeaderGiven
      return proclaimAnew(line, kv, { leader, value }, call)
    }),
    Leader: unary(
      async ({ name }: wire.CampaignRequest, call: Call): Promise<wire.LeaderResponse> => {
        const first = await line.first(name, call)
        if (first === null) throw errors.electionNoLeader
        return first
      },
    ),
    Observe: serverStream(({ name }: wire.CampaignRequest, call: Call) =>
      observe(context, line, name, call),
    ),
    Resign: unary(
      async ({ leader }: wire.LeaderKeyRequest, call: Call): Promise<wire.HeaderOnly> => {
        if (!leader) throw errors.noLeaderGiven
        const { header } = await kv.txn(
          { compare: [isStill(leader)], success: [{ request_delete_range: { key: leader.key } }] },
          call,
        )
        return { header }
      },
    ),
  }
}

const CREATE = 1

/** The key is the one that was created when its owner won, and not one that came after it. */
function isStill({ key, rev }: wire.LeaderKey): Partial<wire.Compare> {
  return { target: CREATE, key, create_revision: rev }
}

async function campaign(
  line: WaitingLine,
  kv: KvCalls,
  request: wire.CampaignRequest,
  call: Call,
): Promise<wire.CampaignResponse> {
  const { name, lease, value } = request
  const place = await line.enter(name, lease, value, call)
  const leader = { name, key: place.key, rev: place.revision, lease: place.lease }
  // Whoever campaigns again under the same lease may want to say something else.
  if (!sameBytes(place.value, value)) await proclaim(kv, leader, value, call)
  await line.untilFirst(place, call)
  return { header: place.header, leader }
}

/**
 * For a client that names its key and no lease: without one the key would outlive its owner, and
 * nobody else would ever lead.
 */
async function proclaimAnew(
  line: WaitingLine,
  kv: KvCalls,
  { leader, value }: { readonly leader: wire.LeaderKey; readonly value: Uint8Array },
  call: Call,
): Promise<wire.HeaderOnly> {
  const lease = await line.leaseOr(leader.lease, call)
  return proclaim(kv, { ...leader, lease }, value, call)
}

async function proclaim(
  kv: KvCalls,
  leader: wire.LeaderKey,
  value: Uint8Array,
  call: Call,
): Promise<wire.HeaderOnly> {
  const { key, lease } = leader
  const { succeeded, header } = await kv.txn(
    { compare: [isStill(leader)], success: [{ request_put: { key, value, lease } }] },
    call,
  )
  if (!succeeded) throw errors.electionNotLeader
  return { header }
}

/** Every leader, and all that each proclaims, from the present one on; waits while there is none. */
async function* observe(
  context: ServiceContext,
  line: WaitingLine,
  name: Uint8Array,
  call: Call,
): AsyncGenerator<wire.LeaderResponse> {
  const { stateMachine } = context.options
  for (;;) {
    const first = await line.first(name, call)
    if (first === null) {
      await untilSomebodyComes(context, name, stateMachine.revision, call)
      continue
    }
    yield first
    const startRevision = toSafeInteger(first.header.revision ?? 0) + 1
    const single = { key: first.kv.key, rangeEnd: new Uint8Array(0), startRevision }
    for await (const event of followKeys(context, call, single)) {
      if (event.type === 'delete') break
      yield { header: context.header(event.kv.modRevision), kv: keyValue(event.kv) }
    }
  }
}

/** Who comes between the look and this is seen too: it begins with what the look did not see. */
async function untilSomebodyComes(
  context: ServiceContext,
  name: Uint8Array,
  revision: number,
  call: Call,
): Promise<void> {
  const { key, range_end: rangeEnd } = interval(concat(name, ascii('/')))
  for await (const event of followKeys(context, call, {
    key,
    rangeEnd,
    startRevision: revision + 1,
  }))
    if (event.type === 'put') return
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at])
}
