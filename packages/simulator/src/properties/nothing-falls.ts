import type { LogIndex, Term } from '@coracle/raft-core'
import type { Property } from '../observer.ts'

interface Marks {
  term: Term
  votedFor: string | null
  commitIndex: LogIndex
  appliedIndex: LogIndex
}

/**
 * Terms, what is committed and what is applied only grow, and a vote within a term is never changed
 * (Fig. 2). Term and vote are remembered over crashes; the others begin anew.
 */
export const nothingFalls: Property = {
  name: 'nothing falls',
  watch(violated) {
    const nodes = new Map<string, Marks>()
    const marksOf = (id: string): Marks => {
      const marks = nodes.get(id) ?? { term: 0, votedFor: null, commitIndex: 0, appliedIndex: 0 }
      nodes.set(id, marks)
      return marks
    }
    return {
      started({ id, disk }) {
        Object.assign(marksOf(id), { commitIndex: 0, appliedIndex: disk.snapshotIndex })
      },
      happened({ id, disk }, event) {
        const marks = marksOf(id)
        if (event.term < disk.term) violated(`${id} fell from term ${disk.term} to ${event.term}`)
        if (event.type === 'entries-committed') {
          if (event.index < marks.commitIndex)
            violated(`${id} had committed ${marks.commitIndex}, now only ${event.index}`)
          marks.commitIndex = event.index
        } else if (event.type === 'entries-applied') {
          if (event.index < marks.appliedIndex)
            violated(`${id} had applied ${marks.appliedIndex}, now only ${event.index}`)
          marks.appliedIndex = event.index
        }
      },
      persisted({ id }, { hardState }) {
        if (hardState === null) return
        const marks = marksOf(id)
        const { term, votedFor } = hardState
        if (term < marks.term) violated(`${id} wrote term ${term} after ${marks.term}`)
        if (term === marks.term && marks.votedFor !== null && votedFor !== marks.votedFor)
          violated(`${id} changed its vote in term ${term} from ${marks.votedFor} to ${votedFor}`)
        Object.assign(marks, { term, votedFor })
      },
    }
  },
}
