import { describe, expect, test } from 'vitest'
import { kvStateMachine, type KvStateMachine, type RangeResult } from '../src/index.ts'
import {
  apply,
  applyCompact,
  applyDelete,
  applyPut,
  applyTxn,
  bytes,
  compare,
  op,
  pairs,
  range,
  read,
  text,
  txn,
} from './requests.ts'

const COMPACTED = { type: 'failure', code: 'COMPACTED' }
const FUTURE = { type: 'failure', code: 'FUTURE_REVISION' }
const KEY_NOT_FOUND = { type: 'failure', code: 'KEY_NOT_FOUND' }
const LEASE_NOT_FOUND = { type: 'failure', code: 'LEASE_NOT_FOUND' }

function filled(...keys: string[]): KvStateMachine {
  const machine = kvStateMachine()
  for (const key of keys) applyPut(machine, key, `v${key}`)
  return machine
}

function keys(result: RangeResult): string {
  return result.kvs.map((kv) => text(kv.key)).join(' ')
}

describe('revisions', () => {
  test('a fresh store is at revision 1 and the first write gets revision 2', () => {
    const machine = kvStateMachine()
    expect(machine.revision).toBe(1)
    expect(applyPut(machine, 'a')).toEqual({ type: 'put', prevKv: null, revision: 2 })
    expect(machine.revision).toBe(2)
  })

  test('a put counts versions up, keeps the create revision, and changes even what is the same', () => {
    const machine = filled('a', 'a', 'a')
    expect(read(machine, 'a').kvs).toMatchObject([
      { createRevision: 2, modRevision: 4, version: 3, lease: 0n },
    ])
  })

  test('a deleted key starts over with version 1 and a new create revision', () => {
    const machine = filled('a', 'a')
    applyDelete(machine, 'a')
    applyPut(machine, 'a')
    expect(read(machine, 'a').kvs).toMatchObject([
      { createRevision: 5, modRevision: 5, version: 1 },
    ])
  })

  test('deleting nothing succeeds and takes no revision', () => {
    const machine = filled('a')
    const nothing = { type: 'delete-range', deleted: 0, prevKvs: [], revision: 2 }
    expect(applyDelete(machine, 'b', 'z', { prevKv: true })).toEqual(nothing)
    expect(applyDelete(machine, 'z', 'a')).toEqual(nothing)
    expect(machine.revision).toBe(2)
  })

  test('a delete takes one revision for all its keys and answers them in key order', () => {
    const machine = filled('c', 'a', 'b')
    const result = applyDelete(machine, 'a', 'c', { prevKv: true })
    expect(result).toMatchObject({ deleted: 2, revision: 5 })
    expect(result.type === 'delete-range' && pairs({ kvs: result.prevKvs })).toEqual([
      'a=va',
      'b=vb',
    ])
    expect(machine.revision).toBe(5)
    expect(machine.keyCount).toBe(1)
  })

  test('what fails takes no revision', () => {
    const machine = filled('a')
    applyPut(machine, 'x', '', { ignoreValue: true })
    applyPut(machine, 'x', '', { lease: 5n })
    applyCompact(machine, 99)
    machine.apply([{ index: 1, term: 1, data: bytes('nonsense') }])
    expect(machine.revision).toBe(2)
  })

  test('a command that does not decode answers UNKNOWN_COMMAND', () => {
    const unknown = { type: 'failure', code: 'UNKNOWN_COMMAND' }
    const machine = kvStateMachine()
    for (const data of [new Uint8Array(0), bytes('\x02\x00'), bytes('\x01\xff')]) {
      expect(machine.apply([{ index: 1, term: 1, data }])).toEqual([unknown])
    }
  })
})

