import type { Membership, NodeId, Position, RaftEvent } from '@coracle/raft-core'

/** Where an entry stands, as the trace writes it: term/index. */
export function place({ term, index }: Position): string {
  return `${term}/${index}`
}

/** Who takes part, as the trace writes it: voters, those who leave in brackets, learners. */
export function list({ voters, outgoing, learners }: Membership): string {
  const leaving = outgoing.length === 0 ? '' : ` (and the majority of ${outgoing.join(' ')})`
  const learning = learners.length === 0 ? '' : `, learning: ${learners.join(' ')}`
  return `${voters.join(' ') || 'nobody'}${leaving}${learning}`
}

/** Tells an event in a line that a person can follow, or null for what goes without saying. */
export function narrate(event: RaftEvent): string | null {
  const { node, term } = event
  switch (event.type) {
    case 'election-started':
      return event.preVote
        ? `${node} asks who would vote for it at term ${term + 1}`
        : `${node} campaigns at term ${term}`
    case 'vote-refused':
      return event.preVote
        ? `${node} would not vote for ${event.candidate}: ${event.why}`
        : `${node} refused its vote to ${event.candidate} at term ${term}: ${event.why}`
    case 'vote-granted':
      return event.preVote
        ? `${node} would vote for ${event.candidate}`
        : `${node} voted for ${event.candidate} at term ${term}`
    case 'role-changed':
      return narrateRole(node, term, event.role, event.leader)
    case 'leader-stalled':
      return `${node} leads and stands still: ${event.why === 'disk' ? 'its disk' : 'its process'}`
    case 'entries-appended':
      return event.from === event.last.index
        ? `${node} appended ${place(event.last)}`
        : `${node} appended ${event.from} to ${place(event.last)}`
    case 'entries-truncated':
      return `${node} dropped its log from ${event.from} on`
    case 'entries-committed':
      return `${node} committed up to ${event.index}`
    case 'message-ignored':
      return `${node} ignored ${event.message} from ${event.from}: ${event.why}`
    case 'snapshot-installed':
      return `${node} replaced its log by a snapshot up to ${place(event.position)}`
    case 'node-removed':
      return `${node} learned that it was removed at ${event.index}`
    case 'membership-changed':
      return `${node} goes on with ${list(event.membership)}`
    case 'entries-applied':
    case 'message-sent':
    case 'message-received':
    case 'snapshot-taken':
    case 'node-failed':
      return null
  }
}

function narrateRole(
  node: NodeId,
  term: number,
  role: string,
  leader: NodeId | null,
): string | null {
  if (role === 'leader') return `${node} became leader at term ${term}`
  if (role !== 'follower') return null
  return leader === null
    ? `${node} became follower at term ${term}`
    : `${node} follows ${leader} at term ${term}`
}
