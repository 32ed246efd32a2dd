import type { Property } from '../observer.ts'
import { isQuorum } from '../quorum.ts'

/**
 * An entry is committed by its leader once it is durable on a majority (Fig. 2; §5.4.2), of both
 * the old and the new voters while they change (§6).
 */
export const commitNeedsQuorum: Property = {
  name: 'commitment by a majority of disks',
  watch(violated, world) {
    /** The term each node leads. */
    const leads = new Map<string, number>()
    return {
      started({ id }) {
        leads.delete(id)
      },
      happened({ id }, event) {
        if (event.type === 'role-changed') leads.set(id, event.role === 'leader' ? event.term : 0)
        if (event.type !== 'entries-committed' || leads.get(id) !== event.term) return
        const { term, index } = event
        const holders = world.nodes.filter((node) => {
          const disk = world.diskOf(node)
          return disk.termAt(index) === term || disk.compactedIndex >= index
        })
        const membership = world.statusOf(id)?.membership
        if (membership !== undefined && !isQuorum(membership, holders))
          violated(`${id} committed ${term}/${index}, which only ${holders.join(' ')} hold`)
      },
    }
  },
}
