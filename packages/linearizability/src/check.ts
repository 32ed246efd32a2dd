import { account } from './account.ts'
import { findContradiction } from './contradiction.ts'
import type { Model } from './model.ts'
import type { Operation } from './operation.ts'
import { search } from './search.ts'

export interface CheckOptions {
  /**
   * How many operations the search may try before it gives up. Deciding is NP-complete: most
   * histories take little more steps than they have operations, a few take all there are. Default
   * 1 million.
   */
  readonly maxSteps?: number
}

export type Verdict<Input, Output> =
  | { readonly linearizable: true }
  | {
      readonly linearizable: false
      /** The object whose history it is, as the model names it. */
      readonly object: string
      /**
       * The smallest part that was found to contradict itself, in the order of calls. What is left
       * out was before that, or later, or does not matter, whether it happened or not.
       */
      readonly operations: readonly Operation<Input, Output>[]
      /** The same for people, in a few lines. */
      readonly account: string
    }
  | {
      /** The search gave up. */
      readonly linearizable: 'unknown'
      readonly object: string
    }

const DEFAULT_MAX_STEPS = 1_000_000

/**
 * Is there an order of all operations, each somewhere between its call and its return, in which
 * the model gives the answers that were recorded (Herlihy and Wing, 1990)?
 *
 * @example
 * const verdict = checkLinearizability(register(), [
 *   { input: { type: 'write', value: 'a' }, output: null, calledAt: 0, returnedAt: 1 },
 *   { input: { type: 'read' }, output: null, calledAt: 2, returnedAt: 3 },
 * ])
 * if (verdict.linearizable === false) console.log(verdict.account)
 */
export function checkLinearizability<State, Input, Output>(
  model: Model<State, Input, Output>,
  history: readonly Operation<Input, Output>[],
  options: CheckOptions = {},
): Verdict<Input, Output> {
  const maxSteps = options.maxSteps ?? DEFAULT_MAX_STEPS
  if (!Number.isSafeInteger(maxSteps) || maxSteps < 1)
    throw new RangeError(`maxSteps must be a whole number of at least 1, not ${maxSteps}`)
  for (const operation of history) checkTimes(operation)
  let unknown: string | null = null
  for (const [object, operations] of byObject(model, history)) {
    const outcome = search(model, operations, { initial: [model.initial], maxSteps })
    if (outcome === 'found') continue
    if (outcome === 'gave up') {
      unknown ??= object
      continue
    }
    const contradiction = findContradiction(model, operations)
    return {
      linearizable: false,
      object,
      operations: contradiction.operations,
      account: account(model, object, contradiction),
    }
  }
  return unknown === null ? { linearizable: true } : { linearizable: 'unknown', object: unknown }
}

function checkTimes({ calledAt, returnedAt }: Operation<unknown, unknown>): void {
  if (!Number.isFinite(calledAt) || !(returnedAt >= calledAt))
    throw new RangeError(`an operation cannot last from ${calledAt} to ${returnedAt}`)
}

function byObject<State, Input, Output>(
  model: Model<State, Input, Output>,
  history: readonly Operation<Input, Output>[],
): ReadonlyMap<string, readonly Operation<Input, Output>[]> {
  const objects = new Map<string, Operation<Input, Output>[]>()
  for (const operation of history) {
    const object = model.objectOf?.(operation.input) ?? ''
    const known = objects.get(object)
    if (known === undefined) objects.set(object, [operation])
    else known.push(operation)
  }
  return objects
}
