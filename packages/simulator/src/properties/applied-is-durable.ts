import type { Property } from '../observer.ts'

/** No state is ahead of the log it came from: what a node applied is on its own disk. */
export const appliedIsDurable: Property = {
  name: 'what is applied is durable',
  watch(violated) {
    return {
      applied({ id, disk }, { index, term }) {
        if (index > disk.compactedIndex && disk.termAt(index) !== term)
          violated(`${id} applies ${term}/${index}, which is not on its disk`)
      },
    }
  },
}