describe('range', () => {
  test('an empty end is the one key, a zero byte is no end, an end at or before the key is nothing', () => {
    const machine = filled('a', 'aa', 'b', 'c')
    expect(keys(read(machine, 'a'))).toBe('a')
    expect(keys(read(machine, 'aa', '\0'))).toBe('aa b c')
    expect(keys(read(machine, 'a', 'b'))).toBe('a aa')
    expect(keys(read(machine, 'b', 'b'))).toBe('')
    expect(read(machine, 'c', 'a')).toMatchObject({ kvs: [], count: 0, more: false })
    expect(keys(read(machine, '\0', '\0'))).toBe('a aa b c')
  })

  test('keys are ordered by their bytes, not as text', () => {
    const machine = filled('\xff', '\x7f', '\x80', 'Z', 'a', '\xc3\xa9')
    expect(keys(read(machine, '\0', '\0'))).toBe('Z a \x7f \x80 \xc3\xa9 \xff')
  })

  test('the key that is a single zero byte can be read alone', () => {
    const machine = filled('\0', 'a')
    expect(keys(read(machine, '\0'))).toBe('\0')
  })

  test('a limit cuts, more says so, and count is that of the whole interval', () => {
    const machine = filled('a', 'b', 'c')
    expect(read(machine, 'a', 'z', { limit: 2 })).toMatchObject({ more: true, count: 3 })
    expect(keys(read(machine, 'a', 'z', { limit: 2 }))).toBe('a b')
    expect(read(machine, 'a', 'z', { limit: 3 })).toMatchObject({ more: false, count: 3 })
    expect(keys(read(machine, 'a', 'z', { limit: -1 }))).toBe('a b c')
  })

  test('count counts neither the deleted nor what came later', () => {
    const machine = filled('a', 'b', 'c')
    applyDelete(machine, 'b')
    expect(read(machine, 'a', 'z', { limit: 1 }).count).toBe(2)
    expect(read(machine, 'a', 'z', { limit: 1, revision: 4 }).count).toBe(3)
    expect(read(machine, 'a', 'z', { limit: 1, revision: 3 }).count).toBe(2)
  })

  test('countOnly answers no pairs and never more', () => {
    const machine = filled('a', 'b')
    expect(read(machine, 'a', 'z', { countOnly: true, limit: 1 })).toEqual({
      type: 'range',
      kvs: [],
      more: false,
      count: 2,
      revision: 3,
    })
  })

  test('keysOnly leaves out the values, also when sorted by them', () => {
    const machine = kvStateMachine()
    applyPut(machine, 'a', '2')
    applyPut(machine, 'b', '1')
    const options = { keysOnly: true, sortTarget: 'value' } as const
    expect(pairs(read(machine, 'a', 'z', options))).toEqual(['b=', 'a='])
  })

  test('reads any revision that is not compacted, and the header is of the newest', () => {
    const machine = filled('a', 'b')
    applyPut(machine, 'a', 'new')
    applyDelete(machine, 'b')
    expect(pairs(read(machine, 'a', 'z', { revision: 3 }))).toEqual(['a=va', 'b=vb'])
    expect(pairs(read(machine, 'a', 'z', { revision: 1 }))).toEqual([])
    expect(read(machine, 'a', 'z', { revision: 2 })).toMatchObject({ revision: 5, count: 1 })
    expect(pairs(read(machine, 'a', 'z', { revision: -3 }))).toEqual(['a=new'])
  })

  test('a revision that is yet to come is refused', () => {
    const machine = filled('a')
    expect(machine.range(range('a', '', { revision: 3 }))).toEqual(FUTURE)
    expect(machine.range(range('a', '', { revision: 2 })).type).toBe('range')
  })

  test('sorts by each target, either way', () => {
    const machine = kvStateMachine()
    applyPut(machine, 'c', '1')
    applyPut(machine, 'a', '3')
    applyPut(machine, 'b', '2')
    applyPut(machine, 'c', '4')
    const by = (sortTarget: 'key' | 'version' | 'create' | 'mod' | 'value'): string[] =>
      (['ascend', 'descend'] as const).map((sortOrder) =>
        keys(read(machine, 'a', 'z', { sortTarget, sortOrder })),
      )
    expect(by('key')).toEqual(['a b c', 'c b a'])
    expect(by('version')).toEqual(['a b c', 'c a b'])
    expect(by('create')).toEqual(['c a b', 'b a c'])
    expect(by('mod')).toEqual(['a b c', 'c b a'])
    expect(by('value')).toEqual(['b a c', 'c a b'])
  })

  test('a sorted range is cut after it was sorted', () => {
    const machine = filled('c', 'b', 'a')
    const options = { sortTarget: 'create', sortOrder: 'descend', limit: 1 } as const
    expect(read(machine, 'a', 'z', options)).toMatchObject({ more: true, count: 3 })
    expect(keys(read(machine, 'a', 'z', options))).toBe('a')
    expect(keys(read(machine, 'a', 'z', { sortOrder: 'descend', limit: 2 }))).toBe('c b')
  })

  test('a sort target without an order ascends, but only what the limit let in by key', () => {
    const machine = filled('c', 'b', 'a')
    expect(keys(read(machine, 'a', 'z', { sortTarget: 'create' }))).toBe('c b a')
    expect(keys(read(machine, 'a', 'z', { sortTarget: 'create', limit: 1 }))).toBe('b')
  })

  test('filters drop by revision, before the limit and without changing count', () => {
    const machine = filled('a', 'b', 'c', 'a')
    const filtered = (options: Parameters<typeof range>[2]): string =>
      keys(read(machine, 'a', 'z', options))
    expect(filtered({ minModRevision: 4 })).toBe('a c')
    expect(filtered({ maxModRevision: 4 })).toBe('b c')
    expect(filtered({ minCreateRevision: 3 })).toBe('b c')
    expect(filtered({ maxCreateRevision: 3 })).toBe('a b')
    expect(read(machine, 'a', 'z', { minModRevision: 4, limit: 1 })).toMatchObject({
      more: true,
      count: 3,
    })
    // How an election looks for who came before.
    expect(
      filtered({ maxCreateRevision: 3, sortTarget: 'create', sortOrder: 'descend', limit: 1 }),
    ).toBe('b')
  })
})

