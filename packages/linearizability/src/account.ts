/** Why a history is not linearizable, as briefly as can be told. */
import type { Model } from './model.ts'
import type { Operation } from './operation.ts'
import { search } from './search.ts'

/** What one attempt to leave something out may cost. It stays in if that does not suffice. */
const MAX_STEPS = 20_000

/**
 * The part of a history that contradicts itself. First the end is cut off, then each operation's
 * return is forgotten, if the rest still contradicts itself: an operation that may or may not have
 * happened proves nothing, and so no step can make a contradiction that was not there.
 */
export function crux<State, Input, Output>(
  model: Model<State, Input, Output>,
  operations: readonly Operation<Input, Output>[],
): readonly Operation<Input, Output>[] {
  const contradicts = (part: readonly Operation<Input, Output>[]): boolean =>
    search(model, part, MAX_STEPS) === 'none'
  let part = shortestBeginning(operations, contradicts)
  // The latest first: what an answer contradicts is mostly just before it.
  for (const operation of part.toSorted((a, b) => a.returnedAt - b.returnedAt)) {
    const weaker = part.map((kept) => (kept === operation ? forgetReturn(kept) : kept))
    if (isCertain(operation) && contradicts(weaker)) part = weaker
  }
  return part.filter(isCertain).toSorted((a, b) => a.calledAt - b.calledAt)
}

/** The history up to the first return that cannot be explained. */
function shortestBeginning<Input, Output>(
  operations: readonly Operation<Input, Output>[],
  contradicts: (part: readonly Operation<Input, Output>[]) => boolean,
): readonly Operation<Input, Output>[] {
  const ends = operations
    .filter(isCertain)
    .map(({ returnedAt }) => returnedAt)
    .toSorted((a, b) => a - b)
  let [low, high] = [0, ends.length - 1]
  while (low < high) {
    const middle = (low + high) >> 1
    if (contradicts(beginning(operations, ends[middle] ?? 0))) high = middle
    else low = middle + 1
  }
  return beginning(operations, ends[low] ?? 0)
}

/** What was known at `end`: later calls had not come, later returns neither. */
function beginning<Input, Output>(
  operations: readonly Operation<Input, Output>[],
  end: number,
): readonly Operation<Input, Output>[] {
  return operations
    .filter(({ calledAt }) => calledAt <= end)
    .map((operation) => (operation.returnedAt <= end ? operation : forgetReturn(operation)))
}

function forgetReturn<Input, Output>(
  operation: Operation<Input, Output>,
): Operation<Input, Output> {
  return { ...operation, returnedAt: Number.POSITIVE_INFINITY, output: undefined }
}

function isCertain({ returnedAt }: Operation<unknown, unknown>): boolean {
  return returnedAt !== Number.POSITIVE_INFINITY
}

export function account<State, Input, Output>(
  model: Model<State, Input, Output>,
  object: string,
  operations: readonly Operation<Input, Output>[],
): string {
  const tell = ({ input, output }: Operation<Input, Output>): string =>
    model.describe?.(input, output) ?? `${JSON.stringify(input)}: ${JSON.stringify(output)}`
  const whose = object === '' ? '' : ` of ${object}`
  const width = Math.max(...operations.map((operation) => spanOf(operation).length))
  const lines = operations.map((operation) => {
    const who = operation.client === undefined ? '' : `  (client ${operation.client})`
    return `  ${spanOf(operation).padEnd(width)}  ${tell(operation)}${who}`
  })
  return [`no order of these operations${whose} explains their answers:`, ...lines].join('\n')
}

function spanOf({ calledAt, returnedAt }: Operation<unknown, unknown>): string {
  return `${calledAt}..${returnedAt}`
}
