import { encodeMembership } from '../codec/records.ts'
import type { AppendBatch, Storage, Stored } from '../contracts/storage.ts'
import { RaftError } from '../errors.ts'
import { resolveOptions } from '../options.ts'
import { removedFrom } from '../protocol/next-membership.ts'
import { Raft } from '../protocol/raft.ts'
import {
  bootstrapMembership,
  type LogIndex,
  type Membership,
  type NodeId,
  type Peer,
  type Position,
} from '../types.ts'

/**
 * How far a recovered cluster's term is above anything its survivor knows. Whoever still lives in
 * the old terms is of the past, and cannot catch up by holding elections.
 */
const TERM_STEP = 1_000_000

export interface RecoveryOptions {
  /** The survivor: whose storage it is. A member of the cluster that was lost. */
  readonly id: NodeId
  /**
   * Who takes part from now on, all of them with a vote: the survivor, and nodes with empty storages
   * under ids that were never used. Best is the survivor alone, and the others added when it runs.
   */
  readonly members: readonly Peer[]
  /**
   * The log may hold entries of which nobody can tell whether they were committed. True to have them
   * all committed; otherwise there must be none, or the recovery is refused. Default false.
   */
  readonly commitUncertain?: boolean
}

/** What was done, and what may have been lost. */
export interface Recovery {
  /** Who takes part now. */
  readonly membership: Membership
  /** Who took part before. Whoever is not among the members now never comes back under its id. */
  readonly previous: Membership
  /** Where the new membership stands in the log. Everything before it is committed now. */
  readonly position: Position
  /**
   * The last entry that this storage knew to be committed. What the lost cluster committed after
   * `position.index - 1` is lost; of what stands between the two nobody can tell whether it was
   * committed, and now it is.
   */
  readonly knownCommitted: LogIndex
}

/**
 * Makes a new cluster of what one member has left, after the majority of the old one was lost for
 * good. It is the last resort: what only the others had is gone, even if it was acknowledged. With a
 * majority left, or to be had back, there is no need for it.
 *
 * Run it on one storage only: that of the survivor whose log ends last, with the highest last term.
 * No node may use the storage, and none of the old members may run again with what it has stored:
 * they come back empty, under new ids. The storage is loaded here, and so has to be opened again
 * before a node is started with it.
 *
 * Rejects with `RECOVERY_REFUSED`, and changes nothing, if the storage never belonged to a member,
 * if `members` reuses an id, or if uncertain entries are not to be committed; with whatever the
 * storage rejects with if it is in use or damaged.
 *
 * @example
 * await using storage = levelStorage({ location: '/var/lib/orders' })
 * const members = [{ id: 'a', address: 'http://10.0.0.1:2380' }]
 * const { position } = await recoverCluster(storage, { id: 'a', members, commitUncertain: true })
 */
export async function recoverCluster(
  storage: Storage,
  options: RecoveryOptions,
): Promise<Recovery> {
  const stored = await storage.load()
  const survivor = reviveFrom(stored, options.id)
  const { append } = survivor.effects()
  const previous = survivor.membership
  check(survivor, options)
  const membership = recoveredMembership(previous, options.members)
  const position = { term: survivor.term + TERM_STEP, index: survivor.lastIndex + 1 }
  const batch: AppendBatch = {
    // The snapshot may be ahead of the log, if a crash came between the two.
    reset: append?.reset ?? null,
    entries: [{ ...position, type: 'membership', data: encodeMembership(membership) }],
    // The vote is the survivor's own: nobody else is ever to win this term.
    hardState: { term: position.term, votedFor: options.id, commitIndex: position.index },
  }
  await storage.append(batch)
  return { membership, previous, position, knownCommitted: survivor.commitIndex }
}

/** The node as it would start, which also finds out if the storage contradicts itself. */
function reviveFrom(stored: Stored, id: NodeId): Raft {
  return new Raft({
    id,
    options: resolveOptions({}),
    stored,
    bootstrap: null,
    appliedIndex: stored.snapshot?.position.index ?? 0,
    random: () => 0,
  })
}

function check(survivor: Raft, { id, members, commitUncertain = false }: RecoveryOptions): void {
  const { peers, removed } = survivor.membership
  if (peers.length === 0) refuse('the storage was never part of a cluster')
  if (!peers.some((peer) => peer.id === id)) refuse(`${id} is no member of the cluster`)
  if (!members.some((peer) => peer.id === id)) refuse(`${id} is not among the members`)
  const used = new Set([...peers, ...removed].map((peer) => peer.id))
  used.delete(id)
  const again = members.find((peer) => used.has(peer.id))
  if (again !== undefined)
    refuse(`${again.id} was a member: it comes back empty, under an id that was never used`)
  const { commitIndex, lastIndex } = survivor
  if (commitIndex < lastIndex && !commitUncertain)
    refuse(
      `nobody can tell whether the entries ${commitIndex + 1} to ${lastIndex} were committed: ` +
        'commitUncertain has them committed',
    )
}

function recoveredMembership(previous: Membership, members: readonly Peer[]): Membership {
  const founded = bootstrapMembership(members)
  return { ...founded, removed: removedFrom(previous, new Set(founded.voters)) }
}

function refuse(why: string): never {
  throw new RaftError('RECOVERY_REFUSED', why)
}
