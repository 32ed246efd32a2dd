import type { LogIndex } from '../types.ts'

/**
 * What a read must see. Each costs less than the one before.
 *
 * - `linearizable`: everything that was acknowledged anywhere before the read was asked for.
 * - `maxLagMs`: everything that was acknowledged anywhere before so many milliseconds ago, by this
 *   node's clock. Asks the leader only if nobody has, within that time, on this node.
 * - `atLeast`: everything up to this index. Asks nobody. With the index of one's own last proposal, one
 *   reads one's writes; with that of one's last read, on whatever node, time never runs backwards.
 */
export type Consistency =
  | 'linearizable'
  | { readonly maxLagMs: number }
  | { readonly atLeast: LogIndex }

/** A RangeError for what nobody can mean, or null. */
export function faultOf(consistency: Consistency): RangeError | null {
  if (consistency === 'linearizable') return null
  if (typeof consistency === 'object' && consistency !== null) {
    if ('atLeast' in consistency) {
      if (Number.isSafeInteger(consistency.atLeast) && consistency.atLeast >= 0) return null
    } else if (consistency.maxLagMs >= 0) return null
  }
  return new RangeError("consistency is 'linearizable', { maxLagMs } or { atLeast }, from 0 on")
}
