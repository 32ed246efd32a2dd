/** A client in the same process as the server: etcd's API in a few calls, typed, without gRPC. */
import type { Environment } from '@coracle/raft-core'
import { toBigInt, toSafeInteger } from '../int64.ts'
import type { Rpc } from '../method.ts'
import type * as wire from '../wire.ts'
import { type Caller, inProcessCaller } from './caller.ts'
import type { InProcessOptions } from './in-process-call.ts'
import { grantLease, type Lease } from './lease.ts'
import { type Txn, txnRequest, type TxnOutcome, txnOutcome } from './txn.ts'
import {
  type Bytes,
  bytesOf,
  int64,
  intervalOf,
  type Keys,
  type Pair,
  pairOf,
  revisionOf,
} from './values.ts'
import { watchKeys, type WatchedEvent, type WatchOptions } from './watch.ts'

export interface ReadOptions extends InProcessOptions {
  /** As of this revision. Default: the newest. */
  readonly revision?: number
  /** Answered from what this member has applied, without asking the cluster. Default: no. */
  readonly serializable?: boolean
}

export interface RangeOptions extends ReadOptions {
  /** At most this many pairs. Default: all. */
  readonly limit?: number
  readonly keysOnly?: boolean
}

export interface RangeAnswer {
  readonly pairs: readonly Pair[]
  /** How many there are, whatever the limit. */
  readonly count: number
  readonly more: boolean
  readonly revision: number
}

export interface PutOptions extends InProcessOptions {
  /** Its id: the key ends with it. */
  readonly lease?: bigint
}

/** Every call rejects with an EtcdError (`code` is gRPC's), or with the reason of its signal. */
export interface EtcdClient extends Pick<Caller, 'call'> {
  /** The pair, or null if there is none. */
  get(key: Bytes, options?: ReadOptions): Promise<Pair | null>
  range(keys: Keys, options?: RangeOptions): Promise<RangeAnswer>
  put(key: Bytes, value: Bytes, options?: PutOptions): Promise<{ readonly revision: number }>
  delete(
    keys: Keys,
    options?: InProcessOptions,
  ): Promise<{ readonly revision: number; readonly deleted: number }>
  /** Compares, then does one thing or another, as one step. */
  txn(txn: Txn, options?: InProcessOptions): Promise<TxnOutcome>
  /**
   * Every change from now on, or from a revision. It has begun when the promise of the first `next`
   * is made. Ends when it is left or its signal aborts; throws if the past it asks for is compacted.
   */
  watch(keys: Keys, options?: WatchOptions): AsyncIterable<WatchedEvent>
  /** Grants a lease of so many seconds, which is kept alive until it is disposed. */
  lease(ttl: number, options?: InProcessOptions): Promise<Lease>
}

export function etcdClient(rpcs: ReadonlyMap<string, Rpc>, environment: Environment): EtcdClient {
  const caller = inProcessCaller(rpcs)
  const range = async (keys: Keys, options: RangeOptions = {}): Promise<RangeAnswer> => {
    const { limit = 0, revision = 0, serializable = false, keysOnly = false } = options
    const request = { ...intervalOf(keys), limit, revision, serializable, keys_only: keysOnly }
    const answer = await caller.call<wire.RangeResponse>('etcdserverpb.KV/Range', request, options)
    return {
      pairs: (answer.kvs ?? []).map(pairOf),
      count: toSafeInteger(answer.count ?? 0),
      more: answer.more ?? false,
      revision: revisionOf(answer.header),
    }
  }
  return {
    call: (method, request, options) => caller.call(method, request, options),
    range,
    async get(key, options = {}) {
      const { pairs } = await range(key, options)
      return pairs[0] ?? null
    },
    async put(key, value, options = {}) {
      const request = { key: bytesOf(key), value: bytesOf(value), lease: int64(options.lease) }
      const { header } = await caller.call<wire.PutResponse>(
        'etcdserverpb.KV/Put',
        request,
        options,
      )
      return { revision: revisionOf(header) }
    },
    async delete(keys, options) {
      const { header, deleted } = await caller.call<wire.DeleteRangeResponse>(
        'etcdserverpb.KV/DeleteRange',
        intervalOf(keys),
        options,
      )
      return { revision: revisionOf(header), deleted: toSafeInteger(deleted) }
    },
    async txn(txn, options) {
      const request = txnRequest(txn)
      return txnOutcome(
        await caller.call<wire.TxnResponse>('etcdserverpb.KV/Txn', request, options),
      )
    },
    watch: (keys, options) => watchKeys(caller, keys, options),
    async lease(ttl, options) {
      const granted = await caller.call<wire.LeaseGrantResponse>(
        'etcdserverpb.Lease/LeaseGrant',
        { TTL: ttl },
        options,
      )
      const { ID, TTL } = granted
      const lease = { id: toBigInt(ID), ttl: toSafeInteger(TTL) }
      return grantLease(caller, environment, lease, options?.metadata ?? {})
    },
  }
}
