/** Transactions of the client in the process. */
import type * as wire from '../wire.ts'
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

/** Whether what is stored is equal to, different from, greater or less than what is given. */
export type Comparison = '=' | '!=' | '>' | '<'

/**
 * A comparison with something about a key. A key that is not there has version, revisions and lease
 * 0, and no value that would compare with any.
 */
export type Condition = { readonly key: Bytes; readonly is?: Comparison } & (
  | { readonly version: number }
  | { readonly createRevision: number }
  | { readonly modRevision: number }
  | { readonly lease: bigint }
  | { readonly value: Bytes }
)

export type Operation =
  | { readonly put: Bytes; readonly value: Bytes; readonly lease?: bigint }
  | { readonly delete: Keys }
  | { readonly get: Keys }

export interface Txn {
  /** All of them must hold. Default: none, which holds. */
  readonly compare?: readonly Condition[]
  readonly success?: readonly Operation[]
  readonly failure?: readonly Operation[]
}

export interface TxnOutcome {
  /** Whether all conditions held, so that `success` was done and not `failure`. */
  readonly succeeded: boolean
  readonly revision: number
  /** One for each operation that was done: the pairs that a `get` found, none for others. */
  readonly results: readonly (readonly Pair[])[]
}

const RESULTS: Readonly<Record<Comparison, number>> = { '=': 0, '>': 1, '<': 2, '!=': 3 }

export function txnRequest({ compare = [], success = [], failure = [] }: Txn): object {
  return {
    compare: compare.map((condition) => ({
      key: bytesOf(condition.key),
      result: RESULTS[condition.is ?? '='],
      ...targetOf(condition),
    })),
    success: success.map(requestOp),
    failure: failure.map(requestOp),
  }
}

function targetOf(condition: Condition): object {
  if ('version' in condition) return { target: 0, version: condition.version }
  if ('createRevision' in condition) return { target: 1, create_revision: condition.createRevision }
  if ('modRevision' in condition) return { target: 2, mod_revision: condition.modRevision }
  if ('value' in condition) return { target: 3, value: bytesOf(condition.value) }
  return { target: 4, lease: int64(condition.lease) }
}

function requestOp(operation: Operation): object {
  if ('delete' in operation) return { request_delete_range: intervalOf(operation.delete) }
  if ('get' in operation) return { request_range: intervalOf(operation.get) }
  const { put, value, lease } = operation
  return { request_put: { key: bytesOf(put), value: bytesOf(value), lease: int64(lease) } }
}

export function txnOutcome({ header, succeeded, responses }: wire.TxnResponse): TxnOutcome {
  return {
    succeeded,
    revision: revisionOf(header),
    results: responses.map((response) =>
      'response_range' in response ? (response.response_range.kvs ?? []).map(pairOf) : [],
    ),
  }
}
