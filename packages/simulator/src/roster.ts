import type { Entry, LogIndex, Membership, Peer } from '@coracle/raft-core'
import { decodeMembership } from '@coracle/raft-core/codec'
import type { Life, Observer, Violated, WorldView } from './observer.ts'

interface Standing {
  readonly index: LogIndex
  readonly membership: Membership
}

/**
 * The one history of who took part, gathered from what nodes have applied: it is committed, and it
 * is on their own disks.
 */
export class Roster {
  readonly #violated: Violated
  readonly #world: WorldView
  /** What the history began with, and where in the log. */
  #origin: Standing
  #history: Standing[] = []
  /** All that any node ever counted on, committed or not. */
  #seen: Standing[] = []
  /** Who stopped because it was told that it was removed, and where in the log. */
  #gone = new Map<string, LogIndex>()
  /** The last index that anybody has applied. */
  #appliedIndex: LogIndex = 0
  /** What was checked of each node, so that it is not checked again. */
  readonly #checked = new WeakMap<Life, { readonly of: readonly Entry[]; readonly count: number }>()

  constructor(world: WorldView, violated: Violated) {
    this.#world = world
    this.#origin = { index: 0, membership: world.founders }
    this.#violated = violated
  }

  get founders(): Membership {
    return this.#origin.membership
  }

  /** What may be in effect: the newest that is committed, and all that may be committed after it. */
  get inPlay(): readonly Membership[] {
    const { index, membership } = this.newest ?? this.#origin
    const later = this.#seen.filter((standing) => standing.index > index)
    return [membership, ...later.map((standing) => standing.membership)]
  }

  /** The last one that anybody is known to have committed. */
  get newest(): Standing | null {
    return this.#history.at(-1) ?? null
  }

  /** The one that was committed at this very index. */
  at(index: LogIndex): Membership | null {
    return this.#history.find((standing) => standing.index === index)?.membership ?? null
  }

  /** Has this node ever taken part? */
  hasBeen(id: string): boolean {
    return this.#history.some(({ membership }) => membership.peers.some((peer) => peer.id === id))
  }

  /** Where the membership stood that this node joined; null if it never did, or was there from the start. */
  joinedAfter(id: string): LogIndex | null {
    const joined = this.#history.findIndex(({ membership: { peers } }) =>
      peers.some((peer) => peer.id === id),
    )
    return this.#history[joined - 1]?.index ?? null
  }

  get observer(): Observer {
    return {
      happened: (life, event) => {
        if (event.type === 'entries-applied') this.#applied(life, event.index)
        if (event.type === 'membership-changed') {
          const index = this.#world.statusOf(life.id)?.membershipIndex ?? 0
          this.#seen.push({ index, membership: event.membership })
        }
        if (event.type === 'node-removed') this.#gone.set(life.id, event.index)
        if (event.type === 'snapshot-taken' || event.type === 'snapshot-installed')
          this.#checkSnapshot(life)
      },
      recovered: ({ membership, position }) => {
        this.#origin = { index: position.index, membership }
        this.#history = []
        this.#seen = []
        this.#gone = new Map()
        this.#appliedIndex = 0
      },
      ended: () => this.#checkRemovals(),
    }
  }

  #applied(life: Life, appliedIndex: LogIndex): void {
    const { id, disk } = life
    const { memberships } = disk
    this.#appliedIndex = Math.max(this.#appliedIndex, appliedIndex)
    const checked = this.#checked.get(life)
    const next = memberships[checked?.count ?? 0]
    if (checked?.of === memberships && (next === undefined || next.index > appliedIndex)) return
    // A snapshot takes the place of the log up to there; what is left of that may say anything.
    const start = Math.max(disk.compactedIndex, disk.snapshotIndex, this.#origin.index - 1)
    const isApplied = ({ index }: { readonly index: LogIndex }): boolean =>
      index > start && index <= appliedIndex
    const applied = memberships.filter(isApplied)
    for (const { index, data } of applied)
      this.#add(id, { index, membership: decodeMembership(data) })
    const count = memberships.filter(({ index }) => index <= appliedIndex).length
    this.#checked.set(life, { of: memberships, count })
    const known = this.#history.filter(isApplied)
    if (known.length !== applied.length)
      this.#violated(
        `${id} has ${applied.length} memberships from ${start} to ${appliedIndex}; others have ${known.length}`,
      )
  }

  #add(id: string, standing: Standing): void {
    const { index, membership } = standing
    const newest = this.newest
    if (newest === null || index > newest.index) {
      const why = whyNoStep(newest?.membership ?? null, membership, this.founders)
      if (why !== null) this.#violated(`the membership that ${id} has at ${index} ${why}`)
      this.#history.push(standing)
      return
    }
    const known = this.#history.find((other) => other.index === index)
    if (known === undefined)
      this.#violated(`${id} has a membership at ${index} that nobody had when they were there`)
    else if (JSON.stringify(known.membership) !== JSON.stringify(membership))
      this.#violated(`${id} has another membership at ${index} than others`)
  }

  /** A node may stop for good only if the cluster goes on without it, from this index on. */
  #checkRemovals(): void {
    for (const [id, index] of this.#gone) {
      // A node that restarted from a snapshot knows the membership as of there, not since when.
      const then = this.#history.findLast((standing) => standing.index <= index)
      const since = this.#history.filter((standing) => standing === then || standing.index > index)
      const isUnknown = index > this.#appliedIndex
      if (
        isUnknown ||
        since.some(({ membership }) => membership.peers.some((peer) => peer.id === id))
      )
        this.#violated(`${id} stopped, for it was removed at ${index}: it was not`)
    }
  }

  #checkSnapshot({ id, disk }: Life): void {
    const { snapshotIndex, snapshotMembership } = disk
    const then = this.#history.findLast(({ index }) => index <= snapshotIndex)
    if (
      then !== undefined &&
      JSON.stringify(then.membership) !== JSON.stringify(snapshotMembership)
    )
      this.#violated(`the snapshot of ${id} at ${snapshotIndex} tells another membership`)
  }
}

