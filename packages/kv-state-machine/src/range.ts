import { boundsOf } from './key.ts'
import type { Store } from './store.ts'
import type { Ref } from './tree.ts'
import type {
  DeleteRangeRequest,
  DeleteRangeResult,
  KeyValue,
  KvErrorCode,
  RangeRequest,
  RangeResult,
  SortTarget,
} from './types.ts'

/** Why a read as of `revision` cannot be answered, or null. 0 and less stand for the newest. */
export function checkRevision(store: Store, revision: number): KvErrorCode | null {
  if (revision <= 0) return null
  if (revision > store.readRevision) return 'FUTURE_REVISION'
  // What was compacted is gone below that revision; at it, everything is as it was.
  return revision < store.compactRevision ? 'COMPACTED' : null
}

/** Answers a range whose revision was checked, in etcd's order: select, filter, sort, cut. */
export function readRange(store: Store, request: RangeRequest): RangeResult {
  const bounds = boundsOf(request)
  const revision = request.revision > 0 ? request.revision : null
  if (request.countOnly) {
    const count = store.count(bounds, revision)
    return { type: 'range', kvs: [], more: false, count, revision: store.readRevision }
  }
  const limit = request.limit > 0 ? request.limit : Infinity
  // Only a sort order and filters keep etcd from reading just one pair more than the limit. So a
  // sort target without an order sorts those that come first by key, and not the whole interval.
  const readsAll = request.sortOrder !== 'none' || isFiltered(request)
  const refs = store.select(bounds, { revision, limit: readsAll ? Infinity : limit + 1 })
  const isWhole = readsAll || refs.length <= limit
  const count = isWhole ? refs.length : store.count(bounds, revision)
  const kvs = readsAll ? pick(store, refs, { request, limit }) : read(store, refs, request)
  const more = kvs.length > limit
  if (more) kvs.length = limit
  return { type: 'range', kvs, more, count, revision: store.readRevision }
}

/** Deletes what lives in an interval. Nothing found is a success that changes nothing. */
export function deleteRange(store: Store, request: DeleteRangeRequest): DeleteRangeResult {
  store.counts.deletes += 1
  if (request.prevKv) store.counts.ranges += 1
  const refs = store.select(boundsOf(request), { revision: null, limit: Infinity })
  const prevKvs = request.prevKv ? refs.map((ref) => store.read(ref)) : []
  for (const ref of refs) store.delete(ref)
  return { type: 'delete-range', deleted: refs.length, prevKvs, revision: store.readRevision }
}

function isFiltered(request: RangeRequest): boolean {
  return (
    request.minModRevision !== 0 ||
    request.maxModRevision !== 0 ||
    request.minCreateRevision !== 0 ||
    request.maxCreateRevision !== 0
  )
}

/** Filters and sorts; answers at most one pair more than the limit. */
function pick(
  store: Store,
  refs: readonly Ref[],
  options: { readonly request: RangeRequest; readonly limit: number },
): KeyValue[] {
  const { request, limit } = options
  if (request.sortTarget === 'key' && !isFiltered(request)) {
    const ordered = request.sortOrder === 'descend' ? refs.toReversed() : refs
    return ordered.slice(0, limit + 1).map((ref) => readOne(store, ref, request))
  }
  return read(store, refs, request)
}

function read(store: Store, refs: readonly Ref[], request: RangeRequest): KeyValue[] {
  const needsValue = request.sortTarget === 'value' || !request.keysOnly
  const kvs: KeyValue[] = []
  for (const ref of refs) {
    const kv = needsValue ? store.read(ref) : store.readKey(ref)
    if (passes(kv, request)) kvs.push(kv)
  }
  sort(kvs, request)
  return request.keysOnly && needsValue ? kvs.map((kv) => ({ ...kv, value: EMPTY })) : kvs
}

function readOne(store: Store, ref: Ref, request: RangeRequest): KeyValue {
  return request.keysOnly ? store.readKey(ref) : store.read(ref)
}

function passes(kv: KeyValue, request: RangeRequest): boolean {
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request
  if (maxModRevision !== 0 && kv.modRevision > maxModRevision) return false
  if (minModRevision !== 0 && kv.modRevision < minModRevision) return false
  if (maxCreateRevision !== 0 && kv.createRevision > maxCreateRevision) return false
  return minCreateRevision === 0 || kv.createRevision >= minCreateRevision
}

/** Equal targets stay in the order of their keys: etcd promises no order among them. */
function sort(kvs: KeyValue[], request: RangeRequest): void {
  const { sortTarget, sortOrder } = request
  if (sortTarget === 'key' && sortOrder !== 'descend') return
  const compare = COMPARE[sortTarget]
  kvs.sort(sortOrder === 'descend' ? (a, b) => compare(b, a) : compare)
}

const EMPTY = new Uint8Array(0)

const COMPARE: Readonly<Record<SortTarget, (a: KeyValue, b: KeyValue) => number>> = {
  key: (a, b) => compareBytes(a.key, b.key),
  version: (a, b) => a.version - b.version,
  create: (a, b) => a.createRevision - b.createRevision,
  mod: (a, b) => a.modRevision - b.modRevision,
  value: (a, b) => compareBytes(a.value, b.value),
}

/** Orders as unsigned bytes, a prefix before what it begins. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let at = 0; at < length; at++) {
    const difference = (a[at] as number) - (b[at] as number)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}
