import { describe, expect, test } from 'vitest'
import { kvStateMachine, type KvStateMachine, type KvStateMachineOptions } from '../src/index.ts'
import { applyCompact, applyDelete, applyPut, applyTxn, op } from './requests.ts'
import { opened, watch, watchRequest } from './watchers.ts'

/** a=1 (2), b=1 (3), a=2 (4), -a (5). */
function filled(options: KvStateMachineOptions = {}): KvStateMachine {
  const machine = kvStateMachine(options)
  applyPut(machine, 'a', '1')
  applyPut(machine, 'b', '1')
  applyPut(machine, 'a', '2')
  applyDelete(machine, 'a')
  return machine
}

describe('what a watcher is told', () => {
  test('of its key alone, while the command is applied', () => {
    const machine = kvStateMachine()
    const { stream, turns } = opened(machine)
    const a = watch(stream, watchRequest('a'))
    applyPut(machine, 'a', '1')
    applyPut(machine, 'b', '1')
    applyDelete(machine, 'a')
    expect(a.events).toEqual(['2 a=1', '4 -a'])
    expect(a.batches.map(({ revision }) => revision)).toEqual([2, 4])
    expect(turns.waiting).toBe(0)
  })

  test.each([
    ['an interval, its end left out', 'a', 'c', ['2 a=1', '3 b=1', '4 a=2', '5 -a']],
    ['everything from a key on', 'aa', '\0', ['3 b=1', '6 c=1']],
    ['an interval that ends where it begins', 'a', 'a', []],
  ])('of %s', (_, key, end, expected) => {
    const live = kvStateMachine()
    const { stream, turns } = opened(live)
    const told = watch(stream, watchRequest(key, end))
    applyPut(live, 'a', '1')
    applyPut(live, 'b', '1')
    applyPut(live, 'a', '2')
    applyDelete(live, 'a')
    applyPut(live, 'c', '1')
    expect(told.events).toEqual(expected)
    const late = watch(stream, watchRequest(key, end, { startRevision: 1 }))
    turns.takeAll()
    expect(late.events).toEqual(expected)
  })

  test('Atomic: all changes of a transaction at once, in their order', () => {
    const machine = filled()
    const { stream, turns } = opened(machine)
    const all = watch(stream, watchRequest('\0', '\0'))
    applyTxn(machine, { success: [op.put('z', '1'), op.del('b'), op.put('c', '1')] })
    expect(all.batches).toHaveLength(1)
    expect(all.events).toEqual(['6 z=1', '6 -b', '6 c=1'])
    const late = watch(stream, watchRequest('\0', '\0', { startRevision: 6 }))
    turns.takeAll()
    expect(late.batches).toEqual(all.batches)
  })

  test('stream by stream, however the watchers of several streams came to be', () => {
    const machine = kvStateMachine()
    const [x, y] = [opened(machine).stream, opened(machine).stream]
    const order: string[] = []
    for (const name of ['x1', 'y1', 'x2', 'y2', 'x3'])
      watch(name.startsWith('x') ? x : y, watchRequest('a'), ({ revision }) =>
        order.push(`${revision} ${name}`),
      )
    applyPut(machine, 'a', '1')
    applyPut(machine, 'a', '2')
    const each = ['x1', 'x2', 'x3', 'y1', 'y2']
    expect(order).toEqual([2, 3].flatMap((revision) => each.map((name) => `${revision} ${name}`)))
  })

  test('Filter: not of puts, not of deletes, or of neither', () => {
    const machine = filled()
    const { stream, turns } = opened(machine)
    const noPut = watch(stream, watchRequest('\0', '\0', { startRevision: 1, noPut: true }))
    const noDelete = watch(stream, watchRequest('\0', '\0', { startRevision: 1, noDelete: true }))
    const neither = watch(stream, watchRequest('\0', '\0', { noPut: true, noDelete: true }))
    turns.takeAll()
    applyPut(machine, 'c')
    applyDelete(machine, 'c')
    expect(noPut.events).toEqual(['5 -a', '7 -c'])
    expect(noDelete.events).toEqual(['2 a=1', '3 b=1', '4 a=2', '6 c='])
    expect(neither.events).toEqual([])
  })

  test('prev_kv: what was there the revision before, and nothing for a key that was not', () => {
    const machine = filled()
    const { stream, turns } = opened(machine)
    const live = watch(stream, watchRequest('\0', '\0', { prevKv: true }))
    applyPut(machine, 'a', '3')
    applyPut(machine, 'a', '4')
    applyDelete(machine, 'a')
    const since = ['6 a=3', '7 a=4 (was 3)', '8 -a (was 4)']
    expect(live.events).toEqual(since)
    const late = watch(stream, watchRequest('\0', '\0', { startRevision: 1, prevKv: true }))
    turns.takeAll()
    expect(late.events).toEqual(['2 a=1', '3 b=1', '4 a=2 (was 1)', '5 -a (was 2)', ...since])
  })

  test('prev_kv is left out if compaction passed it, however far sweeping has come', () => {
    for (const options of [{}, { sweepAtOnce: 0, sweepPerCommand: 1 }]) {
      const machine = filled(options)
      applyCompact(machine, 4)
      const { stream, turns } = opened(machine)
      const late = watch(stream, watchRequest('\0', '\0', { startRevision: 4, prevKv: true }))
      turns.takeAll()
      expect(late.events).toEqual(['4 a=2', '5 -a (was 2)'])
    }
  })
})

