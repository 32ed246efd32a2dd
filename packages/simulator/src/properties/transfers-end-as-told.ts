import type { Property } from '../observer.ts'

/** Whoever was told that leadership is handed over knows another leader, or knows that it leads on. */
export const transfersEndAsTold: Property = {
  name: 'leadership is where it was said to be',
  watch(violated, world) {
    return {
      answered({ kind, life: { id } }, ending) {
        if (kind !== 'transfer' || ending.type !== 'done') return
        const leader = world.statusOf(id)?.leader ?? null
        if (leader === null || leader === id)
          violated(`${id} says that it has handed over, and ${leader ?? 'nobody'} leads`)
      },
    }
  },
}
