import { checkLinearizability } from '@coracle/linearizability'
import type { Recorded } from '../clients.ts'
import type { Property } from '../observer.ts'
import { numberOf } from '../watched-machine.ts'

/** Nearly all histories take a few thousand steps. The rest is left to the other properties. */
const MAX_STEPS = 200_000

/**
 * What the clients saw is what one machine could have shown them. Of a write without an answer the
 * simulation knows more than its client: it happened before anybody applied it, or never.
 */
export const linearizableHistory: Property = {
  name: 'linearizability',
  watch(violated, world) {
    const { model } = world.workload
    if (model === undefined) return {}
    const history: Recorded[] = []
    const firstApplied = new Map<number, number>()
    let isOver = false
    const check = (): void => {
      const known = history.flatMap(({ number, operation }) => {
        if (operation.output !== undefined) return [operation]
        const returnedAt = firstApplied.get(number)
        return returnedAt === undefined ? [] : [{ ...operation, returnedAt }]
      })
      const verdict = checkLinearizability(model, known, { maxSteps: MAX_STEPS })
      if (verdict.linearizable === false) violated(verdict.account)
    }
    return {
      recovered() {
        // Of what was lost the history cannot tell: it ends here.
        check()
        isOver = true
      },
      applied(_, command) {
        const number = numberOf(command)
        if (!firstApplied.has(number))
          firstApplied.set(number, Math.round(world.now() * 1000) / 1000)
      },
      recorded(recorded) {
        history.push(recorded)
      },
      ended() {
        if (!isOver) check()
      },
    }
  },
}
