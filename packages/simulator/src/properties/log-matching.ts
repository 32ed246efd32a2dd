import type { Entry, Term } from '@coracle/raft-core'
import { crc32 } from '@coracle/raft-core/codec'
import type { Property } from '../observer.ts'

/**
 * If two logs hold an entry with the same index and term, they are the same up to there (Fig. 3):
 * the entries say the same, and each follows an entry of the same term. Checked for every entry
 * that is ever written to a disk or sent to a follower.
 */
export const logMatching: Property = {
  name: 'log matching',
  watch(violated) {
    const known = new Map<string, { readonly content: string; before: Term | null }>()
    const see = (entry: Entry, before: Term | null): void => {
      const place = `${entry.term}/${entry.index}`
      const content = `${entry.type} ${entry.data.length} ${crc32(entry.data)}`
      const other = known.get(place)
      if (other === undefined) known.set(place, { content, before })
      else if (other.content !== content) violated(`two different entries at ${place}`)
      else if (other.before === null) other.before = before
      else if (before !== null && other.before !== before)
        violated(`${place} follows an entry of term ${other.before} here, of ${before} there`)
    }
    const seeAll = (entries: readonly Entry[], first: Term | null): void => {
      let before = first
      for (const entry of entries) {
        see(entry, before)
        before = entry.term
      }
    }
    return {
      sent(_, message) {
        if (message.type === 'append-entries') seeAll(message.entries, message.prevLog.term)
      },
      persisted({ disk }, { entries }) {
        const [first] = entries
        if (first !== undefined) seeAll(entries, disk.termAt(first.index - 1))
      },
    }
  },
}
