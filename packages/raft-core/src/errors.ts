import type { NodeId } from './types.ts'

/**
 * Answers the question a caller has after a failure: did it happen?
 *
 * | code | did it happen? | what now? |
 * |---|---|---|
 * | `NOT_LEADER` | no | ask `leader`, if it is known |
 * | `PROPOSAL_DROPPED` | no | try again later |
 * | `PROPOSAL_TOO_LARGE` | no | make it smaller |
 * | `MEMBERSHIP_CHANGE_PENDING` | no | wait for the change under way; of a new leader, for a `read` |
 * | `MEMBERSHIP_CHANGE_REFUSED` | no | look at the message: the change makes no sense as it is |
 * | `OUTCOME_UNKNOWN` | perhaps | try again only if doing it twice is harmless |
 * | `UNAVAILABLE` | nothing was to happen | no majority, or no room, just now: try again later |
 * | `COMPACTED` | nothing was to happen | the log no longer holds these entries |
 * | `RECOVERY_REFUSED` | no | look at the message: the recovery would do harm as it is |
 * | `REMOVED` | perhaps | the cluster has removed this node: look at `cause` of `STOPPED` for it |
 * | `STOPPED` | perhaps | the node was disposed, or failed for the reason in `cause` |
 */
export type RaftErrorCode =
  | 'NOT_LEADER'
  | 'PROPOSAL_DROPPED'
  | 'PROPOSAL_TOO_LARGE'
  | 'MEMBERSHIP_CHANGE_PENDING'
  | 'MEMBERSHIP_CHANGE_REFUSED'
  | 'OUTCOME_UNKNOWN'
  | 'UNAVAILABLE'
  | 'COMPACTED'
  | 'RECOVERY_REFUSED'
  | 'REMOVED'
  | 'STOPPED'

/** An operating error. The `code` is part of the API; the message is for people and may change. */
export class RaftError extends Error {
  override readonly name = 'RaftError'
  readonly code: RaftErrorCode
  /** The leader, as far as the failing node knew one. */
  readonly leader: NodeId | null

  constructor(
    code: RaftErrorCode,
    message: string,
    options: { readonly leader?: NodeId | null; readonly cause?: unknown } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.leader = options.leader ?? null
  }
}

/** A rule that can never be broken was: the node stops rather than go on from a wrong state. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError'
}

/** Holds in production too. The message is a constant so that checking costs next to nothing. */
export function assert(condition: boolean, rule: string): asserts condition {
  if (!condition) throw new InvariantError(rule)
}
