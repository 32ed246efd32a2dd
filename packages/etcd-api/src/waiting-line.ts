/**
 * Who comes first among the keys under a name, which is how etcd's clients lock and elect: whoever
 * created the oldest key that is still there. The line works with other clients that keep to the same
 * keys, whether they ask this service or put them themselves.
 */
import type { Call } from './call.ts'
import type { ServiceContext } from './context.ts'
import { followKeys } from './follow-keys.ts'
import { type Int64, toBigInt, toSafeInteger } from './int64.ts'
import type { KvCalls } from './kv-calls.ts'
import type * as wire from './wire.ts'

/** A place in the line: a key that lives as long as its lease. */
export interface Place {
  readonly prefix: Uint8Array
  readonly key: Uint8Array
  /** The revision that created the key: smaller ones come first. */
  readonly revision: number
  readonly lease: Int64
  /** False if the key was there already. */
  readonly isNew: boolean
  /** What the key holds. */
  readonly value: Uint8Array
  readonly header: wire.ResponseHeader
}

export interface WaitingLine {
  /** The lease that the client brought, or one of 60 s if it brought none. */
  leaseOr(lease: Int64, call: Call): Promise<Int64>
  /** Takes a place, or finds the one that this lease has. Without a lease it gets one of 60 s. */
  enter(name: Uint8Array, lease: Int64, value: Uint8Array, call: Call): Promise<Place>
  /**
   * Resolves when nobody comes before. If the wait ends in any other way, the key is deleted: a
   * client that does not know of its place would hold up all who come after.
   */
  untilFirst(place: Place, call: Call): Promise<void>
  /** Who is first, or null. */
  first(
    name: Uint8Array,
    call: Call,
  ): Promise<{ header: wire.ResponseHeader; kv: wire.KeyValue } | null>
}

const ASCEND = 1
const DESCEND = 2
const BY_CREATION = 2
const CREATE = 1
/** What etcd grants to clients that bring no lease. Nobody renews it. */
const DEFAULT_TTL = 60

export function waitingLine(context: ServiceContext, kv: KvCalls): WaitingLine {
  const untilNobodyBefore = async ({ prefix, revision }: Place, call: Call): Promise<void> => {
    for (;;) {
      const { header, kvs = [] } = await kv.range(
        {
          ...interval(prefix),
          limit: 1,
          sort_order: DESCEND,
          sort_target: BY_CREATION,
          max_create_revision: revision - 1,
        },
        call,
      )
      const [before] = kvs
      if (before === undefined) return
      await untilDeleted(context, call, before.key, toSafeInteger(header?.revision ?? 0))
    }
  }
  const leaseOr: WaitingLine['leaseOr'] = async (lease, call) =>
    toBigInt(lease) === 0n ? (await kv.leaseGrant({ TTL: DEFAULT_TTL }, call)).ID : lease
  return {
    leaseOr,
    async enter(name, lease, value, call) {
      const owned = await leaseOr(lease, call)
      const prefix = concat(name, ascii('/'))
      const key = concat(prefix, ascii(toBigInt(owned).toString(16)))
      const answer = await kv.txn(
        {
          compare: [{ target: CREATE, key, create_revision: 0 }],
          success: [{ request_put: { key, value, lease: owned } }],
          failure: [{ request_range: { key } }],
        },
        call,
      )
      const { header, succeeded } = answer
      const found = answer.responses[0]?.response_range?.kvs?.[0]
      const revision = toSafeInteger((succeeded ? header.revision : found?.create_revision) ?? 0)
      const held = succeeded ? value : (found?.value ?? value)
      return { prefix, key, revision, lease: owned, isNew: succeeded, value: held, header }
    },
    async untilFirst(place, call) {
      try {
        await untilNobodyBefore(place, call)
      } catch (error) {
        await kv.deleteRange({ key: place.key }, evenIfOver(call)).catch(() => {})
        throw error
      }
    },
    async first(name, call) {
      const { header = {}, kvs = [] } = await kv.range(
        {
          ...interval(concat(name, ascii('/'))),
          limit: 1,
          sort_order: ASCEND,
          sort_target: BY_CREATION,
        },
        call,
      )
      return kvs[0] === undefined ? null : { header, kv: kvs[0] }
    },
  }
}

async function untilDeleted(
  context: ServiceContext,
  call: Call,
  key: Uint8Array,
  revision: number,
): Promise<void> {
  const single = { key, rangeEnd: new Uint8Array(0), startRevision: revision + 1 }
  for await (const event of followKeys(context, call, single)) if (event.type === 'delete') return
}

/** The same client, for what is to be done even though it does not wait any more. */
export function evenIfOver(call: Call): Call {
  return {
    cancelled: false,
    commonName: call.commonName,
    metadata: (name) => call.metadata(name),
    onceOver: () => {},
  }
}

/** All keys that begin with this prefix, which ends in a slash. */
export function interval(prefix: Uint8Array): { key: Uint8Array; range_end: Uint8Array } {
  const end = prefix.slice()
  end[end.length - 1] = (end[end.length - 1] ?? 0) + 1
  return { key: prefix, range_end: end }
}

export function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

export function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both
}