describe('where a watcher begins', () => {
  test('0 is whatever comes next', () => {
    const machine = filled()
    const { stream, turns } = opened(machine)
    const told = watch(stream, watchRequest('a'))
    expect(told.watcher.bookmark).toBe(5)
    turns.takeAll()
    applyPut(machine, 'a', '3')
    expect(told.events).toEqual(['6 a=3'])
  })

  test('a revision in the future is waited for, without a bookmark', () => {
    const machine = filled()
    const { stream } = opened(machine)
    const told = watch(stream, watchRequest('a', '', { startRevision: 7 }))
    expect([told.watcher.bookmark, stream.bookmark]).toEqual([null, null])
    applyPut(machine, 'a', '3')
    expect([told.watcher.bookmark, stream.bookmark]).toEqual([null, null])
    applyPut(machine, 'a', '4')
    expect(told.events).toEqual(['7 a=4'])
    expect([told.watcher.bookmark, stream.bookmark]).toEqual([7, 7])
  })

  test('a compacted revision ends it, with the lowest that may be watched', () => {
    const machine = filled()
    applyCompact(machine, 4)
    const { stream, turns } = opened(machine)
    const told = watch(stream, watchRequest('a', '', { startRevision: 3 }))
    expect(told.compacted).toBeNull()
    turns.takeAll()
    expect(told).toMatchObject({ compacted: 4, events: [] })
    applyPut(machine, 'a')
    expect(told.events).toEqual([])
  })

  // etcd #18089 and #19179.
  test('the compacted revision itself may be watched, also if it is a delete', () => {
    for (const options of [{}, { sweepAtOnce: 0, sweepPerCommand: 1 }]) {
      const machine = filled(options)
      applyPut(machine, 'b', '2')
      applyCompact(machine, 5)
      applyPut(machine, 'b', '3')
      const { stream, turns } = opened(machine)
      const all = watch(stream, watchRequest('\0', '\0', { startRevision: 5 }))
      const a = watch(stream, watchRequest('a', '', { startRevision: 5 }))
      turns.takeAll()
      expect(all.events).toEqual(['5 -a', '6 b=2', '7 b=3'])
      expect(a.events).toEqual(['5 -a'])
    }
  })
})

