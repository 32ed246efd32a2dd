/**
 * The KV and Lease services as a client inside the process calls them, with the token of the client
 * on whose behalf: what that one may not do is refused here as well.
 */
import type { Call } from './call.ts'
import type { Rpc } from './method.ts'
import { codecOf } from './schema.ts'
import type * as wire from './wire.ts'

export interface KvCalls {
  range(request: Partial<wire.RangeRequest>, call: Call): Promise<wire.RangeResponse>
  deleteRange(request: Partial<wire.DeleteRangeRequest>, call: Call): Promise<wire.HeaderOnly>
  txn(request: PartialTxn, call: Call): Promise<TxnAnswer>
  leaseGrant(request: Partial<wire.LeaseGrantRequest>, call: Call): Promise<wire.LeaseGrantResponse>
}

export interface PartialTxn {
  readonly compare: readonly Partial<wire.Compare>[]
  readonly success: readonly PartialOp[]
  readonly failure?: readonly PartialOp[]
}

type PartialOp =
  | { readonly request_range: Partial<wire.RangeRequest> }
  | { readonly request_put: Partial<wire.PutRequest> }
  | { readonly request_delete_range: Partial<wire.DeleteRangeRequest> }

export interface TxnAnswer {
  readonly header: wire.ResponseHeader
  readonly succeeded: boolean
  readonly responses: readonly { readonly response_range?: wire.RangeResponse }[]
}

/** `rpcs` may still be filled when this is called; it is looked at with every call. */
export function kvCalls(rpcs: ReadonlyMap<string, Rpc>): KvCalls {
  const caller = <Response>(path: string) => {
    const type = `etcdserverpb.${path.slice(path.indexOf('/') + 1)}Request`
    const codec = codecOf<object>(type)
    return async (request: object, call: Call): Promise<Response> => {
      const rpc = rpcs.get(`/etcdserverpb.${path}`)
      if (rpc?.kind !== 'unary') throw new TypeError(`nobody serves ${path}`)
      // Through its bytes, for what is left out has its zero value then.
      return (await rpc.call(codec.decode(codec.encode(request)), call)) as Response
    }
  }
  return {
    range: caller('KV/Range'),
    deleteRange: caller('KV/DeleteRange'),
    txn: caller('KV/Txn'),
    leaseGrant: caller('Lease/LeaseGrant'),
  }
}
