import {
  type Message,
  type MessageType,
  type NodeId,
  tellMembership,
  tellPosition,
} from '@coracle/raft-core'

/** Some of the messages: from one node to another, of one kind; null stands for all. */
export interface Which {
  readonly from: NodeId | null
  readonly to: NodeId | null
  readonly type: MessageType | null
}

export const ALL: Which = Object.freeze({ from: null, to: null, type: null })

export function isAmong(which: Which, { from, to, type }: Message): boolean {
  return (
    (which.from === null || which.from === from) &&
    (which.to === null || which.to === to) &&
    (which.type === null || which.type === type)
  )
}

/** A message in a line: from whom to whom, and what it says. */
export function describe(message: Message): string {
  return `${message.from} > ${message.to} at term ${message.term}: ${message.type}${said(message)}`
}

function said(message: Message): string {
  switch (message.type) {
    case 'append-entries': {
      const last = message.entries.at(-1)
      const carried = last === undefined ? 'nothing' : `up to ${tellPosition(last)}`
      return ` after ${tellPosition(message.prevLog)}, ${carried}, commit ${message.commitIndex}`
    }
    case 'append-entries-reply':
      return message.accepted
        ? ` accepts up to ${message.index}`
        : ` refuses ${message.index}, try ${tellPosition(message.hint)}`
    case 'commit':
      return ` up to ${message.commitIndex}`
    case 'heartbeat':
      return `, commit ${message.commitIndex}`
    case 'pre-vote-reply':
    case 'request-vote-reply':
      return message.granted ? ' yes' : ' no'
    case 'pre-vote':
    case 'request-vote':
      return `, log up to ${tellPosition(message.lastLog)}`
    case 'install-snapshot':
      return ` up to ${tellPosition(message.meta.position)} of ${tellMembership(message.meta.membership)}`
    case 'removed':
      return ` at ${message.index}, there are ${tellMembership(message.membership)}`
    case 'read-index':
      return ` ${message.id}`
    case 'read-index-reply':
      return ` ${message.id} at ${message.index}`
    case 'heartbeat-reply':
    case 'timeout-now':
    case 'propose':
    case 'propose-reply':
      return ''
  }
}
