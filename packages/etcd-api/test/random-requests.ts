/** Requests of every kind that a client can make, sensible and not, in the same order for one seed. */
import { text, wireId } from './harness.ts'
import type { Random } from './random.ts'

/** `WATCH` and `KEEP_ALIVE` go over streams, everything else is a call. */
export interface Step {
  readonly method: string
  readonly request: object
}

export const WATCH = 'Watch/Watch'
export const KEEP_ALIVE = 'Lease/LeaseKeepAlive'

/** What sequences lease with: ordinary, negative, and beyond what doubles hold. */
export const LEASES = [1n, 7n, -5n, 9_007_199_254_740_993n, 0x7fff_ffff_ffff_fff0n] as const

const NOTHING = new Uint8Array(0)
const KEYS: readonly Uint8Array[] = [
  ...['a', 'b', 'ba', 'c', 'd', 'e/1', 'e/2', 'f'].map(text),
  Uint8Array.of(0),
  Uint8Array.of(0xff, 0xfe),
]
const ENDS: readonly Uint8Array[] = [
  NOTHING,
  Uint8Array.of(0),
  ...['a', 'b', 'c\0', 'e0', 'z'].map(text),
  Uint8Array.of(0xff, 0xff),
]
const VALUES: readonly Uint8Array[] = [
  NOTHING,
  ...['1', '2', 'zz'].map(text),
  Uint8Array.of(0x80, 0x00),
  new Uint8Array(3_000).fill(120),
]
const EXTREMES = [
  -1n,
  2n ** 53n - 1n,
  2n ** 53n + 1n,
  -(2n ** 53n) - 1n,
  2n ** 63n - 1n,
  -(2n ** 63n),
] as const

export interface Requests {
  /** The next one, for stores at about this revision. */
  next(revision: number): Step
}

/** Those of one sequence; `isWatching` if watch streams are in it. */
export function randomRequests(random: Random, isWatching: boolean): Requests {
  const kinds: readonly (readonly [weight: number, make: (revision: number) => Step])[] = [
    [8, () => call('KV/Put', put(random))],
    [6, (revision) => call('KV/Range', range(random, revision))],
    [3, () => call('KV/DeleteRange', deleteRange(random))],
    [7, (revision) => call('KV/Txn', txn(random, revision, 3))],
    [1, (revision) => call('KV/Compact', compaction(random, revision))],
    [2, () => call('Lease/LeaseGrant', grant(random))],
    [1, () => call('Lease/LeaseRevoke', { ID: leaseId(random) })],
    [1, () => call('Lease/LeaseTimeToLive', { ID: leaseId(random), keys: chance(random, 2) })],
    [1, () => call('Lease/LeaseLeases', {})],
    [1, () => call(KEEP_ALIVE, { ID: leaseId(random) })],
    [1, (revision) => call('Maintenance/HashKV', hashKv(random, revision))],
    [isWatching ? 5 : 0, (revision) => call(WATCH, { create_request: watch(random, revision) })],
    [isWatching ? 2 : 0, () => call(WATCH, { cancel_request: { watch_id: random(5) - 1 } })],
    [isWatching ? 1 : 0, () => call(WATCH, chance(random, 2) ? { progress_request: {} } : {})],
  ]
  const total = kinds.reduce((sum, [weight]) => sum + weight, 0)
  return {
    next(revision) {
      let at = random(total)
      for (const [weight, make] of kinds) {
        if (at < weight) return make(revision)
        at -= weight
      }
      throw new Error('the weights do not add up')
    },
  }
}

function call(method: string, request: object): Step {
  return { method, request }
}

function put(random: Random): object {
  return {
    key: chance(random, 25) ? NOTHING : key(random),
    ...(chance(random, 6) ? {} : { value: pick(random, VALUES) }),
    ...(chance(random, 4) ? { lease: leaseId(random) } : {}),
    ...flags(random, 4, 'prev_kv'),
    ...flags(random, 8, 'ignore_value', 'ignore_lease'),
  }
}

function range(random: Random, revision: number, sorts = 5): object {
  const filters = [
    'min_mod_revision',
    'max_mod_revision',
    'min_create_revision',
    'max_create_revision',
  ]
  return {
    ...interval(random, 25),
    ...(chance(random, 4) ? { limit: count(random) } : {}),
    ...(chance(random, 3) ? { revision: revisionNear(random, revision) } : {}),
    ...(chance(random, 3) ? { sort_order: random(3), sort_target: random(sorts) } : {}),
    ...flags(random, 6, 'serializable', 'keys_only', 'count_only'),
    ...Object.fromEntries(
      filters
        .filter(() => chance(random, 10))
        .map((name) => [name, revisionNear(random, revision)]),
    ),
  }
}

