/** Raft's events as lines of the log: only those that an operator would want to read. */
import type { Trace } from '@coracle/raft-core'
import type { Log } from './log.ts'

/**
 * Most events come with every message, and cost no more here than a look at their type. What has
 * failed is for whoever waits for the node to stop, and is not told twice.
 */
export function logEvents(log: Log): Trace {
  let leader: string | null = null
  return (event) => {
    switch (event.type) {
      case 'role-changed':
        leader = logRole(log, event, leader)
        return
      case 'election-started':
        log.info({ term: event.term, 'pre-vote': event.preVote }, 'starting an election')
        return
      case 'membership-changed':
        log.info({ voters: event.membership.voters }, 'membership changed')
        return
      case 'snapshot-taken':
        log.info({ index: event.position.index }, 'saved snapshot')
        return
      case 'snapshot-installed':
        log.info({ index: event.position.index }, 'installed snapshot from leader')
        return
      case 'node-removed':
        log.warn({ index: event.index }, 'the member has been permanently removed from the cluster')
        return
      case 'leader-stalled':
        log.warn({ term: event.term, why: event.why }, 'leader stood still for an election timeout')
        return
      case 'vote-granted':
      case 'vote-refused':
      case 'entries-appended':
      case 'entries-truncated':
      case 'entries-committed':
      case 'entries-applied':
      case 'message-sent':
      case 'message-received':
      case 'message-ignored':
      case 'node-failed':
        return
    }
  }
}

type RoleChanged = Extract<Parameters<Trace>[0], { type: 'role-changed' }>

/** Answers with the leader as of now. */
function logRole(log: Log, event: RoleChanged, before: string | null): string | null {
  const { role, term, leader } = event
  log.debug({ role, term, leader }, 'role changed')
  if (leader === before) return before
  if (role === 'leader') log.info({ term, 'leader-id': leader }, 'became leader')
  else if (leader === null) log.warn({ term, 'lost-leader-id': before }, 'lost leader')
  else log.info({ term, 'leader-id': leader }, 'elected leader')
  return leader
}
