import { boundsOf, keyOf } from './key.ts'
import { compareBytes, deleteRange, readRange } from './range.ts'
import type { Store } from './store.ts'
import { NO_REF } from './tree.ts'
import type {
  Compare,
  CompareOperator,
  KeyValue,
  KvErrorCode,
  KvFailure,
  Operation,
  OperationResult,
  PutRequest,
  PutResult,
  TxnRequest,
  TxnResult,
} from './types.ts'

/** The branch that each transaction takes, nested ones included. */
interface Path {
  readonly type: 'path'
  readonly succeeded: boolean
  readonly steps: readonly (Step | Path)[]
}

type Step = Exclude<Operation, { readonly type: 'txn' }>

/**
 * Carries out a transaction: all comparisons, also those of nested transactions, against the state
 * before it; then all that could fail on the way they lead; then, as nothing can fail any more, the
 * operations in order, each of which sees the effects of those before it.
 */
export function executeTxn(store: Store, request: TxnRequest): TxnResult | KvFailure {
  const path = checkedPath(store, request)
  if (path.type === 'failure') return path
  // etcd's storage knows the checks as a transaction of their own.
  store.counts.endTxn()
  return runChecked(store, path)
}

/** The same for a transaction of ranges alone. */
export function readTxn(store: Store, request: TxnRequest): TxnResult | KvFailure {
  const path = checkedPath(store, request)
  return path.type === 'failure' ? path : runChecked(store, path)
}

/** Whether no branch changes anything. As in etcd, a nested transaction counts as a change. */
export function isReadOnly(request: TxnRequest): boolean {
  const isRange = (operation: Operation): boolean => operation.type === 'range'
  return request.success.every(isRange) && request.failure.every(isRange)
}

/** Why a put would fail, or null: it asks to keep what is not there, or for a lease that is not there. */
export function checkPut(store: Store, request: PutRequest): KvErrorCode | null {
  if (request.ignoreValue || request.ignoreLease) {
    if (store.newest(keyOf(request.key)) === NO_REF) return 'KEY_NOT_FOUND'
  }
  return checkLease(store, request.lease)
}

/** Why nothing can be attached to a lease, or null. 0 is none, which is always there. */
export function checkLease(store: Store, lease: bigint): KvErrorCode | null {
  return lease === 0n || store.leases.has(lease) ? null : 'LEASE_NOT_FOUND'
}

/** Carries out a put that passed {@link checkPut}. */
export function put(store: Store, request: PutRequest): PutResult {
  const { ignoreValue, ignoreLease } = request
  const key = keyOf(request.key)
  const needsPrevious = request.prevKv || ignoreValue || ignoreLease
  if (needsPrevious) store.counts.ranges += 1
  const ref = needsPrevious ? store.newest(key) : NO_REF
  const previous = ref === NO_REF ? null : store.read(ref)
  // There was one before the transaction; if the transaction itself deleted it, nothing is kept.
  const kept = previous ?? MISSING
  const value = ignoreValue ? kept.value : request.value
  store.put({ key, value, lease: ignoreLease ? kept.lease : request.lease })
  store.counts.puts += 1
  store.counts.putBytes += key.length + value.length
  return { type: 'put', prevKv: request.prevKv ? previous : null, revision: store.readRevision }
}

function checkedPath(store: Store, request: TxnRequest): Path | KvFailure {
  const path = findPath(store, request)
  const code = checkPath(store, path)
  return code === null ? path : { type: 'failure', code }
}

function runChecked(store: Store, path: Path): TxnResult {
  const results = path.steps.map((step) => runStep(store, step))
  return { type: 'txn', succeeded: path.succeeded, results, revision: store.readRevision }
}

function findPath(store: Store, request: TxnRequest): Path {
  const succeeded = request.compare.every((compare) => holds(store, compare))
  const steps = (succeeded ? request.success : request.failure).map((operation) =>
    operation.type === 'txn' ? findPath(store, operation.request) : operation,
  )
  return { type: 'path', succeeded, steps }
}

function checkPath(store: Store, path: Path): KvErrorCode | null {
  for (const step of path.steps) {
    const code = checkStep(store, step)
    if (code !== null) return code
  }
  return null
}

function checkStep(store: Store, step: Step | Path): KvErrorCode | null {
  switch (step.type) {
    case 'range':
      return checkTxnRevision(store, step.request.revision)
    case 'put':
      if (step.request.ignoreValue || step.request.ignoreLease) store.counts.ranges += 1
      return checkPut(store, step.request)
    case 'delete-range':
      return null
    case 'path':
      return checkPath(store, step)
  }
}

/** Unlike a range on its own, one in a transaction takes only 0, and nothing less, for the newest. */
function checkTxnRevision(store: Store, revision: number): KvErrorCode | null {
  if (revision === 0) return null
  if (revision > store.revision) return 'FUTURE_REVISION'
  return revision < store.compactRevision ? 'COMPACTED' : null
}

/** The revision of a nested transaction is 0: only its operations carry theirs. */
function runPath(store: Store, path: Path): TxnResult {
  const results = path.steps.map((step) => runStep(store, step))
  return { type: 'txn', succeeded: path.succeeded, results, revision: 0 }
}

function runStep(store: Store, step: Step | Path): OperationResult {
  switch (step.type) {
    case 'range':
      store.counts.ranges += 1
      return readRange(store, step.request)
    case 'put':
      return put(store, step.request)
    case 'delete-range':
      return deleteRange(store, step.request)
    case 'path':
      return runPath(store, step)
  }
}

/** An interval without keys counts as one missing key, whose numbers are all 0. */
function holds(store: Store, compare: Compare): boolean {
  store.counts.ranges += 1
  const refs = store.select(boundsOf(compare), { revision: null, limit: Infinity })
  if (refs.length === 0) return compare.target.type !== 'value' && matches(MISSING, compare)
  const needsValue = compare.target.type === 'value'
  return refs.every((ref) => matches(needsValue ? store.read(ref) : store.readKey(ref), compare))
}

function matches(kv: KeyValue, compare: Compare): boolean {
  const { target, operator } = compare
  switch (target.type) {
    case 'version':
      return agrees(operator, kv.version - target.value)
    case 'create':
      return agrees(operator, kv.createRevision - target.value)
    case 'mod':
      return agrees(operator, kv.modRevision - target.value)
    case 'value':
      return agrees(operator, compareBytes(kv.value, target.value))
    case 'lease':
      return agrees(operator, kv.lease === target.value ? 0 : kv.lease > target.value ? 1 : -1)
  }
}

function agrees(operator: CompareOperator, difference: number): boolean {
  switch (operator) {
    case 'equal':
      return difference === 0
    case 'not-equal':
      return difference !== 0
    case 'greater':
      return difference > 0
    case 'less':
      return difference < 0
  }
}

const NOTHING = new Uint8Array(0)

const MISSING: KeyValue = {
  key: NOTHING,
  value: NOTHING,
  createRevision: 0,
  modRevision: 0,
  version: 0,
  lease: 0n,
}
