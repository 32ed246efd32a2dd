import type { LogIndex } from '@coracle/raft-core'
import type { Property, Request } from '../observer.ts'

/** Floating point: a difference this small between two moments is none. */
const NO_TIME_MS = 1e-6

/**
 * A read that asks for less than everything gets what it asks for: at least the index that it names,
 * or all that was acknowledged anywhere until so long ago, by the clock of the node that is asked. And
 * the state machine that it then reads is there, not only the node's word for it.
 */
export const askedForReads: Property = {
  name: 'reads see what they ask for',
  watch(violated, world) {
    /** When the highest acknowledged index became higher, and what it was then. */
    let steps: { readonly time: number; readonly index: LogIndex }[] = []
    /** The indexes of all commands that anybody has applied, in order. */
    let commands: LogIndex[] = []
    const reached = new Map<string, LogIndex>()
    const floors = new Map<Request, LogIndex>()
    const acknowledgedBefore = (time: number): LogIndex =>
      steps.findLast((step) => step.time < time - NO_TIME_MS)?.index ?? 0
    return {
      started: ({ id }) => reached.set(id, 0),
      restored: ({ id }, index) => reached.set(id, index),
      reached: ({ id }, index) => reached.set(id, index),
      applied(_, { index }) {
        if (index > (commands.at(-1) ?? 0)) commands.push(index)
      },
      asked(request) {
        const { kind, consistency, life, calledAt } = request
        if (kind !== 'read' || consistency === 'linearizable') return
        if ('atLeast' in consistency) floors.set(request, consistency.atLeast)
        else
          floors.set(
            request,
            acknowledgedBefore(calledAt - consistency.maxLagMs * world.driftOf(life.id)),
          )
      },
      answered(request, ending) {
        const floor = floors.get(request) ?? 0
        floors.delete(request)
        if (ending.type !== 'done' || (request.kind !== 'read' && request.kind !== 'propose'))
          return
        const { index } = ending
        if (index > (steps.at(-1)?.index ?? 0)) steps.push({ time: world.now(), index })
        if (request.kind !== 'read') return
        const { id } = request.life
        const asked = JSON.stringify(request.consistency)
        if (index < floor) violated(`${id} read at ${index}, but ${asked} means ${floor} at least`)
        const last = commands.findLast((command) => command <= index) ?? 0
        if ((reached.get(id) ?? 0) < last)
          violated(`${id} let read at ${index}, with a state as of ${reached.get(id)}`)
      },
      recovered({ kept }) {
        steps = steps.filter((step) => step.index <= kept)
        commands = commands.filter((index) => index <= kept)
      },
    }
  },
}
