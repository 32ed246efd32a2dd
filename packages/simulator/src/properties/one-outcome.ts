import type { Position } from '@coracle/raft-core'
import { didNotHappen, type Property } from '../observer.ts'
import { numberOf } from '../watched-machine.ts'

/**
 * A proposal has one outcome. Acknowledged, it is in the history, once, where the answer says, and
 * stays there; dropped, it is not, and never comes to be.
 */
export const oneOutcome: Property = {
  name: 'one outcome per proposal',
  watch(violated) {
    const applied = new Map<number, Position>()
    const dropped = new Set<number>()
    const answered = new Set<number>()
    return {
      recovered({ kept }) {
        // What was replaced by others, who are lost now, may come to be after all.
        dropped.clear()
        for (const [number, { index }] of applied) if (index > kept) applied.delete(number)
      },
      applied({ id }, command) {
        const { index, term } = command
        const number = numberOf(command)
        const before = applied.get(number)
        if (before !== undefined && before.index !== index)
          violated(`proposal ${number} is applied at ${before.index} and at ${index}`)
        if (dropped.has(number)) violated(`${id} applies proposal ${number}, which was dropped`)
        applied.set(number, { term, index })
      },
      answered({ kind, number, life }, ending) {
        if (kind !== 'propose') return
        if (answered.has(number)) violated(`proposal ${number} is answered twice`)
        answered.add(number)
        const place = applied.get(number)
        if (ending.type === 'done' && (place?.index !== ending.index || place.term !== ending.term))
          violated(
            `${life.id} says proposal ${number} is at ${ending.term}/${ending.index}: it is not`,
          )
        if (!didNotHappen(ending)) return
        dropped.add(number)
        if (place !== undefined)
          violated(`${life.id} says that proposal ${number} did not happen, but it is applied`)
      },
    }
  },
}
