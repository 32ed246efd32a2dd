import type { Property } from '../observer.ts'

/**
 * A leader has the votes of a majority, and they are durable (§5.2): each of these nodes wrote down
 * that it voted for this one, or has moved on to a later term since.
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
        if (voters.length * 2 <= world.nodes.length)
          violated(
            `${id} leads term ${event.term}, which only ${voters.join(' ')} can have voted for`,
          )
      },
    }
  },
}
