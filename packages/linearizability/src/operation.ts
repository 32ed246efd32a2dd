/**
 * One operation of a recorded history, as the client that asked for it saw it.
 *
 * Times may be of any unit, if they come from one clock that never goes back. Of two operations
 * with the same time at their ends nobody can say which was first, so they count as concurrent.
 */
export interface Operation<Input, Output> {
  readonly input: Input
  /** When it was asked for. It did not happen before. */
  readonly calledAt: number
  /**
   * When the answer came: it happened before. `Infinity` if none came: it may have happened at any
   * time after the call, and may still happen, or never. An operation that certainly did not happen
   * is no part of the history.
   */
  readonly returnedAt: number
  /** The answer, or undefined if nobody knows it. */
  readonly output: Output | undefined
  /** Who asked, for the account of a failure. */
  readonly client?: string | number
}
