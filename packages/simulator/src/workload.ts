import type { Model } from '@coracle/linearizability'
import type { StateMachine } from '@coracle/raft-core'
import type { Random } from './random.ts'

/** A state machine, and what a simulation may ask of it beside the contract. It lives in memory. */
export interface TestedMachine<Input, Output> extends StateMachine<Output> {
  /** Answers what only reads, from the state as it is, without a command. */
  query?(input: Input): Output
  /** Equal for equal states: compared between nodes that have applied the same. */
  digest?(): string
}

/** How much a seed wants to be asked for. */
export interface Load {
  /** How many of the inputs are reads. */
  readonly reads: number
  /** Few keys are fought over, and many are not. */
  readonly keys: number
  /** The largest value, in characters. */
  readonly maxValueLength: number
}

/** A state machine under test, and what clients do with it. */
export interface Workload<Input, Output> {
  /** A new and empty state machine: one for every life of every node. */
  open(): TestedMachine<Input, Output>
  /** What a client asks for next. `number` is never the same twice. */
  draw(random: Random, load: Load, number: number): Input
  /** An input that `query` answers; all others become commands. Default: none. */
  isRead?(input: Input): boolean
  encode(input: Input): Uint8Array
  /** What must be true of the answers. Default: nothing but that all nodes agree. */
  readonly model?: Model<unknown, Input, Output>
}

/** Whatever the inputs and outputs of a workload are, a simulation only passes them on. */
export type AnyWorkload = Workload<unknown, unknown>