/** Why `next` cannot follow `previous`; null if it can (§6; thesis 4.1 and 4.3). */
export function whyNoStep(
  previous: Membership | null,
  next: Membership,
  founders: Membership,
): string | null {
  const wrong = whyMalformed(next)
  if (wrong !== null) return wrong
  const isSame = (a: readonly string[], b: readonly string[]): boolean => a.join() === b.join()
  if (previous === null)
    return isSame(next.voters, founders.voters)
      ? null
      : 'is the first, and not that of the founders'
  if (!isSame(idsOf(next.removed.slice(0, previous.removed.length)), idsOf(previous.removed)))
    return 'forgets who was removed'
  if (previous.outgoing.length > 0) {
    if (next.outgoing.length > 0) return 'is joint, and so was the one before'
    return isSame(next.voters, previous.voters) && isSame(next.learners, previous.learners)
      ? null
      : 'ends another change than the one that was under way'
  }
  if (next.outgoing.length > 0)
    return isSame(next.outgoing, previous.voters) ? null : 'is joint with what was not there before'
  const joined = next.voters.filter((id) => !previous.voters.includes(id))
  const left = previous.voters.filter((id) => !next.voters.includes(id))
  return joined.length + left.length <= 1 ? null : 'changes several voters in one step'
}

function idsOf(peers: readonly Peer[]): readonly string[] {
  return peers.map(({ id }) => id)
}

function whyMalformed({ voters, outgoing, learners, peers, removed }: Membership): string | null {
  if (voters.length === 0) return 'has no voters'
  for (const list of [voters, outgoing, learners, peers.map(({ id }) => id)])
    if (list.some((id, at) => at > 0 && id <= (list[at - 1] as string))) return 'is not in order'
  if (learners.some((id) => voters.includes(id))) return 'has a voter that learns'
  if (removed.some(({ id }) => peers.some((peer) => peer.id === id)))
    return 'has a member that was removed'
  const members = new Set([...voters, ...outgoing, ...learners])
  const isComplete = members.size === peers.length && peers.every(({ id }) => members.has(id))
  return isComplete ? null : 'does not say where its members are'
}
