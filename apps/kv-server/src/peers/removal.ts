/** Notices that this member was removed, whether it was there to see it or comes back later. */
import type { RaftNode } from '@coracle/raft-core'
import { setTimeout } from 'node:timers/promises'
import { urlsOfAddress } from './addresses.ts'
import { askCluster } from './peer-client.ts'

export interface RemovalOptions {
  readonly clusterId: string
  readonly electionMs: number
  readonly signal: AbortSignal
}

const LOOK_MS = 100

/**
 * Resolves with true when the member was removed; with false when the signal aborts. A member that
 * is there applies its own removal. One that was away hears nothing, for nobody talks to it any more;
 * without a leader it asks the others now and then, as they are known to it.
 */
export async function untilRemoved(
  node: Pick<RaftNode, 'id' | 'status'>,
  { clusterId, electionMs, signal }: RemovalOptions,
): Promise<boolean> {
  let wasMember = false
  let ledAt = performance.now()
  while (!signal.aborted) {
    const { leader, membership, membershipIndex, commitIndex } = node.status()
    const isMember = [membership.voters, membership.outgoing, membership.learners].some((ids) =>
      ids.includes(node.id),
    )
    // A member that catches up does not find itself in what was before it was added.
    wasMember ||= isMember
    if (wasMember && !isMember && membershipIndex <= commitIndex) return true
    if (leader !== null) ledAt = performance.now()
    if (performance.now() - ledAt > 2 * electionMs) {
      ledAt = performance.now()
      const others = membership.peers.filter(({ id }) => id !== node.id)
      const urls = others.flatMap(({ address }) => urlsOfAddress(address))
      const view = await askCluster(urls, { timeoutMs: electionMs })
      if (view?.clusterId === clusterId && view.removed.includes(node.id)) return true
    }
    await setTimeout(LOOK_MS, undefined, { signal }).catch(() => {})
  }
  return false
}
