import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  decodeCommand,
  encodeCommand,
  kvStateMachine,
  type KvCommand,
  type KvStateMachine,
  type Operation,
  type RangeRequest,
  type TxnRequest,
} from '../src/index.ts'
import { Model } from './model.ts'
import { apply, bytes, range as rangeRequest } from './requests.ts'

// Few keys and small numbers, so that requests meet each other; one key is a prefix of another,
// and one has bytes that are not ASCII.
const key = fc.constantFrom('a', 'aa', 'b', 'c', '\xff\x80').map(bytes)
const end = fc.constantFrom('', '', '', '\0', 'b', 'd', '\xff\xff').map(bytes)
const value = fc.constantFrom('', '1', '2', '\xfe').map(bytes)
const revision = fc.oneof(fc.constant(0), fc.integer({ min: -2, max: 40 }))
const small = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: 0, max: 20 }))
const rarely = fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, fc.constant(true))

const range: fc.Arbitrary<RangeRequest> = fc.record({
  key,
  rangeEnd: end,
  limit: fc.integer({ min: -1, max: 3 }),
  revision,
  sortOrder: fc.constantFrom('none', 'ascend', 'descend'),
  sortTarget: fc.constantFrom('key', 'version', 'create', 'mod', 'value'),
  keysOnly: rarely,
  countOnly: rarely,
  minModRevision: small,
  maxModRevision: small,
  minCreateRevision: small,
  maxCreateRevision: small,
})
const leaseId = fc.constantFrom(5n, -(2n ** 63n), 2n ** 63n - 1n)
const put = fc.record({
  key,
  value,
  lease: fc.oneof({ weight: 4, arbitrary: fc.constant(0n) }, leaseId),
  prevKv: fc.boolean(),
  ignoreValue: rarely,
  ignoreLease: rarely,
})
const del = fc.record({ key, rangeEnd: end, prevKv: fc.boolean() })
const compare = fc.record({
  key,
  rangeEnd: end,
  operator: fc.constantFrom('equal', 'greater', 'less', 'not-equal'),
  target: fc.oneof(
    fc.record({
      type: fc.constantFrom('version', 'create', 'mod'),
      value: fc.integer({ min: -1, max: 5 }),
    }),
    fc.record({ type: fc.constant('value'), value }),
    fc.record({ type: fc.constant('lease'), value: fc.constantFrom(0n, -1n, 5n) }),
  ),
})
const { txn } = fc.letrec<{ txn: TxnRequest; operation: Operation }>((tie) => ({
  txn: fc.record({
    compare: fc.array(compare, { maxLength: 2 }),
    success: fc.array(tie('operation'), { maxLength: 3 }),
    failure: fc.array(tie('operation'), { maxLength: 3 }),
  }),
  operation: fc.oneof(
    { maxDepth: 3, depthIdentifier: 'txn' },
    fc.record({ type: fc.constant('put'), request: put }),
    fc.record({ type: fc.constant('range'), request: range }),
    fc.record({ type: fc.constant('delete-range'), request: del }),
    fc.record({ type: fc.constant('txn'), request: tie('txn') }),
  ),
}))
const renewal = fc.integer({ min: 0, max: 8 })
const leaseCommand: fc.Arbitrary<KvCommand> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('lease-grant'),
      request: fc.record({ id: leaseId, ttl: fc.integer({ min: 1, max: 9 }) }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('lease-revoke'),
      request: fc.record({ id: leaseId, renewal }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('lease-renew'),
      request: fc.record({ ids: fc.array(leaseId, { maxLength: 3 }) }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('lease-checkpoint'),
      request: fc.record({
        checkpoints: fc.array(
          fc.record({ id: leaseId, renewal, remainingTtl: fc.integer({ min: 0, max: 9 }) }),
          { maxLength: 3 },
        ),
      }),
    }),
  },
)
const command: fc.Arbitrary<KvCommand> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant('put'), request: put }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('delete-range'), request: del }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('txn'), request: txn }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('compact'), request: fc.record({ revision }) }),
  },
  { weight: 4, arbitrary: leaseCommand },
)
const step = fc.oneof(
  { weight: 12, arbitrary: fc.record({ type: fc.constant('apply'), command }) },
  { weight: 6, arbitrary: fc.record({ type: fc.constant('range'), request: range }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('take') }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('restore') }) },
)

// From all at once to as late as can be.
const pace = fc.constantFrom({}, { sweepAtOnce: 0, sweepPerCommand: 1 }, { sweepAtOnce: 2 })

describe('the engine against a list of all versions', { timeout: 60_000 }, () => {
  test('every answer is the same, at any revision, through compactions, snapshots and restores', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 60, size: 'max' }),
        pace,
        async (steps, options) => {
          let machine = kvStateMachine(options)
          let model = new Model()
          let taken = { model: model.copy(), chunks: machine.snapshot() }
          for (const next of steps) {
            if (next.type === 'apply') {
              expect(apply(machine, next.command)).toEqual(model.apply(next.command))
            } else if (next.type === 'range') {
              expect(machine.range(next.request)).toEqual(model.range(next.request))
            } else if (next.type === 'take') {
              taken = { model: model.copy(), chunks: machine.snapshot() }
            } else {
              const restored = kvStateMachine(options)
              await restored.restore(taken.chunks)
              machine = restored
              model = taken.model
              taken = { model: model.copy(), chunks: machine.snapshot() }
            }
          }
          expectSame(machine, model)
        },
      ),
      { numRuns: 400 },
    )
  })

  test('a command is the same after encoding and decoding', () => {
    fc.assert(
      fc.property(command, (original) => {
        expect(decodeCommand(encodeCommand(original))).toEqual(original)
      }),
      { numRuns: 1000 },
    )
  })

  test('an altered command is refused by its bytes or carried out as another, and never throws', () => {
    fc.assert(
      fc.property(command, fc.nat(), fc.nat(255), fc.nat(), (original, at, byte, cut) => {
        const data = encodeCommand(original).slice()
        data[at % data.length] = byte
        const machine = kvStateMachine()
        for (const altered of [data, data.subarray(0, cut % (data.length + 1))]) {
          const results = machine.apply([{ index: 1, term: 1, data: altered }])
          expect(results).toHaveLength(1)
        }
      }),
      { numRuns: 2000 },
    )
  })
})

function expectSame(machine: KvStateMachine, model: Model): void {
  expect(machine.revision).toBe(model.revision)
  expect(machine.compactRevision).toBe(model.compactRevision)
  for (let at = 0; at <= model.revision + 1; at++) {
    for (const limit of [0, 1]) {
      const request = rangeRequest('\0', '\0', { revision: at, limit })
      expect(machine.range(request)).toEqual(model.range(request))
    }
  }
  expect(machine.leases()).toEqual(model.leases.toSorted((a, b) => (a.id < b.id ? -1 : 1)))
  for (const lease of model.leases) {
    expect(machine.lease(lease.id)).toEqual(lease)
    const keys = model.attached(lease.id).map((version) => version.key)
    expect(machine.keysOfLease(lease.id)).toEqual(keys)
  }
  const all = model.range(rangeRequest('\0', '\0'))
  expect(all).toMatchObject({ count: machine.keyCount })
}
