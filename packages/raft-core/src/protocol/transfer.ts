import type { NodeId } from '../types.ts'
import { send } from './effects.ts'
import { giveUpLease } from './lease.ts'
import { isHeard } from './progress.ts'
import { progressOf, membership, type RaftState } from './state.ts'

/**
 * Hands leadership to `to`, or to the voter that is furthest (thesis 3.10): brings its log up to
 * date, asks it to campaign at once, and takes no proposals meanwhile. Answers with who it is, or
 * null if nobody can take over.
 */
export function startTransfer(
  raft: RaftState,
  to: NodeId | null,
  { isForced = false }: { readonly isForced?: boolean } = {},
): NodeId | null {
  if (raft.role !== 'leader') return null
  const heir = to ?? furthestVoter(raft)
  if (heir === null || heir === raft.id || !membership(raft).voters.includes(heir)) return null
  raft.transfer = { to: heir, elapsed: 0, asked: false, isForced }
  continueTransfer(raft)
  return heir
}

/** Asks the heir to campaign once it has the whole log. */
export function continueTransfer(raft: RaftState): void {
  const { transfer } = raft
  if (transfer === null || transfer.asked) return
  if (progressOf(raft, transfer.to)?.matchIndex !== raft.log.lastIndex) return
  giveUpLease(raft)
  raft.transfer = { ...transfer, asked: true }
  send(raft, { type: 'timeout-now', from: raft.id, to: transfer.to, term: raft.term })
}

/** A transfer that takes longer than an election timeout is given up, and proposals flow again. */
export function tickTransfer(raft: RaftState): void {
  if (raft.transfer === null) return
  raft.transfer.elapsed += 1
  if (raft.transfer.elapsed >= raft.options.electionTicks) raft.transfer = null
}

function furthestVoter(raft: RaftState): NodeId | null {
  const voters = raft.peers.filter(
    (peer) => isHeard(peer) && membership(raft).voters.includes(peer.id),
  )
  if (voters.length === 0) return null
  return voters.reduce((best, peer) => (peer.matchIndex > best.matchIndex ? peer : best)).id
}
