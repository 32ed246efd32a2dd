import type { Contradiction } from './contradiction.ts'
import type { Model } from './model.ts'
import type { Operation } from './operation.ts'

/** Tells people why a history is not linearizable, in as few lines as it takes. */
export function account<State, Input, Output>(
  model: Model<State, Input, Output>,
  object: string,
  { operations, initial, hasPast }: Contradiction<State, Input, Output>,
): string {
  const whose = object === '' ? '' : ` of ${object}`
  const states = initial.map((state) => model.identify(state)).join(' or ')
  const past = hasPast ? [`  before that, the state was ${states}`] : []
  const width = Math.max(...operations.map((operation) => spanOf(operation).length))
  const lines = operations.map((operation) => {
    const who = operation.client === undefined ? '' : `  (client ${operation.client})`
    return `  ${spanOf(operation).padEnd(width)}  ${tell(model, operation)}${who}`
  })
  const headline = `no order of these operations${whose} explains their answers:`
  return [headline, ...past, ...lines].join('\n')
}

function tell<State, Input, Output>(
  model: Model<State, Input, Output>,
  { input, output }: Operation<Input, Output>,
): string {
  return model.describe?.(input, output) ?? `${JSON.stringify(input)}: ${JSON.stringify(output)}`
}

function spanOf({ calledAt, returnedAt }: Operation<unknown, unknown>): string {
  return `${calledAt}..${returnedAt}`
}