describe('put', () => {
  test('prevKv is the pair as it was, or null', () => {
    const machine = kvStateMachine()
    expect(applyPut(machine, 'a', '1', { prevKv: true })).toMatchObject({ prevKv: null })
    const result = applyPut(machine, 'a', '2', { prevKv: true })
    expect(result.type === 'put' && result.prevKv).toMatchObject({
      value: bytes('1'),
      modRevision: 2,
      version: 1,
    })
  })

  test('ignoreValue keeps the value and is a change; ignoreLease keeps the lease', () => {
    const machine = filled('a')
    const options = { ignoreValue: true, ignoreLease: true }
    expect(applyPut(machine, 'a', '', options)).toMatchObject({ revision: 3 })
    expect(read(machine, 'a').kvs).toMatchObject([{ value: bytes('va'), version: 2, lease: 0n }])
  })

  test('ignoreValue and ignoreLease want a key that exists', () => {
    const machine = filled('a')
    applyDelete(machine, 'a')
    expect(applyPut(machine, 'a', '', { ignoreValue: true })).toEqual(KEY_NOT_FOUND)
    expect(applyPut(machine, 'a', '', { ignoreLease: true })).toEqual(KEY_NOT_FOUND)
  })

  test('an unknown lease is refused, and looked for before the key', () => {
    const machine = kvStateMachine()
    expect(applyPut(machine, 'a', '', { lease: 7n })).toEqual(LEASE_NOT_FOUND)
    expect(applyPut(machine, 'a', '', { lease: 7n, ignoreValue: true })).toEqual(LEASE_NOT_FOUND)
    expect(machine.keyCount).toBe(0)
  })
})

