import type { Propose, ProposeReply } from '../messages.ts'
import type { Raft } from '../protocol/raft.ts'
import { type NodeId, ORIGIN } from '../types.ts'
import type { Proposal, Proposals } from './proposals.ts'

/** A batch on its way to the leader is cut at this size, so that none holds up the messages behind it. */
const MAX_BATCH_BYTES = 1 << 20

/**
 * A follower's proposals travel to the leader and are answered where they were made, once they are
 * applied there (§8): the leader only says where in the log it put them.
 */
export function forwardProposals<Result>(
  raft: Raft,
  proposals: Proposals<Result>,
  leader: NodeId,
  send: (message: Propose) => void,
): void {
  for (const batch of batches(proposals.takeQueue()))
    send({
      type: 'propose',
      from: raft.id,
      to: leader,
      term: raft.term,
      id: proposals.forward(batch),
      commands: batch.map((proposal) => proposal.command),
    })
}

function* batches<Result>(
  proposals: readonly Proposal<Result>[],
): Iterable<readonly Proposal<Result>[]> {
  let start = 0
  let bytes = 0
  for (const [at, { command }] of proposals.entries()) {
    if (at > start && bytes + command.length > MAX_BATCH_BYTES) {
      yield proposals.slice(start, at)
      start = at
      bytes = 0
    }
    bytes += command.length
  }
  if (start < proposals.length) yield proposals.slice(start)
}

/**
 * The leader's side: append what there is room for, and say where. Its own limit on commands holds for
 * those of others, too: one that is too large has no place in its log, and it says so when that one is
 * the first.
 */
export function answerForwarded(
  raft: Raft,
  message: Propose,
  { maxCommandBytes }: { readonly maxCommandBytes: number },
): ProposeReply {
  const { commands } = message
  const tooLarge = commands.findIndex((command) => command.length > maxCommandBytes)
  const fitting = tooLarge < 0 ? commands : commands.slice(0, tooLarge)
  const outcome = raft.propose(fitting)
  const isRefused = tooLarge === 0 && raft.role === 'leader'
  const { accepted, first } = isRefused ? { accepted: 0, first: ORIGIN } : outcome
  return {
    type: 'propose-reply',
    from: raft.id,
    to: message.from,
    term: raft.term,
    id: message.id,
    accepted,
    first,
  }
}

/** The leader has answered: what it took has a place in the log, the rest waits again. */
export function handleForwardedReply<Result>(
  raft: Raft,
  proposals: Proposals<Result>,
  message: ProposeReply,
): void {
  const batch = proposals.takeForwarded(message.id)
  if (batch === null) return
  const [head, ...rest] = batch
  if (message.accepted === 0 && message.first.index === 0 && head !== undefined) {
    proposals.refusedAsTooLarge(head)
    proposals.putBack(rest)
    return
  }
  const taken = batch.slice(0, message.accepted)
  proposals.place(taken, message.first)
  proposals.refused(batch.slice(taken.length))
  // The answer came after the entries themselves: their results are gone already.
  if (message.accepted > 0 && message.first.index <= raft.appliedIndex)
    proposals.skipped(raft.appliedIndex)
}
