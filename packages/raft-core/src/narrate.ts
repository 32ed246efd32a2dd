import type { RaftEvent, Trace } from './trace.ts'
import type { Membership, Position } from './types.ts'

/** Where an entry stands: term/index. */
export function tellPosition({ term, index }: Position): string {
  return `${term}/${index}`
}

/** Who takes part: voters, those who leave in brackets, learners. */
export function tellMembership({ voters, outgoing, learners }: Membership): string {
  const leaving = outgoing.length === 0 ? '' : ` (and the majority of ${outgoing.join(' ')})`
  const learning = learners.length === 0 ? '' : `, learning: ${learners.join(' ')}`
  return `${voters.join(' ') || 'nobody'}${leaving}${learning}`
}

/** Tells an event of the trace in a line that a person can follow. */
export function narrate(event: RaftEvent): string {
  return `${event.node} ${tellDeed(event)}`
}

function tellDeed(event: RaftEvent): string {
  const { term } = event
  switch (event.type) {
    case 'election-started':
      return event.preVote
        ? `asks who would vote for it at term ${term + 1}`
        : `campaigns at term ${term}`
    case 'vote-refused':
      return event.preVote
        ? `would not vote for ${event.candidate}: ${event.why}`
        : `refused its vote to ${event.candidate} at term ${term}: ${event.why}`
    case 'vote-granted':
      return event.preVote
        ? `would vote for ${event.candidate}`
        : `voted for ${event.candidate} at term ${term}`
    case 'role-changed':
      return event.role === 'follower' && event.leader !== null
        ? `follows ${event.leader} at term ${term}`
        : `became ${event.role} at term ${term}`
    case 'leader-stalled':
      return `leads and stands still: ${event.why === 'disk' ? 'its disk' : 'its process'}`
    case 'entries-appended':
      return event.from === event.last.index
        ? `appended ${tellPosition(event.last)}`
        : `appended ${event.from} to ${tellPosition(event.last)}`
    case 'entries-truncated':
      return `dropped its log from ${event.from} on`
    case 'entries-committed':
      return `committed up to ${event.index}`
    case 'entries-applied':
      return `applied up to ${event.index}`
    case 'message-sent':
      return `sent ${event.message} to ${event.to}`
    case 'message-received':
      return `received ${event.message} from ${event.from}`
    case 'message-ignored':
      return `ignored ${event.message} from ${event.from}: ${event.why}`
    case 'membership-changed':
      return `goes on with ${tellMembership(event.membership)}`
    case 'snapshot-taken':
      return `took a snapshot up to ${tellPosition(event.position)}`
    case 'snapshot-installed':
      return `replaced its log by a snapshot up to ${tellPosition(event.position)}`
    case 'node-removed':
      return `learned that it was removed at ${event.index}`
    case 'node-failed':
      return `stops: ${String(event.cause)}`
  }
}

/** What happens with every command, and fills a screen in no time. */
const EVERYDAY: readonly RaftEvent['type'][] = [
  'message-sent',
  'message-received',
  'entries-appended',
  'entries-committed',
  'entries-applied',
]

/**
 * A trace that tells what happens on the console, a line per event; of what every command brings about
 * only with `{ everything: true }`.
 *
 * @example
 * ```ts
 * await startNode({ id, membership, storage, transport, stateMachine, trace: consoleTrace() })
 * // b campaigns at term 2
 * // c voted for b at term 2
 * // b became leader at term 2
 * ```
 */
export function consoleTrace({
  everything = false,
}: { readonly everything?: boolean } = {}): Trace {
  return (event) => {
    // eslint-disable-next-line no-console -- the one place whose business it is
    if (everything || !EVERYDAY.includes(event.type)) console.log(narrate(event))
  }
}
