import type { Model, Operation } from '../src/index.ts'

/** Tries every order of every choice of the operations that may not have happened. */
export function isLinearizable<State, Input, Output>(
  model: Model<State, Input, Output>,
  operations: readonly Operation<Input, Output>[],
  state: State = model.initial,
): boolean {
  if (operations.every(({ returnedAt }) => returnedAt === Number.POSITIVE_INFINITY)) return true
  return operations.some((operation) => {
    const isTooLate = operations.some(({ returnedAt }) => returnedAt < operation.calledAt)
    if (isTooLate) return false
    const next = model.step(state, operation.input, operation.output)
    if (next === null) return false
    return isLinearizable(
      model,
      operations.filter((other) => other !== operation),
      next.state,
    )
  })
}