describe('transactions', () => {
  const branch = (machine: KvStateMachine, ...args: Parameters<typeof compare>): boolean => {
    const result = machine.readTxn(txn({ compare: [compare(...args)] }))
    return result.type === 'txn' && result.succeeded
  }

  test('no comparison is true, and several must all hold', () => {
    const machine = filled('a')
    const yes = compare('a', 'equal', { type: 'version', value: 1 })
    const no = compare('a', 'equal', { type: 'version', value: 2 })
    expect(applyTxn(machine, {})).toMatchObject({ succeeded: true, revision: 2 })
    expect(applyTxn(machine, { compare: [yes, yes] })).toMatchObject({ succeeded: true })
    expect(applyTxn(machine, { compare: [yes, no] })).toMatchObject({ succeeded: false })
  })

  test('each operator on each target compares what is stored with what is given', () => {
    const machine = filled('x', 'a', 'a')
    const targets = [
      ['version', 2],
      ['create', 3],
      ['mod', 4],
    ] as const
    for (const [type, stored] of targets) {
      for (const value of [stored - 1, stored, stored + 1]) {
        const target = { type, value }
        expect(branch(machine, 'a', 'equal', target)).toBe(stored === value)
        expect(branch(machine, 'a', 'not-equal', target)).toBe(stored !== value)
        expect(branch(machine, 'a', 'greater', target)).toBe(stored > value)
        expect(branch(machine, 'a', 'less', target)).toBe(stored < value)
      }
    }
    expect(branch(machine, 'a', 'equal', { type: 'value', value: bytes('va') })).toBe(true)
    expect(branch(machine, 'a', 'greater', { type: 'value', value: bytes('v') })).toBe(true)
    expect(branch(machine, 'a', 'less', { type: 'value', value: bytes('\xff') })).toBe(true)
    expect(branch(machine, 'a', 'equal', { type: 'lease', value: 0n })).toBe(true)
    expect(branch(machine, 'a', 'less', { type: 'lease', value: 2n ** 62n })).toBe(true)
  })

  test('on a missing key a value comparison is false whatever the operator, and numbers are 0', () => {
    const machine = kvStateMachine()
    for (const operator of ['equal', 'not-equal', 'greater', 'less'] as const) {
      expect(branch(machine, 'a', operator, { type: 'value', value: bytes('') })).toBe(false)
    }
    for (const type of ['version', 'create', 'mod'] as const) {
      expect(branch(machine, 'a', 'equal', { type, value: 0 })).toBe(true)
      expect(branch(machine, 'a', 'less', { type, value: 1 })).toBe(true)
      expect(branch(machine, 'a', 'greater', { type, value: 0 })).toBe(false)
    }
    expect(branch(machine, 'a', 'not-equal', { type: 'lease', value: 3n })).toBe(true)
  })

  test('a comparison over an interval must hold for every key, and an empty one is a missing key', () => {
    const machine = filled('a', 'b', 'b')
    const version = (value: number) => ({ type: 'version', value }) as const
    expect(branch(machine, 'a', 'greater', version(0), 'z')).toBe(true)
    expect(branch(machine, 'a', 'equal', version(1), 'z')).toBe(false)
    expect(branch(machine, 'a', 'greater', version(0), '\0')).toBe(true)
    expect(branch(machine, 'x', 'equal', version(0), 'z')).toBe(true)
    expect(branch(machine, 'x', 'greater', version(0), 'z')).toBe(false)
  })

  test('all changes of a transaction share one revision', () => {
    const machine = filled('x')
    applyTxn(machine, { success: [op.put('a'), op.put('b'), op.del('x')] })
    expect(machine.revision).toBe(3)
    expect(read(machine, 'a', 'c').kvs).toMatchObject([{ modRevision: 3 }, { modRevision: 3 }])
  })

  test('a transaction that changes nothing takes no revision, also with a delete of nothing', () => {
    const machine = filled('a')
    expect(applyTxn(machine, { success: [op.del('x'), op.range('a')] })).toMatchObject({
      revision: 2,
      results: [{ revision: 2, deleted: 0 }, { revision: 2 }],
    })
    expect(applyTxn(machine, { failure: [op.put('a')] })).toMatchObject({ revision: 2 })
    expect(machine.revision).toBe(2)
  })

  test('operations see those before them, and each answers with its own revision', () => {
    const machine = filled('a', 'b')
    const result = applyTxn(machine, {
      success: [
        op.range('a', 'z'),
        op.del('x'),
        op.put('c', 'new', { prevKv: true }),
        op.range('a', 'z'),
        op.range('a', 'z', { revision: 3 }),
        op.del('a'),
        op.del('x'),
        op.range('a', 'z', { countOnly: true }),
        op.txn({ success: [op.range('c'), op.put('d')] }),
      ],
    })
    expect(result).toMatchObject({
      revision: 4,
      results: [
        { type: 'range', revision: 3, count: 2 },
        { type: 'delete-range', revision: 3, deleted: 0 },
        { type: 'put', revision: 4, prevKv: null },
        { type: 'range', revision: 4, count: 3 },
        { type: 'range', revision: 4, count: 2 },
        { type: 'delete-range', revision: 4, deleted: 1 },
        { type: 'delete-range', revision: 4, deleted: 0 },
        { type: 'range', revision: 4, count: 2 },
        { type: 'txn', revision: 0, succeeded: true, results: [{ revision: 4 }, { revision: 4 }] },
      ],
    })
  })

  test('nested comparisons are made against the state before the whole transaction', () => {
    const machine = kvStateMachine()
    const missing = compare('a', 'equal', { type: 'version', value: 0 })
    applyTxn(machine, {
      success: [
        op.put('a', 'first'),
        op.txn({ compare: [missing], success: [op.put('b', 'yes')], failure: [op.put('b', 'no')] }),
      ],
    })
    expect(pairs(read(machine, 'a', 'z'))).toEqual(['a=first', 'b=yes'])
  })

  test('whatever fails on the way is found before the first change, in the order of the operations', () => {
    const machine = filled('a', 'b', 'c')
    applyCompact(machine, 3)
    const before = machine.hash()
    const fails = (...rest: Parameters<typeof op.txn>[0]['success'] & object): unknown =>
      applyTxn(machine, { success: [op.put('a', 'lost'), op.del('b'), ...rest] })
    expect(fails(op.range('a', '', { revision: 5 }))).toEqual(FUTURE)
    expect(fails(op.range('a', '', { revision: 2 }))).toEqual(COMPACTED)
    expect(fails(op.put('x', '', { ignoreValue: true }))).toEqual(KEY_NOT_FOUND)
    expect(fails(op.put('x', '', { lease: 1n }))).toEqual(LEASE_NOT_FOUND)
    expect(fails(op.put('x', '', { lease: 1n, ignoreValue: true }))).toEqual(KEY_NOT_FOUND)
    expect(fails(op.txn({ success: [op.range('a', '', { revision: 2 })] }))).toEqual(COMPACTED)
    const both = [op.range('a', '', { revision: 5 }), op.put('x', '', { ignoreValue: true })]
    expect(fails(...both)).toEqual(FUTURE)
    expect(machine.hash()).toBe(before)
    expect(machine.revision).toBe(4)
  })

  test('what would fail on the way not taken does not matter', () => {
    const machine = kvStateMachine()
    const failure = [op.range('a', '', { revision: 99 }), op.put('x', '', { lease: 1n })]
    expect(applyTxn(machine, { success: [op.put('a')], failure })).toMatchObject({ revision: 2 })
  })

  test('a revision below 0 inside a transaction counts as compacted, as in etcd', () => {
    const machine = filled('a', 'b')
    const request = { success: [op.range('a', '', { revision: -1 })] }
    expect(applyTxn(machine, request)).toMatchObject({ results: [{ count: 1 }] })
    applyCompact(machine, 2)
    expect(applyTxn(machine, request)).toEqual(COMPACTED)
    expect(machine.readTxn(txn(request))).toEqual(COMPACTED)
  })

  test('a transaction that only reads can be read locally, and no other', () => {
    const machine = filled('a', 'b')
    expect(machine.readTxn(txn({ success: [op.range('a'), op.range('b')] }))).toMatchObject({
      type: 'txn',
      succeeded: true,
      revision: 3,
      results: [{ count: 1, revision: 3 }, { count: 1 }],
    })
    expect(() => machine.readTxn(txn({ failure: [op.put('a')] }))).toThrow(TypeError)
    expect(() => machine.readTxn(txn({ success: [op.txn({})] }))).toThrow(TypeError)
  })
})

