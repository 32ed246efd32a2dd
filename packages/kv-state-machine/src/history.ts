/** The history as watchers read it: the changes of an interval in order, each as an event. */
import { forEachChange } from './change-log.ts'
import { BytePool } from './byte-pool.ts'
import { type Bounds, bytesOf, type Key } from './key.ts'
import type { Segment, Sequence } from './segment.ts'
import type { Store } from './store.ts'
import { isLive, NO_REF } from './tree.ts'
import type { KeyValue } from './types.ts'
import type { WatchEvent } from './watch.ts'

type Visit = (segment: Segment, slot: number) => boolean

const EMPTY = new Uint8Array(0)
const pool = new BytePool()

/**
 * Visits the changes in [from, to), until `visit` answers false: those of the one key, found by
 * themselves, or all, if the bounds are an interval.
 */
export function visitChanges(
  store: Store,
  range: { readonly bounds: Bounds; readonly from: Sequence; readonly to: Sequence },
  visit: Visit,
): void {
  const { bounds, from, to } = range
  if (!bounds.single) return forEachChange(store.log, { from, to }, visit)
  for (let next = from; ;) {
    const found = store.oldestChange(bounds.from, next)
    if (found === null) return
    const sequence = found.segment.sequenceAt(found.slot)
    if (sequence >= to || !visit(found.segment, found.slot)) return
    next = sequence + 1
  }
}

export function isWithin(key: Key, bounds: Bounds): boolean {
  return bounds.single
    ? key === bounds.from
    : key >= bounds.from && (bounds.to === null || key < bounds.to)
}

export function eventOf(
  store: Store,
  at: { readonly segment: Segment; readonly slot: number },
  prevKv: boolean,
): WatchEvent {
  const { segment, slot } = at
  return {
    type: segment.isTombstone(slot) ? 'delete' : 'put',
    kv: segment.isTombstone(slot) ? tombstone(segment, slot) : store.read(segment.refAt(slot)),
    prevKv: prevKv ? previousOf(store, segment, slot) : null,
  }
}

function tombstone(segment: Segment, slot: number): KeyValue {
  return {
    key: bytesOf(segment.key(slot), pool),
    value: EMPTY,
    createRevision: 0,
    modRevision: segment.main(slot),
    version: 0,
    lease: 0n,
  }
}

/** The pair as of the revision before this change, which is not the change before if both are in one revision. */
function previousOf(store: Store, segment: Segment, slot: number): KeyValue | null {
  const main = segment.main(slot)
  // Whether what was compacted is still there depends on how far sweeping has come on this node.
  if (main - 1 < store.compactRevision) return null
  for (let ref = segment.previous(slot); ref !== NO_REF;) {
    const found = store.locate(ref)
    if (found === null) return null
    if (found.segment.main(found.slot) < main) return isLive(ref) ? store.read(ref) : null
    ref = found.segment.previous(found.slot)
  }
  return null
}
