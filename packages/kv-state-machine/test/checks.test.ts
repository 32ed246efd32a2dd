import { describe, expect, test } from 'vitest'
import {
  checkDeleteRange,
  checkPut,
  checkRange,
  checkTxn,
  MAX_TXN_DEPTH,
  type Operation,
  type TxnRequest,
} from '../src/index.ts'
import { bytes, compare, del, op, put, range, txn } from './requests.ts'

const check = (request: Partial<TxnRequest>, maxOps = 128): ReturnType<typeof checkTxn> =>
  checkTxn(txn(request), { maxOps })

describe('single requests', () => {
  test('an empty key is refused', () => {
    expect(checkRange(range(''))).toBe('KEY_EMPTY')
    expect(checkPut(put('', 'v', { ignoreValue: true }))).toBe('KEY_EMPTY')
    expect(checkDeleteRange(del('', 'z'))).toBe('KEY_EMPTY')
  })

  test('an ignored value or lease may not be given, and the value is looked at first', () => {
    expect(checkPut(put('a', 'v', { ignoreValue: true }))).toBe('VALUE_PROVIDED')
    expect(checkPut(put('a', '', { ignoreLease: true, lease: 1n }))).toBe('LEASE_PROVIDED')
    const both = { ignoreValue: true, ignoreLease: true, lease: 1n }
    expect(checkPut(put('a', 'v', both))).toBe('VALUE_PROVIDED')
    expect(checkPut(put('a', '', { ignoreValue: true, ignoreLease: true }))).toBeNull()
  })

  test('an interval that ends before it starts is fine', () => {
    expect(checkRange(range('b', 'a'))).toBeNull()
    expect(checkDeleteRange(del('b', 'a'))).toBeNull()
  })
})

describe('the shape of a transaction', () => {
  const versions = (count: number): TxnRequest['compare'] =>
    Array.from({ length: count }, () => compare('a', 'equal', { type: 'version', value: 0 }))
  const ranges = (count: number): Operation[] => Array.from({ length: count }, () => op.range('a'))

  test('the longest of its three lists counts', () => {
    const most = { compare: versions(3), success: ranges(3), failure: ranges(3) }
    expect(check(most, 3)).toBeNull()
    expect(check({ ...most, compare: versions(4) }, 3)).toBe('TOO_MANY_OPS')
    expect(check({ ...most, success: ranges(4) }, 3)).toBe('TOO_MANY_OPS')
    expect(check({ ...most, failure: ranges(4) }, 3)).toBe('TOO_MANY_OPS')
  })

  test('a nested transaction gets what the outer one leaves', () => {
    const nested = (count: number): Operation => op.txn({ success: ranges(count) })
    expect(check({ success: [nested(2)] }, 3)).toBeNull()
    expect(check({ success: [nested(3)] }, 3)).toBe('TOO_MANY_OPS')
    expect(check({ success: [...ranges(2), nested(1)] }, 3)).toBe('TOO_MANY_OPS')
    expect(check({ success: [...ranges(2), nested(0)] }, 3)).toBeNull()
  })

  test('the number of operations is looked at before the keys, and comparisons before operations', () => {
    expect(check({ success: [op.put(''), op.put('')] }, 1)).toBe('TOO_MANY_OPS')
    const request = {
      compare: [compare('', 'equal', { type: 'version', value: 0 })],
      success: [op.put('a', 'v', { ignoreValue: true })],
    }
    expect(check(request)).toBe('KEY_EMPTY')
    expect(check({ success: [op.put('a', 'v', { ignoreValue: true }), op.range('')] })).toBe(
      'VALUE_PROVIDED',
    )
  })

  test('keys that meet are looked for only when everything else is right', () => {
    const twice = [op.put('a'), op.put('a')]
    expect(check({ success: twice, failure: [op.range('')] })).toBe('KEY_EMPTY')
    expect(check({ success: twice })).toBe('DUPLICATE_KEY')
  })

  test('no transaction nests deeper than can be encoded, whatever the limit', () => {
    const nest = (levels: number): Operation =>
      op.txn({ success: levels > 1 ? [nest(levels - 1)] : [] })
    const most = { success: [nest(MAX_TXN_DEPTH - 1)] }
    expect(check(most, 10_000)).toBeNull()
    expect(check({ success: [nest(MAX_TXN_DEPTH)] }, 10_000)).toBe('TOO_MANY_OPS')
  })
})

describe('duplicate keys', () => {
  const duplicate = (...success: Operation[]): boolean => {
    expect(check({ failure: success })).toBe(check({ success }))
    return check({ success }) === 'DUPLICATE_KEY'
  }

  test('two puts of one key are refused, also across levels', () => {
    expect(duplicate(op.put('a'), op.put('a'))).toBe(true)
    expect(duplicate(op.put('a'), op.txn({ success: [op.put('a')] }))).toBe(true)
    expect(duplicate(op.put('a'), op.txn({ failure: [op.put('a')] }))).toBe(true)
    const nested = op.txn({ success: [op.put('a')] })
    expect(duplicate(nested, nested)).toBe(true)
    expect(duplicate(op.txn({ success: [nested] }), op.put('a'))).toBe(true)
    expect(duplicate(op.put('a'), op.put('b'))).toBe(false)
  })

  test('the two branches of one transaction may put the same key, for only one runs', () => {
    expect(duplicate(op.txn({ success: [op.put('a')], failure: [op.put('a')] }))).toBe(false)
    expect(check({ success: [op.put('a')], failure: [op.put('a')] })).toBeNull()
  })

  test('a put where the branch deletes is refused, before or after, also across levels', () => {
    expect(duplicate(op.del('a'), op.put('a'))).toBe(true)
    expect(duplicate(op.put('b'), op.del('a', 'c'))).toBe(true)
    expect(duplicate(op.put('c'), op.del('a', 'c'))).toBe(false)
    expect(duplicate(op.del('a', 'c'), op.txn({ failure: [op.put('b')] }))).toBe(true)
    expect(duplicate(op.put('b'), op.txn({ success: [op.del('a', 'c')] }))).toBe(true)
    expect(duplicate(op.txn({ success: [op.del('a')] }), op.txn({ success: [op.put('a')] }))).toBe(
      true,
    )
  })

  test('a nested put before a nested delete of its key is let through, as etcd lets it', () => {
    const puts = op.txn({ success: [op.put('a')] })
    expect(duplicate(puts, op.txn({ success: [op.del('a')] }))).toBe(false)
  })

  test('a delete without an end is not held against puts, as in etcd', () => {
    expect(duplicate(op.del('a', '\0'), op.put('b'))).toBe(false)
  })

  test('deletes may overlap, and a branch may read what it writes', () => {
    expect(duplicate(op.del('a', 'c'), op.del('b', 'd'))).toBe(false)
    expect(duplicate(op.put('a'), op.range('a'), op.range('a', 'z'))).toBe(false)
    expect(duplicate(op.txn({ success: [op.put('a')], failure: [op.del('a')] }))).toBe(false)
  })

  test('keys are compared by their bytes', () => {
    const key = Uint8Array.of(0xc3, 0xa9)
    const puts = [op.put('a'), { type: 'put' as const, request: { ...put(''), key } }]
    expect(duplicate(...puts)).toBe(false)
    expect(duplicate(...puts, op.put('\u00c3\u00a9'))).toBe(true)
    expect(bytes('\u00c3\u00a9')).toEqual(key)
  })
})