describe('compaction', () => {
  test('Compact(0) succeeds once on a fresh store, whose compacted revision is -1', () => {
    const machine = kvStateMachine()
    expect(machine.compactRevision).toBe(-1)
    expect(applyCompact(machine, -1)).toEqual(COMPACTED)
    expect(applyCompact(machine, 0)).toEqual({ type: 'compact', revision: 1 })
    expect(applyCompact(machine, 0)).toEqual(COMPACTED)
    expect(machine.compactRevision).toBe(0)
  })

  test('up to what was compacted answers COMPACTED, above the newest FUTURE_REVISION', () => {
    const machine = filled('a', 'b', 'c')
    expect(applyCompact(machine, 5)).toEqual(FUTURE)
    expect(applyCompact(machine, 3)).toEqual({ type: 'compact', revision: 4 })
    expect(applyCompact(machine, 3)).toEqual(COMPACTED)
    expect(applyCompact(machine, 2)).toEqual(COMPACTED)
    expect(applyCompact(machine, 4)).toEqual({ type: 'compact', revision: 4 })
  })

  test('reading at the compacted revision works and below it does not', () => {
    const machine = filled('a', 'a', 'b', 'a')
    applyCompact(machine, 3)
    expect(machine.range(range('a', '', { revision: 2 }))).toEqual(COMPACTED)
    expect(read(machine, 'a', 'z', { revision: 3 }).kvs).toMatchObject([{ version: 2 }])
    expect(keys(read(machine, 'a', 'z', { revision: 4 }))).toBe('a b')
    expect(read(machine, 'a').kvs).toMatchObject([{ version: 3, createRevision: 2 }])
  })

  test('of each key the newest version up to there stays, unless it is an earlier tombstone', () => {
    const machine = filled('a', 'a', 'b', 'c')
    applyDelete(machine, 'b')
    applyPut(machine, 'd')
    applyCompact(machine, 7)
    expect(pairs(read(machine, 'a', 'z', { revision: 7 }))).toEqual(['a=va', 'c=vc', 'd='])
    // a at 3, c at 5 and d at 7 are all that is left.
    const other = kvStateMachine()
    expect(machine.sizeInUse - other.sizeInUse).toBeLessThan(250)
  })

  test('versions and create revisions go on after the history before them is gone', () => {
    const machine = filled('a', 'a', 'a')
    applyCompact(machine, 4)
    applyPut(machine, 'a')
    expect(read(machine, 'a').kvs).toMatchObject([{ version: 4, createRevision: 2 }])
  })

  test('a key deleted before the compaction can be created again', () => {
    const machine = filled('a')
    applyDelete(machine, 'a')
    applyCompact(machine, 3)
    expect(keys(read(machine, 'a'))).toBe('')
    applyPut(machine, 'a')
    applyCompact(machine, 4)
    expect(read(machine, 'a').kvs).toMatchObject([{ version: 1, createRevision: 4 }])
  })

  test('compaction takes no revision', () => {
    const machine = filled('a', 'b')
    applyCompact(machine, 3)
    expect(machine.revision).toBe(3)
  })
})

describe('members', () => {
  test('what a member published last is known, ordered by id, and takes no revision', () => {
    const machine = kvStateMachine()
    const publish = (id: string, name: string): unknown =>
      apply(machine, {
        type: 'publish-member',
        request: { id, name, clientUrls: [`http://${name}:2379`] },
      })
    expect(publish('b', 'two')).toEqual({ type: 'publish-member', revision: 1 })
    publish('a', 'one')
    publish('b', 'three')
    expect(machine.members().map(({ id, name }) => `${id} ${name}`)).toEqual(['a one', 'b three'])
  })
})
