import { type Bounds, boundsOf, type Key } from './key.ts'
import type { AuthRole, Permission } from './auth-types.ts'

interface Interval {
  readonly from: Key
  /** Exclusive; null if there is no end. */
  readonly to: Key | null
}

/** The union of intervals: disjoint, in order, and with a gap between any two. */
class IntervalUnion {
  readonly #intervals: readonly Interval[]

  constructor(intervals: readonly Bounds[]) {
    this.#intervals = merged(intervals)
  }

  /** Whether every key of the interval is in the union, which a part of it then holds alone. */
  covers({ from, to }: Bounds): boolean {
    const interval = this.#lastFrom(from)
    if (interval === null) return false
    if (interval.to === null) return true
    return from < interval.to && to !== null && to <= interval.to
  }

  /** The last interval that begins at or before the key. */
  #lastFrom(key: Key): Interval | null {
    let low = 0
    let high = this.#intervals.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#intervals[middle] as Interval).from <= key) low = middle + 1
      else high = middle
    }
    return this.#intervals[low - 1] ?? null
  }
}

function merged(intervals: readonly Bounds[]): readonly Interval[] {
  const union: { from: Key; to: Key | null }[] = []
  for (const { from, to } of intervals.toSorted((a, b) => (a.from < b.from ? -1 : 1))) {
    const last = union.at(-1)
    if (last === undefined || (last.to !== null && last.to < from)) union.push({ from, to })
    else if (last.to !== null && (to === null || last.to < to)) last.to = to
  }
  return union
}

/** What the roles of one user allow, all together. */
export interface UserPermissions {
  readonly read: IntervalUnion
  readonly write: IntervalUnion
}

export function permissionsOf(roles: readonly AuthRole[]): UserPermissions {
  const all = roles.flatMap(({ permissions }) => permissions)
  return { read: unionOf(all, 'read'), write: unionOf(all, 'write') }
}

function unionOf(permissions: readonly Permission[], type: 'read' | 'write'): IntervalUnion {
  const granted = permissions.filter((each) => each.type === type || each.type === 'readwrite')
  return new IntervalUnion(granted.map(boundsOf))
}
