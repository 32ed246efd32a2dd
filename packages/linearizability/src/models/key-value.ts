import type { Model } from '../model.ts'

/** What can be asked of a store that maps keys to values. A key that was never set has no value. */
export type KeyValueInput =
  | { readonly type: 'get'; readonly key: string }
  | { readonly type: 'put'; readonly key: string; readonly value: string }
  | { readonly type: 'append'; readonly key: string; readonly value: string }
  | { readonly type: 'delete'; readonly key: string }
  | {
      readonly type: 'compare-and-set'
      readonly key: string
      readonly from: string | null
      readonly to: string
    }

/** The value the key had before the operation, or null if it had none. */
export type KeyValueOutput = string | null

/**
 * A key-value store, each key by itself. Every operation answers with the value it found; record
 * the output as undefined where the store under test does not tell.
 */
export function keyValue(): Model<string | null, KeyValueInput, KeyValueOutput> {
  return {
    initial: null,
    objectOf: ({ key }) => key,
    step(state, input, output) {
      return output === undefined || output === state ? { state: after(state, input) } : null
    },
    identify: (state) => JSON.stringify(state),
    describe(input, output) {
      const found = output === undefined ? '' : `: found ${JSON.stringify(output)}`
      switch (input.type) {
        case 'get':
          return `get ${input.key}${found}`
        case 'put':
          return `put ${input.key} ${JSON.stringify(input.value)}${found}`
        case 'append':
          return `append ${JSON.stringify(input.value)} to ${input.key}${found}`
        case 'delete':
          return `delete ${input.key}${found}`
        case 'compare-and-set':
          return `put ${input.key} ${JSON.stringify(input.to)} if ${JSON.stringify(input.from)}${found}`
      }
    },
  }
}

function after(state: string | null, input: KeyValueInput): string | null {
  switch (input.type) {
    case 'get':
      return state
    case 'put':
      return input.value
    case 'append':
      return (state ?? '') + input.value
    case 'delete':
      return null
    case 'compare-and-set':
      return state === input.from ? input.to : state
  }
}
