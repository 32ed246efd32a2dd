import type { LogIndex, Term } from '@coracle/raft-core'
import type { Property } from '../observer.ts'

/**
 * What was committed in a term is in the log of every leader of a later one (Fig. 3). When a node
 * becomes leader its log is on its disk: it voted for itself there after the last entry came.
 */
export const leaderCompleteness: Property = {
  name: 'leader completeness',
  watch(violated) {
    /** The last index that the leader of each term committed; the entry there is of that term. */
    const committed = new Map<Term, LogIndex>()
    const leaders = new Map<Term, string>()
    return {
      recovered() {
        committed.clear()
        leaders.clear()
      },
      happened({ id, disk }, event) {
        const { type, term } = event
        if (type === 'entries-committed' && leaders.get(term) === id)
          committed.set(term, event.index)
        if (type !== 'role-changed' || event.role !== 'leader') return
        leaders.set(term, id)
        for (const [earlier, index] of committed)
          if (earlier < term && index > disk.compactedIndex && disk.termAt(index) !== earlier)
            violated(`${id} leads term ${term} without ${earlier}/${index}, which is committed`)
      },
    }
  },
}