describe('a stream that is paused', () => {
  test('misses nothing, and keeps nothing in memory for it', () => {
    const machine = filled()
    const { stream, turns } = opened(machine)
    const a = watch(stream, watchRequest('a'))
    const b = watch(stream, watchRequest('b'))
    stream.pause()
    applyPut(machine, 'a', '3')
    applyPut(machine, 'a', '4')
    expect(turns.waiting).toBe(0)
    expect([a.watcher.bookmark, b.watcher.bookmark, stream.bookmark]).toEqual([null, 7, null])
    stream.resume()
    expect(a.events).toEqual([])
    turns.takeAll()
    expect(a.events).toEqual(['6 a=3', '7 a=4'])
    expect(a.batches).toHaveLength(1)
    expect(stream.bookmark).toBe(7)
    applyPut(machine, 'a', '5')
    expect(a.events).toEqual(['6 a=3', '7 a=4', '8 a=5'])
  })

  test('may be paused by a sink: the rest of that revision comes later, whole', () => {
    const machine = kvStateMachine()
    const { stream, turns } = opened(machine)
    const first = watch(stream, watchRequest('\0', '\0'), () => stream.pause())
    const second = watch(stream, watchRequest('\0', '\0'))
    applyTxn(machine, { success: [op.put('a', '1'), op.put('b', '1')] })
    expect([first.events.length, second.events.length]).toEqual([2, 0])
    stream.resume()
    turns.takeAll()
    expect(second.batches).toEqual(first.batches)
  })

  test('ends a watcher whose missed events are compacted, and only such', () => {
    const machine = filled()
    const { stream, turns } = opened(machine)
    const a = watch(stream, watchRequest('a'))
    const b = watch(stream, watchRequest('b'))
    stream.pause()
    applyPut(machine, 'a', '3')
    applyPut(machine, 'c', '3')
    applyCompact(machine, 7)
    stream.resume()
    turns.takeAll()
    expect(a).toMatchObject({ compacted: 7, events: [] })
    applyPut(machine, 'b', '4')
    expect(b).toMatchObject({ compacted: null, events: ['8 b=4'] })
  })
})

describe('reading the past', () => {
  test('comes in bounded helpings, in which everybody has a turn', () => {
    const machine = kvStateMachine({ replayPerTurn: 10 })
    for (let at = 0; at < 100; at++) applyPut(machine, at % 2 === 0 ? 'a' : 'b', `${at}`)
    const { stream, turns } = opened(machine)
    const other = opened(machine, turns)
    const all = watch(stream, watchRequest('\0', '\0', { startRevision: 1 }))
    const a = watch(stream, watchRequest('a', '', { startRevision: 1 }))
    const b = watch(other.stream, watchRequest('b', '', { startRevision: 1 }))
    for (let round = 0; round < 8; round++) turns.take()
    for (const told of [all, a, b]) {
      expect(told.batches.length).toBeGreaterThan(0)
      expect(told.batches.length).toBeLessThan(8)
    }
    expect(all.batches[0]?.events).toHaveLength(10)
    expect(all.batches[0]?.revision).toBe(11)
    turns.takeAll()
    expect(all.events).toHaveLength(100)
    expect([a.events.length, b.events.length]).toEqual([50, 50])
    expect(stream.bookmark).toBe(101)
  })

  test('a batch has at most 1000 revisions, and about the bytes it may have', () => {
    const machine = kvStateMachine({ replayPerTurn: 100_000, replayBatchBytes: 100_000 })
    for (let at = 0; at < 1_500; at++) applyPut(machine, 'a')
    for (let at = 0; at < 5; at++) applyPut(machine, 'a', 'v'.repeat(60_000))
    const { stream, turns } = opened(machine)
    const a = watch(stream, watchRequest('a', '', { startRevision: 1 }))
    const all = watch(stream, watchRequest('\0', '\0', { startRevision: 1 }))
    turns.takeAll()
    const sizes = [1000, 502, 2, 1]
    expect(a.batches.map(({ events }) => events.length)).toEqual(sizes)
    expect(all.batches.map(({ events }) => events.length)).toEqual(sizes)
  })
})

