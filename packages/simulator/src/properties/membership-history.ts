import type { LogIndex } from '@coracle/raft-core'
import type { Property } from '../observer.ts'
import { whyNoStep, Roster } from '../roster.ts'

/**
 * Who takes part has one history: what any node has applied of it is a part of that, and each
 * membership follows from the one before by one voter, or by way of a joint one (§6; thesis 4.3).
 * Whoever stops because it was removed was removed indeed. A leader begins a change only when the one before is committed, and an entry of its own term.
 */
export const membershipHistory: Property = {
  name: 'one history of memberships',
  watch(violated, world) {
    const roster = new Roster(world, violated)
    /** Where the membership stood in the log of each node that leads, before its next change. */
    const leaders = new Map<string, LogIndex>()
    return {
      recovered: (renewal) => roster.observer.recovered?.(renewal),
      started: ({ id }) => leaders.delete(id),
      ended: (core) => roster.observer.ended?.(core),
      happened(life, event) {
        roster.observer.happened?.(life, event)
        const { id, disk } = life
        if (event.type === 'role-changed') {
          if (event.role === 'leader') leaders.set(id, world.statusOf(id)?.membershipIndex ?? 0)
          else leaders.delete(id)
        }
        const before = leaders.get(id)
        const status = world.statusOf(id)
        if (event.type !== 'membership-changed' || before === undefined || status === null) return
        leaders.set(id, status.membershipIndex)
        if (status.commitIndex < before)
          violated(`${id} changes the membership again before ${before} is committed`)
        const term = disk.termAt(status.commitIndex)
        if (term !== null && term !== event.term)
          violated(
            `${id} changes the membership before it committed anything in term ${event.term}`,
          )
        const known = roster.at(before)
        const why = known === null ? null : whyNoStep(known, event.membership, roster.founders)
        if (why !== null)
          violated(`the membership that ${id} begins at ${status.membershipIndex} ${why}`)
      },
    }
  },
}
