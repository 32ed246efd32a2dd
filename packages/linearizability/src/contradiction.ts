/** The part of a history that cannot be explained, made small enough to be understood. */
import type { Model } from './model.ts'
import type { Operation } from './operation.ts'
import { endStates, search } from './search.ts'

export interface Contradiction<State, Input, Output> {
  /** What cannot be explained, in the order of calls. */
  readonly operations: readonly Operation<Input, Output>[]
  /** The states that the object may have been in before that. */
  readonly initial: readonly State[]
  /** Operations came before, and led there. */
  readonly hasPast: boolean
}

/** What one attempt to leave something out may cost. It stays in if that does not suffice. */
const MAX_STEPS = 20_000

/** Cuts off what came before and after, then leaves out what does not matter. */
export function findContradiction<State, Input, Output>(
  model: Model<State, Input, Output>,
  operations: readonly Operation<Input, Output>[],
): Contradiction<State, Input, Output> {
  const { part, initial, hasPast } = cutOffPast(model, operations)
  const contradicts = (fewer: readonly Operation<Input, Output>[]): boolean =>
    search(model, fewer, { initial, maxSteps: MAX_STEPS }) === 'none'
  const least = leaveOut(cutOffFuture(part, contradicts), contradicts)
  return { operations: least.toSorted(byCall), initial, hasPast }
}

/**
 * Whenever nothing is under way, the past matters only by the states it may have led to. So the
 * history falls into sections, and the first that cannot be explained is looked at alone.
 */
function cutOffPast<State, Input, Output>(
  model: Model<State, Input, Output>,
  operations: readonly Operation<Input, Output>[],
): {
  readonly part: readonly Operation<Input, Output>[]
  readonly initial: readonly State[]
  readonly hasPast: boolean
} {
  let initial: readonly State[] = [model.initial]
  let hasPast = false
  const left = operations.toSorted(byCall)
  for (;;) {
    const section = left.slice(0, lengthOfSection(left))
    const ends = endStates(model, section, { initial, maxSteps: MAX_STEPS })
    // Not known, or none: the contradiction begins here.
    if (ends === null || ends.length === 0 || section.length === left.length)
      return { part: left, initial, hasPast }
    initial = ends
    hasPast = true
    left.splice(0, section.length)
  }
}

/** How many operations from the first on overlap with each other, in a row. */
function lengthOfSection(operations: readonly Operation<unknown, unknown>[]): number {
  let end = Number.NEGATIVE_INFINITY
  const next = operations.findIndex(({ calledAt, returnedAt }, at) => {
    if (at > 0 && calledAt > end) return true
    end = Math.max(end, returnedAt)
    return false
  })
  return next === -1 ? operations.length : next
}

/** The history up to the first return that cannot be explained. */
function cutOffFuture<Input, Output>(
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
    if (contradicts(whatWasKnown(operations, ends[middle] as number))) high = middle
    else low = middle + 1
  }
  return whatWasKnown(operations, ends[low] as number)
}

/** What was known at `end`: later calls had not come, later returns neither. */
function whatWasKnown<Input, Output>(
  operations: readonly Operation<Input, Output>[],
  end: number,
): readonly Operation<Input, Output>[] {
  return operations
    .filter(({ calledAt }) => calledAt <= end)
    .map((operation) => (operation.returnedAt <= end ? operation : forgetReturn(operation)))
}

/**
 * Forgets one return after the other, as long as the rest still contradicts itself: an operation
 * that may or may not have happened proves nothing, so this makes no contradiction of its own.
 */
function leaveOut<Input, Output>(
  operations: readonly Operation<Input, Output>[],
  contradicts: (part: readonly Operation<Input, Output>[]) => boolean,
): readonly Operation<Input, Output>[] {
  let part = operations
  for (const operation of operations.filter(isCertain)) {
    const weaker = part.map((kept) => (kept === operation ? forgetReturn(kept) : kept))
    if (contradicts(weaker)) part = weaker
  }
  return part.filter(isCertain)
}

function forgetReturn<Input, Output>(
  operation: Operation<Input, Output>,
): Operation<Input, Output> {
  return { ...operation, returnedAt: Number.POSITIVE_INFINITY, output: undefined }
}

function isCertain({ returnedAt }: Operation<unknown, unknown>): boolean {
  return returnedAt !== Number.POSITIVE_INFINITY
}

function byCall(a: Operation<unknown, unknown>, b: Operation<unknown, unknown>): number {
  return a.calledAt - b.calledAt
}
