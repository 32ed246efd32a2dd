import type { LogIndex } from '@coracle/raft-core'
import type { Property } from '../observer.ts'

/**
 * A write that was acknowledged is never lost: in the end every node of the healthy core has it. If
 * a quorum was lost for good, that is all that the survivor had.
 * That nothing else takes its place meanwhile, state machine safety sees to.
 */
export const acknowledgedWrites: Property = {
  name: 'acknowledged writes stay',
  watch(violated) {
    let acknowledged: LogIndex = 0
    const reached = new Map<string, LogIndex>()
    return {
      started({ id }) {
        reached.set(id, 0)
      },
      reached({ id }, index) {
        reached.set(id, index)
      },
      restored({ id }, index) {
        reached.set(id, index)
      },
      answered({ kind }, ending) {
        if (kind === 'propose' && ending.type === 'done')
          acknowledged = Math.max(acknowledged, ending.index)
      },
      recovered({ kept }) {
        acknowledged = Math.min(acknowledged, kept)
      },
      ended(core) {
        for (const id of core)
          if ((reached.get(id) ?? 0) < acknowledged)
            violated(`${id} ended at index ${reached.get(id)}; ${acknowledged} was acknowledged`)
      },
    }
  },
}
