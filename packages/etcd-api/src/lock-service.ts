/** v3lockpb.Lock: a lock belongs to whoever comes first in the line under its name. */
import type { Call } from './call.ts'
import * as errors from './errors.ts'
import type { KvCalls } from './kv-calls.ts'
import { type Method, unary } from './method.ts'
import type { WaitingLine } from './waiting-line.ts'
import type * as wire from './wire.ts'

export function lockService(line: WaitingLine, kv: KvCalls): Record<string, Method> {
  return {
    Lock: unary((request: wire.LockRequest, call: Call) => lock(line, kv, request, call)),
    Unlock: unary(async ({ key }: wire.LockResponse, call: Call): Promise<wire.HeaderOnly> => {
      const { header } = await kv.deleteRange({ key }, call)
      return { header }
    }),
  }
}

const NOTHING = new Uint8Array(0)

/** The lease may have run out while its owner waited: what it waited for is then not its own. */
async function lock(
  line: WaitingLine,
  kv: KvCalls,
  { name, lease }: wire.LockRequest,
  call: Call,
): Promise<wire.LockResponse> {
  const place = await line.enter(name, lease, NOTHING, call)
  await line.untilFirst(place, call)
  const { key } = place
  const { header, kvs = [] } = await kv.range({ key }, call)
  if (kvs.length === 0) throw errors.sessionExpired
  return { header: header ?? place.header, key }
}
