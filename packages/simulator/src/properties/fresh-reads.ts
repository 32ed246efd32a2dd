import type { LogIndex } from '@coracle/raft-core'
import type { Property, Request } from '../observer.ts'

/**
 * A read comes after everything that was acknowledged, by any node, before it was asked for
 * (§8; thesis 6.4).
 */
export const freshReads: Property = {
  name: 'reads are fresh',
  watch(violated) {
    let acknowledged: LogIndex = 0
    const floors = new Map<Request, LogIndex>()
    return {
      asked(request) {
        const { kind, consistency } = request
        if (kind === 'read' && consistency === 'linearizable') floors.set(request, acknowledged)
      },
      answered(request, ending) {
        const floor = floors.get(request) ?? 0
        floors.delete(request)
        if (ending.type !== 'done') return
        // A read saw what others will have to see, as much as an acknowledgement does.
        if (request.kind === 'read' || request.kind === 'propose')
          acknowledged = Math.max(acknowledged, ending.index)
        if (request.kind === 'read' && ending.index < floor)
          violated(
            `${request.life.id} read at ${ending.index}, but ${floor} was acknowledged before`,
          )
      },
      recovered({ kept }) {
        acknowledged = Math.min(acknowledged, kept)
      },
    }
  },
}
