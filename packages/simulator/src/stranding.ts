/**
 * A log that says something else than the snapshot that takes its place, and reaches further: what is
 * left of a leader that went on alone, while the others wrote less than it did, and forgot that.
 */
import type { Clients } from './clients.ts'
import { stopEverything } from './stop-everything.ts'
import type { UsurpationParts } from './usurpation.ts'

export interface StrandingParts extends UsurpationParts {
  readonly clients: Clients
}

/** How often somebody looks whether another leads, before the old leader is let in again anyway. */
const MOST_LOOKS = 20

/**
 * Cuts the leader off with up to `mostWrites` that nobody else has, until another leader has committed
 * something, taken a snapshot of it, and forgotten the entries that the old one would need.
 */
export function strand(parts: StrandingParts, mostWrites: number): void {
  const { cluster, clients, random, electionMs, later } = parts
  const [leader] = cluster.leaders
  if (leader === undefined || cluster.members.length < 3) return
  /** Where the log ends that it may share with the others. */
  const { lastIndex } = cluster.diskOf(leader)
  cluster.befell('leader stranded')
  cluster.isolate(leader)
  const writes = random.whole(1, Math.max(2, mostWrites))
  for (let write = 0; write < writes; write++) clients.write(leader).catch(stopEverything)
  const look = (looks: number): void => {
    const successor = cluster.leaders.find((id) => id !== leader)
    const status = successor === undefined ? null : cluster.statusOf(successor)
    if (looks === MOST_LOOKS || (status !== null && status.firstIndex > lastIndex + 1))
      return cluster.heal()
    if (successor !== undefined) cluster.snapshot(successor)
    later(electionMs / 4, () => look(looks + 1))
  }
  later(electionMs, () => look(1))
}
