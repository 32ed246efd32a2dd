import type { Property, Request } from '../observer.ts'

/** Every request ends, in success or in a failure that says what is known. */
export const requestsSettle: Property = {
  name: 'every request settles',
  watch(violated, world) {
    const open = new Set<Request>()
    return {
      asked: (request) => open.add(request),
      answered(request, ending) {
        open.delete(request)
        if (ending.type === 'failed' && !CODES.includes(ending.code))
          violated(`a ${request.kind} at ${request.life.id} failed by ${ending.code}`)
      },
      ended(core) {
        for (const { kind, life, calledAt } of open)
          if (core.includes(life.id))
            violated(
              `a ${kind} at ${life.id} waits since ${calledAt.toFixed(1)}; it is ${world.now().toFixed(1)}`,
            )
      },
    }
  },
}

const CODES: readonly string[] = [
  'NOT_LEADER',
  'PROPOSAL_DROPPED',
  'PROPOSAL_TOO_LARGE',
  'OUTCOME_UNKNOWN',
  'UNAVAILABLE',
  'MEMBERSHIP_CHANGE_PENDING',
  'MEMBERSHIP_CHANGE_REFUSED',
  'STOPPED',
]
