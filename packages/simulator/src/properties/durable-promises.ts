import type { Message } from '@coracle/raft-core'
import type { DiskView, Property } from '../observer.ts'

/**
 * Whatever a node says, it still stands by after a crash: a vote, a candidacy and an
 * acknowledgement leave only when they are on its disk (Fig. 2, persistent state; thesis 3.8). And
 * nobody votes for two candidates of one term, in all of its lives.
 */
export const durablePromises: Property = {
  name: 'promises are durable',
  watch(violated) {
    const votes = new Map<string, string>()
    return {
      sent({ id, disk }, message) {
        const broken = notDurable(disk, message)
        if (broken !== null) violated(`${id} says ${broken}, and would not know it after a crash`)
        const candidate = voteIn(message)
        if (candidate === null) return
        const ballot = `${id} in term ${message.term}`
        const other = votes.get(ballot) ?? candidate
        if (other !== candidate) violated(`${ballot} voted for ${other} and for ${candidate}`)
        votes.set(ballot, candidate)
      },
    }
  },
}

function voteIn(message: Message): string | null {
  if (message.type === 'request-vote') return message.from
  return message.type === 'request-vote-reply' && message.granted ? message.to : null
}

function notDurable(disk: DiskView, message: Message): string | null {
  // What was promised in an earlier term was overtaken by what is on the disk now.
  if (disk.term > message.term) return null
  const candidate = voteIn(message)
  if (candidate !== null && (disk.term < message.term || disk.votedFor !== candidate))
    return `that it votes for ${candidate} at term ${message.term}`
  if (message.type !== 'append-entries-reply' || !message.accepted) return null
  if (Math.max(disk.lastIndex, disk.snapshotIndex) < message.index)
    return `that it holds all up to ${message.index}`
  return null
}
