import { encodeMembership } from '../../src/codec/records.ts'
import type {
  AppendEntries,
  AppendEntriesReply,
  Commit,
  Heartbeat,
  HeartbeatReply,
  InstallSnapshot,
  Message,
  MessageType,
  PreVote,
  PreVoteReply,
  ReadIndex,
  ReadIndexReply,
  Removed,
  RequestVote,
  RequestVoteReply,
  TimeoutNow,
} from '../../src/messages.ts'
import {
  bootstrapMembership,
  type Entry,
  type LogIndex,
  type Membership,
  type NodeId,
  type Position,
  type Term,
} from '../../src/types.ts'

/** [term, index], as the paper's figures say it: term first. */
export type At = readonly [term: Term, index: LogIndex]

interface Way {
  readonly from: NodeId
  readonly to?: NodeId
  readonly term: Term
}

const header = <Type extends MessageType>(type: Type, { from, to = 'a', term }: Way) => ({
  type,
  from,
  to,
  term,
})

export const position = ([term, index]: At): Position => ({ term, index })

export const text = (words: string): Uint8Array => new TextEncoder().encode(words)
export const read = (data: Uint8Array): string => new TextDecoder().decode(data)

export const command = (index: LogIndex, term: Term, words = `${term}/${index}`): Entry => ({
  index,
  term,
  type: 'command',
  data: text(words),
})

/** Commands at consecutive indexes from `from` on, one for each term. */
export const commands = (from: LogIndex, ...terms: readonly Term[]): readonly Entry[] =>
  terms.map((term, at) => command(from + at, term))

export const voters = (...ids: readonly NodeId[]): Membership =>
  bootstrapMembership(ids.map((id) => ({ id, address: `at-${id}` })))

/** What is left of {a, b, c} when this one is removed. */
export const without = (gone: NodeId): Membership => ({
  ...voters(...['a', 'b', 'c'].filter((id) => id !== gone)),
  removed: [{ id: gone, address: `at-${gone}` }],
})

export const membershipEntry = (index: LogIndex, term: Term, membership: Membership): Entry => ({
  index,
  term,
  type: 'membership',
  data: encodeMembership(membership),
})

export const appendEntries = (
  way: Way & {
    readonly prev: At
    readonly entries?: readonly Entry[]
    readonly commit?: LogIndex
    readonly round?: number
  },
): AppendEntries => ({
  ...header('append-entries', way),
  prevLog: position(way.prev),
  entries: way.entries ?? [],
  commitIndex: way.commit ?? 0,
  round: way.round ?? 0,
})

export const accepted = (
  way: Way & { readonly index: LogIndex; readonly round?: number },
): AppendEntriesReply => ({
  ...header('append-entries-reply', way),
  accepted: true,
  index: way.index,
  hint: { term: 0, index: 0 },
  round: way.round ?? 0,
})

export const refused = (
  way: Way & { readonly index: LogIndex; readonly hint: At; readonly round?: number },
): AppendEntriesReply => ({
  ...header('append-entries-reply', way),
  accepted: false,
  index: way.index,
  hint: position(way.hint),
  round: way.round ?? 0,
})

export const commit = (way: Way & { readonly commit?: LogIndex }): Commit => ({
  ...header('commit', way),
  commitIndex: way.commit ?? 0,
})

export const heartbeat = (
  way: Way & { readonly commit?: LogIndex; readonly round?: number; readonly address?: string },
): Heartbeat => ({
  ...header('heartbeat', way),
  commitIndex: way.commit ?? 0,
  round: way.round ?? 0,
  address: way.address ?? '',
})

export const heartbeatReply = (
  way: Way & { readonly round?: number; readonly promiseMs?: number },
): HeartbeatReply => ({
  ...header('heartbeat-reply', way),
  promiseMs: way.promiseMs ?? 1000,
  round: way.round ?? 0,
})

export const requestVote = (
  way: Way & { readonly last: At; readonly transfer?: boolean; readonly address?: string },
): RequestVote => ({
  ...header('request-vote', way),
  lastLog: position(way.last),
  transfer: way.transfer ?? false,
  address: way.address ?? '',
})

export const vote = (way: Way, granted = true): RequestVoteReply => ({
  ...header('request-vote-reply', way),
  granted,
})

export const preVote = (way: Way & { readonly last: At; readonly address?: string }): PreVote => ({
  ...header('pre-vote', way),
  lastLog: position(way.last),
  address: way.address ?? '',
})

export const preVoteReply = (way: Way, granted = true): PreVoteReply => ({
  ...header('pre-vote-reply', way),
  granted,
})

export const timeoutNow = (way: Way): TimeoutNow => header('timeout-now', way)

export const readIndex = (way: Way & { readonly id: number }): ReadIndex => ({
  ...header('read-index', way),
  id: way.id,
})

export const readIndexReply = (
  way: Way & { readonly id: number; readonly index: LogIndex },
): ReadIndexReply => ({ ...header('read-index-reply', way), id: way.id, index: way.index })

export const removed = (
  way: Way & { readonly index: LogIndex; readonly membership: Membership },
): Removed => ({ ...header('removed', way), index: way.index, membership: way.membership })

export const installSnapshot = (
  way: Way & {
    readonly at: At
    readonly membership?: Membership
    readonly membershipIndex?: LogIndex
  },
): InstallSnapshot => ({
  ...header('install-snapshot', way),
  meta: {
    position: position(way.at),
    membership: way.membership ?? voters('a', 'b', 'c'),
    membershipIndex: way.membershipIndex ?? 1,
  },
})

/** Only the messages of one kind, with its type. */
export function only<Type extends MessageType>(
  messages: readonly Message[],
  type: Type,
): readonly Extract<Message, { type: Type }>[] {
  return messages.filter(
    (message): message is Extract<Message, { type: Type }> => message.type === type,
  )
}
