/** Members that apply the same log must hold the same keys. Whoever does not is named in an alarm. */
import type { KvStateMachine } from '@coracle/kv-state-machine'
import type { Peer } from '@coracle/raft-core'
import { urlsOfAddress } from './addresses.ts'
import { type AskOptions, askHash } from './peer-client.ts'

const ANSWER_TIMEOUT_MS = 5_000

/** What a member holds up to the revision that was asked for. */
export interface Holding {
  readonly id: string
  readonly hash: number
}

export interface Comparison extends Omit<AskOptions, 'timeoutMs'> {
  readonly stateMachine: KvStateMachine
}

/**
 * What this member and the others hold up to the present revision. Those that could not be asked, or
 * have not come so far, or were compacted up to another revision, cannot be compared and are left out.
 */
export async function compareWith(
  id: string,
  peers: readonly Peer[],
  { stateMachine, ...asking }: Comparison,
): Promise<readonly Holding[]> {
  const own = stateMachine.hashKv(0)
  if (own.type === 'failure') return []
  const options = { ...asking, timeoutMs: ANSWER_TIMEOUT_MS }
  const answers = await Promise.all(
    peers
      .filter((peer) => peer.id !== id)
      .map(async (peer): Promise<Holding | null> => {
        const theirs = await askHash(urlsOfAddress(peer.address), own.hashRevision, options)
        if (theirs === null || 'refused' in theirs) return null
        return theirs.compactRevision === own.compactRevision
          ? { id: peer.id, hash: theirs.hash }
          : null
      }),
  )
  return [{ id, hash: own.hash }, ...answers.filter((answer) => answer !== null)]
}

/**
 * Who is to be named: whoever differs from more than half of the members, or, if none have a majority,
 * from the first, which is the one that asked.
 */
export function differing(holdings: readonly Holding[], members: number): readonly string[] {
  const counts = new Map<number, number>()
  for (const { hash } of holdings) counts.set(hash, (counts.get(hash) ?? 0) + 1)
  const majority = [...counts].find(([, count]) => count > members / 2)?.[0]
  const right = majority ?? holdings[0]?.hash
  return holdings.filter(({ hash }) => hash !== right).map(({ id }) => id)
}
