import { describe, expect, test, vi } from 'vitest'
import { ChangeLog, forEachChange } from '../src/change-log.ts'
import { boundsOf } from '../src/key.ts'
import { Store } from '../src/store.ts'
import { bytes } from './requests.ts'

const PACE = { atOnce: 10, perCommand: 1 }

/** The changes of revisions in (after, upTo], as a watch would replay them. */
function changes(store: Store, after: number, upTo: number): string[] {
  const found: string[] = []
  const from = store.endOfRevision(after)
  const to = store.endOfRevision(upTo)
  forEachChange(store.log, { from, to }, (segment, slot) => {
    if (segment.isDead(slot)) return
    const kind = segment.isTombstone(slot) ? 'delete' : 'put'
    found.push(`${segment.main(slot)}/${segment.sub(slot)} ${kind} ${segment.key(slot)}`)
  })
  return found
}

function put(store: Store, ...keys: string[]): void {
  for (const key of keys) store.put({ key, value: bytes(key), lease: 0n })
  store.commit()
}

function del(store: Store, from: string, to: string): void {
  const bounds = boundsOf({ key: bytes(from), rangeEnd: bytes(to) })
  for (const ref of store.select(bounds, { revision: null, limit: Infinity })) store.delete(ref)
  store.commit()
}

describe('the log of changes', () => {
  test('gives all changes between two revisions in order, numbered within each', () => {
    const store = new Store(PACE)
    put(store, 'a', 'b')
    put(store, 'a')
    del(store, 'a', 'z')
    put(store, 'c')
    expect(changes(store, 2, 4)).toEqual(['3/0 put a', '4/0 delete a', '4/1 delete b'])
    expect(changes(store, 1, 99)).toEqual([
      '2/0 put a',
      '2/1 put b',
      '3/0 put a',
      '4/0 delete a',
      '4/1 delete b',
      '5/0 put c',
    ])
    expect(changes(store, 5, 99)).toEqual([])
  })

  test('keeps a tombstone exactly at the compacted revision until the next compaction', () => {
    const store = new Store(PACE)
    put(store, 'a')
    del(store, 'a', '')
    put(store, 'b')
    put(store, 'b')
    store.compact(3)
    expect(changes(store, 0, 99)).toEqual(['3/0 delete a', '4/0 put b', '5/0 put b'])
    store.compact(4)
    expect(changes(store, 0, 99)).toEqual(['4/0 put b', '5/0 put b'])
  })

  test('drops a tombstone before the compacted revision, also if the key came back later', () => {
    const store = new Store(PACE)
    put(store, 'a')
    del(store, 'a', '')
    put(store, 'b')
    put(store, 'a')
    store.compact(4)
    expect(changes(store, 0, 99)).toEqual(['4/0 put b', '5/0 put a'])
    store.compact(5)
    expect(changes(store, 0, 99)).toEqual(['4/0 put b', '5/0 put a'])
  })

  test('keeps the newest version at or before the compacted revision, however old', () => {
    const store = new Store(PACE)
    put(store, 'old')
    for (let at = 0; at < 5; at++) put(store, 'b')
    store.compact(6)
    expect(changes(store, 0, 99)).toEqual(['2/0 put old', '6/0 put b', '7/0 put b'])
  })

  test('finds any of n versions of a key in O(log n) steps', () => {
    const store = new Store(PACE)
    for (let at = 0; at < 10_000; at++) put(store, 'hot')
    const steps = vi.spyOn(ChangeLog.prototype, 'locate')
    const bounds = boundsOf({ key: bytes('hot'), rangeEnd: new Uint8Array(0) })
    for (let revision = 2; revision <= 10_001; revision += 111) {
      steps.mockClear()
      expect(store.select(bounds, { revision, limit: 1 })).toEqual([(revision - 1) * 2])
      expect(steps.mock.calls.length).toBeLessThan(4 * Math.log2(10_000))
    }
    steps.mockRestore()
  })
})
