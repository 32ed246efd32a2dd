import type { LogIndex } from '@coracle/raft-core'
import type { Property } from '../observer.ts'

/**
 * If a node applied a command at an index, no other ever applies another one there (Fig. 3): after
 * each index all state machines have answered the same to the same, and are in the same state, in
 * all lives of all nodes, restored or not.
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
    const digests = new Map<LogIndex, { readonly digest: string; readonly id: string }>()
    return {
      recovered({ kept }) {
        for (const known of [states, digests])
          for (const index of known.keys()) if (index > kept) known.delete(index)
      },
      digested({ id }, index, digest) {
        const other = digests.get(index)
        if (other === undefined) digests.set(index, { digest, id })
        else if (other.digest !== digest)
          violated(
            `after index ${index}, the state of ${id} is ${digest}, of ${other.id} ${other.digest}`,
          )
      },
      reached: ({ id }, index, fingerprint) => compare(id, index, fingerprint),
      restored({ id }, index, fingerprint) {
        if (index > 0) compare(id, index, fingerprint)
      },
    }
  },
}
