import type { Life, Property } from '../observer.ts'

/**
 * At most one leader per term (Fig. 3). A node that crashed and leads again must do so in another
 * term: it cannot know any more what it said in the first one.
 */
export const electionSafety: Property = {
  name: 'election safety',
  watch(violated) {
    const leaders = new Map<number, Life>()
    return {
      happened(life, event) {
        if (event.type !== 'role-changed' || event.role !== 'leader') return
        const other = leaders.get(event.term)
        leaders.set(event.term, life)
        if (other !== undefined && other.id !== life.id)
          violated(`${other.id} and ${life.id} both lead term ${event.term}`)
        else if (other !== undefined && other.number !== life.number)
          violated(`${life.id} leads term ${event.term} in two lives`)
      },
    }
  },
}
