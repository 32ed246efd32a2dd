import type { LogIndex, Term } from '../types.ts'

/**
 * The application: what the committed commands act on (§2, §7).
 *
 * It is deterministic. The same commands in the same order give the same state and the same
 * results on every node: no clock, no randomness, no I/O whose outcome could differ, and no
 * failure that depends on one machine. A command that cannot be carried out has a result that says
 * so; an exception means that this node can no longer be trusted, and stops it.
 *
 * The node makes one call at a time, and awaits it, except that the chunks of a snapshot may be
 * read while later commands are applied.
 */
export interface StateMachine<Result = unknown> {
  /**
   * The last index whose effects survive a restart, or 0 for a state that lives in memory. Read
   * once, before the first call; commands after it are applied again.
   */
  readonly durableIndex: LogIndex

  /**
   * Applies committed commands in order and answers each of them, at the same place of the array.
   * How commands are grouped into calls must not matter.
   */
  apply(commands: readonly Command[]): readonly Result[] | Promise<readonly Result[]>

  /**
   * The state as of the last `apply`, whatever is applied later. Taking it must not block: the
   * work is done as the chunks are read, and not at all if they never are.
   */
  snapshot(): AsyncIterable<Uint8Array>

  /** Becomes exactly the state that was snapshotted, whatever it was before. Chunks may be cut anywhere. */
  restore(chunks: AsyncIterable<Uint8Array>): Promise<void>
}

/** A committed command and its place in the one history. */
export interface Command {
  readonly index: LogIndex
  readonly term: Term
  readonly data: Uint8Array
}
