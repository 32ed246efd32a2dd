import type { Property } from '../observer.ts'
import { didNotHappen } from '../observer.ts'
import { Roster } from '../roster.ts'

/**
 * A change of the membership that was confirmed is part of the history, and follows the membership that
 * it was to follow; one that was refused never comes to be: nobody ever counts on those whom it was to
 * bring.
 */
export const changesHaveOneOutcome: Property = {
  name: 'one outcome per change of the membership',
  watch(violated, world) {
    const roster = new Roster(world, () => {})
    const refused = new Set<string>()
    return {
      happened(life, event) {
        roster.observer.happened?.(life, event)
        if (event.type !== 'membership-changed') return
        for (const { id } of event.membership.peers)
          if (refused.has(id)) violated(`${life.id} counts on ${id}, whose joining was refused`)
      },
      recovered(renewal) {
        refused.clear()
        roster.observer.recovered?.(renewal)
      },
      answered({ kind, newcomers, life, expectedIndex }, ending) {
        if (kind === 'replacement' && ending.type === 'done')
          for (const id of newcomers)
            if (!roster.hasBeen(id))
              violated(`${life.id} says that ${id} takes a place: it has not`)
        if (kind !== 'change') return
        for (const id of newcomers) {
          if (didNotHappen(ending)) {
            refused.add(id)
            if (roster.hasBeen(id))
              violated(`${life.id} says that ${id} did not join, but it has taken part`)
          } else if (ending.type === 'done' && !roster.hasBeen(id))
            violated(`${life.id} says that ${id} has joined: it has not`)
          const before = roster.joinedAfter(id)
          if (ending.type === 'done' && expectedIndex !== null && before !== expectedIndex)
            violated(`${id} was to join the membership at ${expectedIndex}, and joined ${before}`)
        }
      },
    }
  },
}
