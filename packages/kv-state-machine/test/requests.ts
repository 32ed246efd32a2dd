import type {
  Compare,
  CompareOperator,
  CompareTarget,
  DeleteRangeRequest,
  KvCommand,
  KvResult,
  KvStateMachine,
  Operation,
  PutRequest,
  RangeRequest,
  RangeResult,
  TxnRequest,
} from '../src/index.ts'
import { encodeCommand } from '../src/index.ts'

/** Bytes of a text, one per character. */
export function bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0))
}

export function text(of: Uint8Array): string {
  return String.fromCharCode(...of)
}

/** The request for one key, or for [key, end); `'\0'` is no end. */
export function range(
  key: string,
  end: string = '',
  options: Partial<RangeRequest> = {},
): RangeRequest {
  return {
    key: bytes(key),
    rangeEnd: bytes(end),
    limit: 0,
    revision: 0,
    sortOrder: 'none',
    sortTarget: 'key',
    keysOnly: false,
    countOnly: false,
    minModRevision: 0,
    maxModRevision: 0,
    minCreateRevision: 0,
    maxCreateRevision: 0,
    ...options,
  }
}

export function put(
  key: string,
  value: string = '',
  options: Partial<PutRequest> = {},
): PutRequest {
  return {
    key: bytes(key),
    value: bytes(value),
    lease: 0n,
    prevKv: false,
    ignoreValue: false,
    ignoreLease: false,
    ...options,
  }
}

export function del(
  key: string,
  end: string = '',
  options: Partial<DeleteRangeRequest> = {},
): DeleteRangeRequest {
  return { key: bytes(key), rangeEnd: bytes(end), prevKv: false, ...options }
}

export function txn(request: Partial<TxnRequest>): TxnRequest {
  return { compare: [], success: [], failure: [], ...request }
}

export function compare(
  key: string,
  operator: CompareOperator,
  target: CompareTarget,
  end: string = '',
): Compare {
  return { key: bytes(key), rangeEnd: bytes(end), operator, target }
}

export const op = {
  range: (...args: Parameters<typeof range>): Operation => ({
    type: 'range',
    request: range(...args),
  }),
  put: (...args: Parameters<typeof put>): Operation => ({ type: 'put', request: put(...args) }),
  del: (...args: Parameters<typeof del>): Operation => ({
    type: 'delete-range',
    request: del(...args),
  }),
  txn: (request: Partial<TxnRequest>): Operation => ({ type: 'txn', request: txn(request) }),
}

/** Applies one command. */
export function apply(machine: KvStateMachine, command: KvCommand): KvResult {
  return machine.apply([{ index: 1, term: 1, data: encodeCommand(command) }])[0]!
}

export function applyPut(machine: KvStateMachine, ...args: Parameters<typeof put>): KvResult {
  return apply(machine, { type: 'put', request: put(...args) })
}

export function applyDelete(machine: KvStateMachine, ...args: Parameters<typeof del>): KvResult {
  return apply(machine, { type: 'delete-range', request: del(...args) })
}

export function applyTxn(machine: KvStateMachine, request: Partial<TxnRequest>): KvResult {
  return apply(machine, { type: 'txn', request: txn(request) })
}

export function applyCompact(machine: KvStateMachine, revision: number): KvResult {
  return apply(machine, { type: 'compact', request: { revision } })
}

/** A range that must succeed. */
export function read(machine: KvStateMachine, ...args: Parameters<typeof range>): RangeResult {
  const result = machine.range(range(...args))
  if (result.type === 'failure') throw new Error(`the range failed: ${result.code}`)
  return result
}

/** The pairs of a range as `key=value`. */
export function pairs(result: { readonly kvs: RangeResult['kvs'] }): string[] {
  return result.kvs.map((kv) => `${text(kv.key)}=${text(kv.value)}`)
}
