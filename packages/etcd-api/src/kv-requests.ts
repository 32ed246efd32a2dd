/**
 * From the wire to the state machine: what a client asks, in the state machine's terms.
 *
 * The wire can say things that the state machine has no words for (an operation that is none, a
 * sort order that does not exist): these are refused here, as etcd refuses them.
 */
import type * as kv from '@coracle/kv-state-machine'
import { checkDeleteRange, checkPut, checkTxn } from '@coracle/kv-state-machine'
import * as errors from './errors.ts'
import { toBigInt, toSafeInteger } from './int64.ts'
import type * as wire from './wire.ts'

const NO_BYTES = new Uint8Array(0)

/** Absent bytes are an empty array of the codec's making. */
export function bytes(value: Uint8Array): Uint8Array {
  return value.length === 0 ? NO_BYTES : value
}

const SORT_ORDERS: readonly kv.SortOrder[] = ['none', 'ascend', 'descend']
const SORT_TARGETS: readonly kv.SortTarget[] = ['key', 'version', 'create', 'mod', 'value']

/** Throws `emptyKey` and `invalidSortOption`. */
export function rangeRequest(request: wire.RangeRequest): kv.RangeRequest {
  if (request.key.length === 0) throw errors.emptyKey
  const sortOrder = SORT_ORDERS[request.sort_order]
  const sortTarget = SORT_TARGETS[request.sort_target]
  if (sortOrder === undefined || sortTarget === undefined) throw errors.invalidSortOption
  return {
    key: request.key,
    rangeEnd: bytes(request.range_end),
    limit: toSafeInteger(request.limit),
    revision: toSafeInteger(request.revision),
    sortOrder,
    sortTarget,
    keysOnly: request.keys_only,
    countOnly: request.count_only,
    minModRevision: toSafeInteger(request.min_mod_revision),
    maxModRevision: toSafeInteger(request.max_mod_revision),
    minCreateRevision: toSafeInteger(request.min_create_revision),
    maxCreateRevision: toSafeInteger(request.max_create_revision),
  }
}

/** Throws `emptyKey`, `valueProvided` and `leaseProvided`. */
export function putRequest(request: wire.PutRequest): kv.PutRequest {
  const asked = {
    key: bytes(request.key),
    value: bytes(request.value),
    lease: toBigInt(request.lease),
    prevKv: request.prev_kv,
    ignoreValue: request.ignore_value,
    ignoreLease: request.ignore_lease,
  }
  errors.throwIf(checkPut(asked))
  return asked
}

/** Throws `emptyKey`. */
export function deleteRangeRequest(request: wire.DeleteRangeRequest): kv.DeleteRangeRequest {
  const { prev_kv: prevKv } = request
  const asked = { key: bytes(request.key), rangeEnd: bytes(request.range_end), prevKv }
  errors.throwIf(checkDeleteRange(asked))
  return asked
}

/**
 * Throws what is wrong with the first part that is wrong, and only then `duplicateKey`. Each list
 * may hold `maxOps`; a transaction inside has what the longest list around it leaves.
 */
export function txnRequest(request: wire.TxnRequest, maxOps: number): kv.TxnRequest {
  const asked = txnOf(request, maxOps)
  errors.throwIf(checkTxn(asked, { maxOps }))
  return asked
}

/** Throws `tooManyOperations` and `emptyKey`, and what its operations throw. */
function txnOf(request: wire.TxnRequest, maxOps: number): kv.TxnRequest {
  const { compare, success, failure } = request
  const longest = Math.max(compare.length, success.length, failure.length)
  if (longest > maxOps) throw errors.tooManyOperations
  for (const each of compare) if (each.key.length === 0) throw errors.emptyKey
  return {
    compare: compare.flatMap(compareOf),
    success: success.map((operation) => operationOf(operation, maxOps - longest)),
    failure: failure.map((operation) => operationOf(operation, maxOps - longest)),
  }
}

function operationOf(operation: wire.RequestOp, maxOps: number): kv.Operation {
  if (operation.request_range)
    return { type: 'range', request: rangeRequest(operation.request_range) }
  if (operation.request_put) return { type: 'put', request: putRequest(operation.request_put) }
  if (operation.request_delete_range)
    return { type: 'delete-range', request: deleteRangeRequest(operation.request_delete_range) }
  if (operation.request_txn) return { type: 'txn', request: txnOf(operation.request_txn, maxOps) }
  throw errors.keyNotFound
}

const OPERATORS: readonly kv.CompareOperator[] = ['equal', 'greater', 'less', 'not-equal']

/**
 * etcd takes operators and targets that do not exist. Such an operator holds for everything, but
 * for the value of a missing key, which satisfies nothing; such a target compares as equal. What
 * always holds is left out, and no version is less than 0.
 */
function compareOf(compare: wire.Compare): kv.Compare[] {
  const interval = { key: compare.key, rangeEnd: bytes(compare.range_end) }
  const operator = OPERATORS[compare.result]
  const target = targetOf(compare)
  const noVersion: kv.CompareTarget = { type: 'version', value: 0 }
  if (operator === undefined)
    return target?.type === 'value' ? [{ ...interval, operator: 'greater', target: noVersion }] : []
  if (target !== null) return [{ ...interval, operator, target }]
  return operator === 'equal' ? [] : [{ ...interval, operator: 'less', target: noVersion }]
}

/** The member of the union that the target calls for; if another one is set, this one is zero. */
function targetOf(compare: wire.Compare): kv.CompareTarget | null {
  switch (compare.target) {
    case 0:
      return { type: 'version', value: toSafeInteger(compare.version) }
    case 1:
      return { type: 'create', value: toSafeInteger(compare.create_revision) }
    case 2:
      return { type: 'mod', value: toSafeInteger(compare.mod_revision) }
    case 3:
      return { type: 'value', value: bytes(compare.value) }
    case 4:
      return { type: 'lease', value: toBigInt(compare.lease) }
    default:
      return null
  }
}

/** Only ranges on both sides: it is served as a read and never enters the log. */
export function isReadOnly(request: kv.TxnRequest): boolean {
  const isRange = (operation: kv.Operation): boolean => operation.type === 'range'
  return request.success.every(isRange) && request.failure.every(isRange)
}

/** Every range accepts a stale answer. Asked only of read-only transactions. */
export function isSerializable(request: wire.TxnRequest): boolean {
  const accepts = (operation: wire.RequestOp): boolean =>
    operation.request_range?.serializable === true
  return request.success.every(accepts) && request.failure.every(accepts)
}