function deleteRange(random: Random): object {
  return { ...interval(random, 25), ...flags(random, 3, 'prev_kv') }
}

function txn(random: Random, revision: number, depth: number): object {
  const operations = (): object[] => list(random, 4, () => operation(random, revision, depth - 1))
  return {
    compare: list(random, 3, () => compare(random, revision)),
    success: operations(),
    failure: operations(),
  }
}

function operation(random: Random, revision: number, depth: number): object {
  switch (random(depth > 0 ? 9 : 7)) {
    case 0:
    case 1:
    case 2:
      return { request_put: put(random) }
    case 3:
    case 4:
      return { request_range: range(random, revision) }
    case 5:
      return { request_delete_range: deleteRange(random) }
    case 6:
      return chance(random, 12) ? {} : { request_put: { key: key(random), prev_kv: true } }
    default:
      return { request_txn: txn(random, revision, depth) }
  }
}

const TARGETS = ['version', 'create_revision', 'mod_revision', 'value', 'lease'] as const

function compare(random: Random, revision: number): object {
  const target = random(chance(random, 15) ? 7 : 5)
  // Now and then another member of the union than the target calls for.
  const member = TARGETS[chance(random, 10) ? random(5) : target] ?? 'version'
  const values = {
    version: () => random(4),
    create_revision: () => revisionNear(random, revision),
    mod_revision: () => revisionNear(random, revision),
    value: () => pick(random, VALUES),
    lease: () => leaseId(random),
  }
  return {
    key: chance(random, 30) ? NOTHING : key(random),
    ...(chance(random, 4) ? { range_end: pick(random, ENDS) } : {}),
    target,
    result: random(chance(random, 15) ? 6 : 4),
    ...(chance(random, 8) ? {} : { [member]: values[member]() }),
  }
}

function compaction(random: Random, revision: number): object {
  const near = chance(random, 3) ? revision - random(12) : revisionNear(random, revision)
  // Until etcd 3.4 has swept what it compacted, its hashes are of what it has not swept.
  return { revision: near, physical: true }
}

/** Times that end while a sequence runs are not asked for: each side has its own clock. */
function grant(random: Random): object {
  const TTL = chance(random, 10)
    ? pick(random, [9_000_000_000, 9_000_000_001])
    : 600 + random(9) * 100
  return { ID: leaseId(random), TTL }
}

function hashKv(random: Random, revision: number): object {
  return chance(random, 2) ? {} : { revision: revisionNear(random, revision) }
}

function watch(random: Random, revision: number): object {
  return {
    ...interval(random, 10),
    ...(chance(random, 2) ? { start_revision: startRevision(random, revision) } : {}),
    ...flags(random, 2, 'prev_kv'),
    ...flags(random, 4, 'fragment', 'progress_notify'),
    ...(chance(random, 3) ? { filters: list(random, 3, () => random(2)) } : {}),
    ...(chance(random, 4) ? { watch_id: pick(random, [1, 2, 5, -3]) } : {}),
  }
}

function interval(random: Random, oneInIsEmpty: number): object {
  return {
    key: chance(random, oneInIsEmpty) ? NOTHING : key(random),
    ...(chance(random, 2) ? { range_end: pick(random, ENDS) } : {}),
  }
}

function key(random: Random): Uint8Array {
  return pick(random, KEYS)
}

function leaseId(random: Random): object | number {
  return chance(random, 12) ? random(3) + 1_000 : wireId(pick(random, LEASES))
}

function count(random: Random): object | number {
  return chance(random, 6) ? wireId(pick(random, EXTREMES)) : random(6)
}

function revisionNear(random: Random, revision: number): object | number {
  if (chance(random, 10)) return wireId(pick(random, EXTREMES))
  return chance(random, 8) ? random(3) : Math.max(revision - 15 + random(18), 0)
}

function startRevision(random: Random, revision: number): object | number {
  return chance(random, 10) ? wireId(2n ** 63n - 1n) : Math.max(revision - 15 + random(18), 0)
}

function flags(random: Random, oneIn: number, ...names: readonly string[]): object {
  return Object.fromEntries(names.filter(() => chance(random, oneIn)).map((name) => [name, true]))
}

function list<Item>(random: Random, below: number, make: () => Item): Item[] {
  return Array.from({ length: random(below) }, make)
}

function pick<Item>(random: Random, items: readonly Item[]): Item {
  return items[random(items.length)] as Item
}

function chance(random: Random, oneIn: number): boolean {
  return random(oneIn) === 0
}
