import type { Model } from '../model.ts'

/** What can be asked of a register that holds one value; `null` is a value like any other. */
export type RegisterInput =
  | { readonly type: 'read' }
  | { readonly type: 'write'; readonly value: string | null }
  | { readonly type: 'compare-and-set'; readonly from: string | null; readonly to: string | null }

/** What was read; null for a write; whether it was set for a compare-and-set. */
export type RegisterOutput = string | null | boolean

/** One register, `initial` at first. */
export function register(
  initial: string | null = null,
): Model<string | null, RegisterInput, RegisterOutput> {
  return {
    initial,
    step(state, input, output) {
      switch (input.type) {
        case 'read':
          return output === undefined || output === state ? { state } : null
        case 'write':
          return { state: input.value }
        case 'compare-and-set': {
          const isSet = state === input.from
          if (output !== undefined && output !== isSet) return null
          return { state: isSet ? input.to : state }
        }
      }
    },
    identify: (state) => JSON.stringify(state),
    describe(input, output) {
      const answer = output === undefined ? '?' : JSON.stringify(output)
      switch (input.type) {
        case 'read':
          return `read: ${answer}`
        case 'write':
          return `write ${JSON.stringify(input.value)}`
        case 'compare-and-set':
          return `set ${JSON.stringify(input.to)} if ${JSON.stringify(input.from)}: ${answer}`
      }
    },
  }
}
