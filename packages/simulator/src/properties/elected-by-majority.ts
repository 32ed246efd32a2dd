import type { Property } from '../observer.ts'
import { isQuorum } from '../quorum.ts'

/**
 * A leader has the votes of a majority (§5.2), of both the old and the new voters while they change
 * (§6), and the votes are durable: each of these nodes wrote down that it voted for this one, or has
 * moved on to a later term since.
 */
export const electedByMajority: Property = {
  name: 'election by a majority of disks',
  watch(violated, world) {
    return {
      happened({ id }, event) {
        if (event.type !== 'role-changed' || event.role !== 'leader') return
        const voters = world.nodes.filter((node) => {
          const { term, votedFor } = world.diskOf(node)
          return term > event.term || (term === event.term && votedFor === id)
        })
        const membership = world.statusOf(id)?.membership
        if (membership !== undefined && !isQuorum(membership, voters))
          violated(
            `${id} leads term ${event.term}, which only ${voters.join(' ')} can have voted for`,
          )
      },
    }
  },
}
