import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Inflight } from '../src/protocol/inflight.ts'
import {
  becomeProbe,
  becomeReplicate,
  becomeSnapshot,
  createProgress,
} from '../src/protocol/progress.ts'

describe('Inflight', () => {
  const operation = fc.oneof(
    { weight: 3, arbitrary: fc.record({ push: fc.nat(3), bytes: fc.nat(100) }) },
    { weight: 2, arbitrary: fc.record({ acknowledge: fc.integer({ min: -3, max: 3 }) }) },
    { weight: 1, arbitrary: fc.record({ clear: fc.constant(true) }) },
  )

  test('is a list of what was sent and not acknowledged, in messages and in bytes', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.array(operation, { maxLength: 60 }),
        (capacity, operations) => {
          const inflight = new Inflight(capacity)
          let list: { readonly last: number; readonly bytes: number }[] = []
          let last = 0
          for (const op of operations) {
            if ('push' in op) {
              if (list.length === capacity) continue
              last += op.push
              inflight.push(last, op.bytes)
              list.push({ last, bytes: op.bytes })
            } else if ('acknowledge' in op) {
              const index = last + op.acknowledge
              inflight.acknowledge(index)
              list = list.filter((message) => message.last > index)
            } else {
              inflight.clear()
              list = []
            }
            expect(inflight.count).toBe(list.length)
            expect(inflight.bytes).toBe(list.reduce((sum, { bytes }) => sum + bytes, 0))
            expect(inflight.full).toBe(list.length === capacity)
          }
        },
      ),
    )
  })

  test('takes no more than it has room for', () => {
    const inflight = new Inflight(1)
    inflight.push(1, 1)
    expect(() => inflight.push(2, 1)).toThrow('not full')
  })
})

describe('Progress', () => {
  test.each([
    ['probe', (peer: ReturnType<typeof createProgress>) => becomeProbe(peer, 3)],
    ['replicate', becomeReplicate],
    ['snapshot', becomeSnapshot],
  ] as const)('nothing is on the way to one that comes to %s, not even bytes', (state, become) => {
    const peer = createProgress('b', 9, 4)
    peer.matchIndex = 4
    peer.inflight.push(5, 100)
    peer.probing = true
    peer.fetching = 7
    peer.sentCommit = 8
    become(peer)
    expect(peer).toMatchObject({ state, probing: false, fetching: 0, snapshotIndex: 0 })
    expect([peer.inflight.count, peer.inflight.bytes]).toEqual([0, 0])
    // What was sent may be lost, so that it has to be said again.
    expect(peer.sentCommit).toBe(4)
  })

  test('what matches is never probed again', () => {
    const peer = createProgress('b', 9, 4)
    peer.matchIndex = 6
    becomeProbe(peer, 2)
    expect(peer.nextIndex).toBe(7)
    becomeReplicate(peer)
    expect(peer.nextIndex).toBe(7)
  })
})
