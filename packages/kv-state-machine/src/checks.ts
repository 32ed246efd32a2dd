import { boundsOf, type Key, keyOf } from './key.ts'
import { MAX_TXN_DEPTH } from './command-codec.ts'
import type {
  DeleteRangeRequest,
  KeyInterval,
  Operation,
  PutRequest,
  RangeRequest,
  TxnRequest,
} from './types.ts'

/** What etcd refuses before anything is proposed. */
export type KvCheckCode =
  | 'KEY_EMPTY'
  | 'VALUE_PROVIDED'
  | 'LEASE_PROVIDED'
  | 'TOO_MANY_OPS'
  | 'DUPLICATE_KEY'

export interface CheckOptions {
  /** How many comparisons or operations a branch may have, all levels of nesting together. */
  readonly maxOps: number
}

export function checkRange(request: RangeRequest): KvCheckCode | null {
  return request.key.length === 0 ? 'KEY_EMPTY' : null
}

export function checkPut(request: PutRequest): KvCheckCode | null {
  if (request.key.length === 0) return 'KEY_EMPTY'
  if (request.ignoreValue && request.value.length > 0) return 'VALUE_PROVIDED'
  return request.ignoreLease && request.lease !== 0n ? 'LEASE_PROVIDED' : null
}

export function checkDeleteRange(request: DeleteRangeRequest): KvCheckCode | null {
  return request.key.length === 0 ? 'KEY_EMPTY' : null
}

/** All levels first by their shape, then by their keys: in the order in which etcd looks. */
export function checkTxn(request: TxnRequest, options: CheckOptions): KvCheckCode | null {
  const code = checkShape(request, { maxOps: options.maxOps, depth: 1 })
  if (code !== null) return code
  const isFine = keysOf(request.success) !== null && keysOf(request.failure) !== null
  return isFine ? null : 'DUPLICATE_KEY'
}

interface Room extends CheckOptions {
  readonly depth: number
}

/** A nested transaction gets what the longest list of the outer one leaves. */
function checkShape(request: TxnRequest, room: Room): KvCheckCode | null {
  const { compare, success, failure } = request
  const longest = Math.max(compare.length, success.length, failure.length)
  if (longest > room.maxOps || room.depth > MAX_TXN_DEPTH) return 'TOO_MANY_OPS'
  if (compare.some(({ key }) => key.length === 0)) return 'KEY_EMPTY'
  const inner = { maxOps: room.maxOps - longest, depth: room.depth + 1 }
  for (const operation of [...success, ...failure]) {
    const code = checkOperation(operation, inner)
    if (code !== null) return code
  }
  return null
}

function checkOperation(operation: Operation, room: Room): KvCheckCode | null {
  switch (operation.type) {
    case 'range':
      return checkRange(operation.request)
    case 'put':
      return checkPut(operation.request)
    case 'delete-range':
      return checkDeleteRange(operation.request)
    case 'txn':
      return checkShape(operation.request, room)
  }
}

/** What a list of operations writes, whichever way its nested transactions go. */
interface Keys {
  readonly puts: ReadonlySet<Key>
  readonly deletes: readonly Interval[]
}

interface Interval {
  readonly from: Key
  readonly to: Key
}

/**
 * Collects what is put and deleted, or answers null if a key is put twice or put where something is
 * deleted. Like etcd, it takes the deletes of a list first, then nested transactions in order, then
 * the puts; so a nested put may come before a nested delete of its key, but not after it. The two
 * branches of one transaction may put the same key.
 */
function keysOf(operations: readonly Operation[]): Keys | null {
  const puts = new Set<Key>()
  const deletes: Interval[] = []
  const isFree = (key: Key): boolean => !puts.has(key) && !isIn(deletes, key)
  for (const operation of operations) {
    if (operation.type === 'delete-range') deletes.push(intervalOf(operation.request))
  }
  for (const operation of operations) {
    if (operation.type !== 'txn') continue
    const success = keysOf(operation.request.success)
    const failure = keysOf(operation.request.failure)
    if (success === null || failure === null) return null
    const nested = new Set([...success.puts, ...failure.puts])
    for (const key of nested) if (!isFree(key)) return null
    for (const key of nested) puts.add(key)
    deletes.push(...success.deletes, ...failure.deletes)
  }
  for (const operation of operations) {
    if (operation.type !== 'put') continue
    const key = keyOf(operation.request.key)
    if (!isFree(key)) return null
    puts.add(key)
  }
  return { puts, deletes }
}

function isIn(intervals: readonly Interval[], key: Key): boolean {
  return intervals.some(({ from, to }) => from <= key && key < to)
}

/** An end of one zero byte is taken at its word here, as etcd does: such a delete guards no key. */
function intervalOf(interval: KeyInterval): Interval {
  const { from, to } = boundsOf(interval)
  return { from, to: to ?? '\0' }
}
