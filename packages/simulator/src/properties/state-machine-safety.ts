import type { LogIndex } from '@coracle/raft-core'
import type { Property } from '../observer.ts'

/**
 * If a node applied a command at an index, no other ever applies another one there (Fig. 3): after
 * each index all state machines are the same, in all lives of all nodes, restored or not.
 */
export const stateMachineSafety: Property = {
  name: 'state machine safety',
  watch(violated) {
    const states = new Map<LogIndex, { readonly fingerprint: string; readonly id: string }>()
    const compare = (id: string, index: LogIndex, fingerprint: string): void => {
      const other = states.get(index)
      if (other === undefined) states.set(index, { fingerprint, id })
      else if (other.fingerprint !== fingerprint)
        violated(`after index ${index}, ${id} is in another state than ${other.id} was`)
    }
    return {
      reached: ({ id }, index, fingerprint) => compare(id, index, fingerprint),
      restored({ id }, index, fingerprint) {
        if (index > 0) compare(id, index, fingerprint)
      },
    }
  },
}
