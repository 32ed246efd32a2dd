/**
 * The search for one order of the operations that explains all answers: Wing and Gong's algorithm
 * (1993) with Lowe's memory of dead ends (2017).
 *
 * Calls and returns stand in a list by time. Whatever is called before the first return may come
 * next; it is tried and taken out of the list with its return. At the first return nothing more may
 * be tried: its operation should have happened by now, so the last choice is taken back. A set of
 * operations done that leads to the same state as before, in whatever order, is not tried again.
 */
import type { Model } from './model.ts'
import type { Operation } from './operation.ts'

/** `none` is certain; who gave up does not know. */
export type Outcome = 'found' | 'none' | 'gave up'

export interface SearchOptions<State> {
  /** The states that the object may be in at first. */
  readonly initial: readonly State[]
  /** How many operations may be tried. */
  readonly maxSteps: number
}

/** Is there an order that explains the answers? */
export function search<State, Input, Output>(
  model: Model<State, Input, Output>,
  operations: readonly Operation<Input, Output>[],
  { initial, maxSteps }: SearchOptions<State>,
): Outcome {
  for (const state of initial) {
    const outcome = explore(model, operations, { state, maxSteps, isEnough: () => true })
    if (outcome !== 'none') return outcome
  }
  return 'none'
}

/** All states that the object may be in after the operations; null if that is too much to find out. */
export function endStates<State, Input, Output>(
  model: Model<State, Input, Output>,
  operations: readonly Operation<Input, Output>[],
  { initial, maxSteps }: SearchOptions<State>,
): readonly State[] | null {
  const ends = new Map<string, State>()
  const isEnough = (state: State): boolean => {
    ends.set(model.identify(state), state)
    return false
  }
  for (const state of initial)
    if (explore(model, operations, { state, maxSteps, isEnough }) === 'gave up') return null
  return [...ends.values()]
}

/** Goes through the orders that explain the answers, until the state after one is enough. */
function explore<State, Input, Output>(
  model: Model<State, Input, Output>,
  operations: readonly Operation<Input, Output>[],
  from: {
    readonly state: State
    readonly maxSteps: number
    readonly isEnough: (end: State) => boolean
  },
): Outcome {
  const timeline = new Timeline(operations)
  const tried = new Tried(operations.length)
  const chosen: { readonly mark: Mark; readonly before: State; readonly beforeId: string }[] = []
  let state = from.state
  let stateId = model.identify(state)
  let mark = timeline.first
  for (let steps = 0; ;) {
    if (timeline.returnsLeft === 0 && from.isEnough(state)) return 'found'
    if (mark === null || mark.isReturn || timeline.returnsLeft === 0) {
      const last = chosen.pop()
      if (last === undefined) return 'none'
      timeline.putBack(last.mark)
      tried.remove(last.mark.operation)
      state = last.before
      stateId = last.beforeId
      mark = last.mark.next
      continue
    }
    steps += 1
    if (steps > from.maxSteps) return 'gave up'
    const { input, output } = operations[mark.operation] as Operation<Input, Output>
    const next = model.step(state, input, output)
    const nextId = next === null ? stateId : model.identify(next.state)
    // What need not have happened, and would change nothing, helps nobody.
    const isPointless = mark.return === null && nextId === stateId
    if (next !== null && !isPointless && tried.add(mark.operation, nextId)) {
      chosen.push({ mark, before: state, beforeId: stateId })
      state = next.state
      stateId = nextId
      timeline.takeOut(mark)
      mark = timeline.first
    } else mark = mark.next
  }
}

/** A call or a return in the list. */
interface Mark {
  readonly operation: number
  readonly isReturn: boolean
  readonly time: number
  /** The return that belongs to a call; null if none came. */
  return: Mark | null
  previous: Mark | null
  next: Mark | null
}

class Timeline {
  #first: Mark | null = null
  /** Operations that must have happened and have not yet. */
  returnsLeft = 0

  constructor(operations: readonly Operation<unknown, unknown>[]) {
    const marks = operations.flatMap(({ calledAt, returnedAt }, operation) => {
      const call = createMark(operation, false, calledAt)
      if (returnedAt === Number.POSITIVE_INFINITY) return [call]
      this.returnsLeft += 1
      call.return = createMark(operation, true, returnedAt)
      return [call, call.return]
    })
    // At the same time, calls come first: then the operations are concurrent.
    marks.sort((a, b) => a.time - b.time || Number(a.isReturn) - Number(b.isReturn))
    let previous: Mark | null = null
    for (const mark of marks) {
      mark.previous = previous
      if (previous === null) this.#first = mark
      else previous.next = mark
      previous = mark
    }
  }

  get first(): Mark | null {
    return this.#first
  }

  takeOut(call: Mark): void {
    this.#unlink(call)
    if (call.return === null) return
    this.#unlink(call.return)
    this.returnsLeft -= 1
  }

  /** Undoes the newest `takeOut` that was not undone yet: the neighbours are as they were then. */
  putBack(call: Mark): void {
    if (call.return !== null) {
      this.#link(call.return)
      this.returnsLeft += 1
    }
    this.#link(call)
  }

  #unlink(mark: Mark): void {
    if (mark.previous === null) this.#first = mark.next
    else mark.previous.next = mark.next
    if (mark.next !== null) mark.next.previous = mark.previous
  }

  #link(mark: Mark): void {
    if (mark.previous === null) this.#first = mark
    else mark.previous.next = mark
    if (mark.next !== null) mark.next.previous = mark
  }
}

function createMark(operation: number, isReturn: boolean, time: number): Mark {
  return { operation, isReturn, time, return: null, previous: null, next: null }
}

/** The operations done at this moment, and every combination of such a set and a state there was. */
class Tried {
  readonly #done: Uint32Array
  #hash = 0
  readonly #seen = new Map<number, { readonly done: Uint32Array; readonly state: string }[]>()

  constructor(operations: number) {
    this.#done = new Uint32Array(Math.ceil(operations / 32))
  }

  /** Adds an operation if that, with the state it leads to, is new; answers whether it was. */
  add(operation: number, state: string): boolean {
    this.#flip(operation)
    const alike = this.#seen.get(this.#hash)
    if (alike === undefined) this.#seen.set(this.#hash, [{ done: this.#done.slice(), state }])
    else if (alike.some((known) => known.state === state && this.#isDone(known.done))) {
      this.#flip(operation)
      return false
    } else alike.push({ done: this.#done.slice(), state })
    return true
  }

  remove(operation: number): void {
    this.#flip(operation)
  }

  #isDone(other: Uint32Array): boolean {
    return other.every((word, at) => word === this.#done[at])
  }

  /** The hash is the exclusive-or of a number per operation, so that it follows at once. */
  #flip(operation: number): void {
    const word = operation >>> 5
    this.#done[word] = (this.#done[word] as number) ^ (1 << (operation & 31))
    this.#hash ^= scramble(operation + 1)
  }
}

/** Spreads small numbers over 32 bits (the finalizer of MurmurHash3). */
function scramble(number: number): number {
  let hash = Math.imul(number ^ (number >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}