describe('the end', () => {
  test('a cancelled watcher is told nothing more, though it was just reading', () => {
    const machine = filled({ replayPerTurn: 1 })
    const { stream, turns } = opened(machine)
    const told = watch(stream, watchRequest('\0', '\0', { startRevision: 1 }))
    turns.take()
    told.watcher.cancel()
    told.watcher.cancel()
    turns.takeAll()
    applyPut(machine, 'a')
    expect(told.events).toEqual(['2 a=1'])
    expect(told.watcher.bookmark).toBeNull()
  })

  test('disposing a stream cancels its watchers and nobody else', () => {
    const machine = filled()
    const one = opened(machine)
    const two = opened(machine)
    const a = watch(one.stream, watchRequest('a'))
    const b = watch(two.stream, watchRequest('a'))
    one.stream[Symbol.dispose]()
    applyPut(machine, 'a', '3')
    expect([a.events, b.events]).toEqual([[], ['6 a=3']])
    expect(() => watch(one.stream, watchRequest('a'))).toThrow(TypeError)
  })
})

describe('a restored snapshot', () => {
  async function copyOf(machine: KvStateMachine): Promise<AsyncIterable<Uint8Array>> {
    return machine.snapshot()
  }

  test('ahead of the watchers: they read what they missed', async () => {
    const ahead = filled()
    const machine = kvStateMachine({ replayPerTurn: 1 })
    applyPut(machine, 'a', '1')
    const { stream, turns } = opened(machine)
    const all = watch(stream, watchRequest('\0', '\0'))
    const late = watch(stream, watchRequest('\0', '\0', { startRevision: 1 }))
    const future = watch(stream, watchRequest('\0', '\0', { startRevision: 5 }))
    await machine.restore(await copyOf(ahead))
    expect(stream.bookmark).toBeNull()
    const fresh = watch(stream, watchRequest('\0', '\0'))
    applyPut(machine, 'c', '1')
    turns.takeAll()
    applyPut(machine, 'c', '2')
    const rest = ['3 b=1', '4 a=2', '5 -a', '6 c=1', '7 c=2']
    expect(all.events).toEqual(rest)
    expect(late.events).toEqual(['2 a=1', ...rest])
    expect(future.events).toEqual(rest.slice(2))
    expect(fresh.events).toEqual(rest.slice(3))
    expect(stream.bookmark).toBe(7)
  })

  test('compacted beyond the watchers: they end, with the lowest that may be watched', async () => {
    const ahead = filled()
    applyCompact(ahead, 4)
    const machine = kvStateMachine()
    applyPut(machine, 'a', '1')
    const { stream, turns } = opened(machine)
    const told = watch(stream, watchRequest('b'))
    const future = watch(stream, watchRequest('a', '', { startRevision: 4 }))
    await machine.restore(await copyOf(ahead))
    turns.takeAll()
    expect(told).toMatchObject({ compacted: 4, events: [] })
    expect(future).toMatchObject({ compacted: null, events: ['4 a=2', '5 -a'] })
  })

  test('behind the watchers: nothing is told again when it comes back', async () => {
    const behind = kvStateMachine()
    applyPut(behind, 'a', '1')
    const machine = filled()
    const { stream, turns } = opened(machine)
    const synced = watch(stream, watchRequest('\0', '\0'))
    const reading = watch(stream, watchRequest('\0', '\0', { startRevision: 2 }))
    const later = watch(stream, watchRequest('\0', '\0', { startRevision: 4 }))
    await machine.restore(await copyOf(behind))
    applyPut(machine, 'b', '1')
    turns.takeAll()
    applyPut(machine, 'a', '2')
    expect(synced.watcher.bookmark).toBeNull()
    applyDelete(machine, 'a')
    expect(synced.watcher.bookmark).toBe(5)
    applyPut(machine, 'c', '1')
    expect(synced.events).toEqual(['6 c=1'])
    expect(reading.events).toEqual(['2 a=1', '3 b=1', '4 a=2', '5 -a', '6 c=1'])
    expect(later.events).toEqual(['4 a=2', '5 -a', '6 c=1'])
  })
})
