/**
 * The permanent loss of a majority: whoever is left makes a new cluster of what it has, which grows
 * again and serves.
 */
import type { LogIndex, NodeId, Term } from '@coracle/raft-core'
import { decodeMembership } from '@coracle/raft-core/codec'
import type { Cluster } from './cluster.ts'
import type { DiskView, Observer } from './observer.ts'
import { isMember, isQuorum } from './quorum.ts'
import type { Random } from './random.ts'
import type { Roster } from './roster.ts'

/** What anybody ever applied: the term of the command at each index. */
export class History {
  readonly #terms = new Map<LogIndex, Term>()

  get observer(): Observer {
    return { applied: (_, { index, term }) => this.#terms.set(index, term) }
  }

  /** Up to which index this disk holds what was applied. */
  keptBy(disk: DiskView): LogIndex {
    const replaced = Math.max(disk.compactedIndex, disk.snapshotIndex)
    let kept = 0
    for (const [index, term] of this.#terms)
      if (index > kept && (index <= replaced || disk.termAt(index) === term)) kept = index
    return kept
  }
}

/**
 * Who is left when a quorum is lost for good, the one with the most complete log first; nobody if the
 * cluster is so small that this would be the end of it.
 */
export function drawSurvivors(cluster: Cluster, random: Random, roster: Roster): readonly NodeId[] {
  const { membership } = roster.newest ?? { membership: roster.founders }
  const members = cluster.ids.filter(
    (id) => isMember(membership, id) && !cluster.isRetired(id) && knowsItTakesPart(cluster, id),
  )
  const survivors: NodeId[] = []
  for (const id of random.shuffle(members)) {
    const more = [...survivors, id]
    if (!roster.inPlay.some((some) => isQuorum(some, more))) survivors.push(id)
  }
  return survivors.sort((a, b) => compareLogs(cluster.diskOf(b), cluster.diskOf(a)))
}

/** Is it a member by what it has on its own disk? Nobody else can be made a cluster of. */
function knowsItTakesPart(cluster: Cluster, id: NodeId): boolean {
  const { memberships, snapshotMembership } = cluster.diskOf(id)
  const last = memberships.at(-1)
  const membership = last === undefined ? snapshotMembership : decodeMembership(last.data)
  return membership !== null && isMember(membership, id)
}

/** As in §5.4.1: the later last term, and then the longer log. */
function compareLogs({ lastPosition: a }: DiskView, { lastPosition: b }: DiskView): number {
  return a.term - b.term || a.index - b.index
}

/** Turns all others off for ever, and goes on with one. Resolves with the members of the new cluster. */
export async function recoverOn(
  survivor: NodeId,
  { cluster, history, random }: { cluster: Cluster; history: History; random: Random },
): Promise<readonly NodeId[]> {
  cluster.befell('quorum lost for good')
  for (const id of cluster.ids) cluster.crash(id)
  for (const id of cluster.ids) if (id !== survivor) cluster.retire(id)
  cluster.heal()
  cluster.network.calm()
  cluster.soothe(survivor)
  const kept = history.keptBy(cluster.diskOf(survivor))
  await cluster.recover(survivor, kept)
  cluster.start(survivor)
  const core = [survivor]
  const size = random.pick([1, 2, 3])
  while (core.length < size) core.push(await grow(cluster, survivor))
  return core
}

/** One more voter, as soon as the survivor leads and takes it. */
async function grow(cluster: Cluster, survivor: NodeId): Promise<NodeId> {
  const id = cluster.add()
  cluster.soothe(id)
  cluster.start(id)
  const changes = [{ type: 'add-voter', peer: { id, address: id } }] as const
  const hasJoined = (): boolean => {
    const status = cluster.statusOf(survivor)
    if (status === null || status.membership.outgoing.length > 0) return false
    return status.membershipIndex <= status.appliedIndex && status.membership.voters.includes(id)
  }
  while (!hasJoined()) {
    await cluster.computer(survivor).ask(
      'change',
      0,
      (node) => node.changeMembership(changes),
      () => ({ index: 0, term: 0 }),
    )
    await cluster.clock.sleep(1)
  }
  return id
}
