import type { Entry, Position } from '../types.ts'
import { entryBytes } from './log.ts'
import { appendToLog } from './log-changes.ts'
import { isDoubted } from './stalled-leader.ts'
import type { RaftState } from './state.ts'

/** What became of commands that were to be appended: the first `accepted` of them were. */
export interface ProposeOutcome {
  readonly accepted: number
  /** Where the first of them stands. */
  readonly first: Position
  /** Why the rest was not: null if all were. */
  readonly why: Refusal | 'too much is uncommitted' | null
}

type Refusal = 'not the leader' | 'leadership is being handed over' | 'leadership is in doubt'

/** Appends commands to a leader's log, as many as there is room for (§5.3). */
export function propose(raft: RaftState, commands: readonly Uint8Array[]): ProposeOutcome {
  const { log, term, options } = raft
  const first = { term, index: log.lastIndex + 1 }
  const refusal = refusesProposals(raft)
  if (refusal !== null) return { accepted: 0, first, why: refusal }
  const entries: Entry[] = []
  const settled = Math.min(raft.commitIndex, log.stableIndex)
  let bytes = log.bytesBetween(settled + 1, log.lastIndex + 1)
  for (const data of commands) {
    // A single command always fits, or a large one could never be proposed.
    const size = entryBytes(data)
    if (bytes > 0 && bytes + size > options.maxUncommittedBytes) break
    bytes += size
    entries.push({ index: first.index + entries.length, term, type: 'command', data })
  }
  appendToLog(raft, entries)
  const why = entries.length === commands.length ? null : 'too much is uncommitted'
  return { accepted: entries.length, first, why }
}

/** Why nothing can be appended now, whatever it is, or null. */
export function refusesProposals(raft: RaftState): Refusal | null {
  if (raft.role !== 'leader') return 'not the leader'
  if (raft.transfer !== null) return 'leadership is being handed over'
  if (isDoubted(raft)) return 'leadership is in doubt'
  return null
}
