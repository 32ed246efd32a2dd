import { bootstrapMembership, type LogIndex, ORIGIN, resolveOptions } from '@coracle/raft-core'
import { type ProtocolMessage, Raft } from '@coracle/raft-core/protocol'
import type { Row } from './report.ts'

const COMMAND = new Uint8Array(256)
const BATCH = 64
const SIZES: readonly LogIndex[] = [1_000, 10_000, 100_000, 1_000_000, 10_000_000]
/** Entries that are timed at each size. */
const SAMPLE = 200_000
const WINDOW_BYTES = 1 << 20

/**
 * What an entry costs as the log grows and is never compacted, and what the log keeps in memory: the
 * entries of a bounded window, and a term table that does not grow with them.
 */
export function benchGrowingLog(progress: (what: string) => void): readonly Row[] {
  commit(startPair(), 100_000)
  const pair = startPair()
  const before = memoryInUse()
  return SIZES.map((size) => {
    progress(`a log of ${size.toLocaleString('en')} entries`)
    commit(pair, size - pair.leader.lastIndex)
    const memory = memoryInUse()
    const began = performance.now()
    const count = commit(pair, SAMPLE)
    const elapsedMs = performance.now() - began
    return {
      what: `an entry more in a log of ${size.toLocaleString('en')}, two nodes`,
      value: (elapsedMs * 1e6) / count,
      unit: 'ns',
      note: memoryNote(before, memory),
    }
  })
}

function memoryNote(before: number | null, after: number | null): string {
  if (before === null || after === null) return 'run node with --expose-gc to see the memory'
  return `${((after - before) / 2 ** 20).toFixed(1)} MiB in memory`
}

function memoryInUse(): number | null {
  if (globalThis.gc === undefined) return null
  globalThis.gc()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

interface Pair {
  readonly leader: Raft
  readonly follower: Raft
}

function startPair(): Pair {
  const founders = bootstrapMembership(['a', 'b'].map((id) => ({ id, address: '' })))
  const [leader, follower] = ['a', 'b'].map(
    (id) =>
      new Raft({
        id,
        options: resolveOptions({ maxWindowBytes: WINDOW_BYTES }),
        stored: {
          hardState: { term: 0, votedFor: null, commitIndex: 0 },
          snapshot: null,
          compacted: ORIGIN,
          lastIndex: 0,
          termRuns: [],
          memberships: [],
        },
        bootstrap: founders,
        appliedIndex: 0,
        random: () => 0,
      }),
  ) as [Raft, Raft]
  leader.campaign()
  const pair = { leader, follower }
  settle(pair)
  return pair
}

/** Commits at least so many entries. Answers with how many it was. */
function commit(pair: Pair, count: number): number {
  const from = pair.leader.lastIndex
  const end = from + count
  while (pair.leader.lastIndex < end) {
    // Bytes of their own, as they come from clients: the window must let go of them.
    pair.leader.propose(Array.from({ length: BATCH }, () => COMMAND.slice()))
    settle(pair)
  }
  return pair.leader.commitIndex - from
}

function settle({ leader, follower }: Pair): void {
  for (let isBusy = true; isBusy;) {
    isBusy = false
    for (const raft of [leader, follower]) {
      const { messages, append, more } = raft.effects()
      if (append !== null) raft.appendDone()
      if (raft.applicableIndex > raft.appliedIndex) raft.applied(raft.applicableIndex)
      const other = raft === leader ? follower : leader
      for (const message of messages) other.step(message as ProtocolMessage)
      isBusy ||= messages.length > 0 || append !== null || more
    }
  }
}
