import type { Membership, NodeId } from '@coracle/raft-core'
import type { Clients } from './clients.ts'
import type { Cluster } from './cluster.ts'
import { drawSurvivors, type History, recoverOn } from './loss.ts'
import { plannedTimes, reconfigure } from './live-options.ts'
import type { Plan } from './plan.ts'
import { isMember, isQuorum } from './quorum.ts'
import type { Random } from './random.ts'
import type { Roster } from './roster.ts'

/** How far the cluster is on its way back. */
export interface Service {
  isUp: boolean
  /** Who is to serve; nobody as long as that is not settled. */
  core: readonly NodeId[]
}

export interface RecoveryParts {
  readonly cluster: Cluster
  readonly plan: Plan
  readonly clients: Clients
  readonly random: Random
  readonly roster: Roster
  readonly history: History
}

/** The second half of a simulation: a majority is well, or lost for ever, and the cluster must serve. */
export async function recover(parts: RecoveryParts, service: Service): Promise<void> {
  const { cluster, plan, clients, roster, history } = parts
  const random = parts.random.derive('recovery')
  const [survivor] = plan.losesQuorum ? drawSurvivors(cluster, random, roster) : []
  if (survivor === undefined) service.core = healMajority(cluster, plan, random, roster)
  else service.core = await recoverOn(survivor, { cluster, history, random })
  cluster.tell(`${service.core.join(' ')} are healthy from now on`)
  await serveAll(cluster, clients, service)
}

/** Chooses a majority at random, makes it whole, and leaves all others broken for ever. */
function healMajority(
  cluster: Cluster,
  plan: Plan,
  random: Random,
  roster: Roster,
): readonly NodeId[] {
  const { ids, network } = cluster
  // A change that was asked for and not begun might begin now, and count on nodes that never come back.
  for (const id of ids) {
    const computer = cluster.computer(id)
    if (computer.isAsked('change') || computer.isAsked('replacement')) cluster.crash(id)
    // Nobody claims to serve whatever the times are that each node keeps to.
    else if (plan.troubles.reconfigureMs > 0) reconfigure(cluster, id, plannedTimes(plan))
  }
  const core = chooseCore(cluster, random, roster)
  cluster.heal()
  network.calm()
  for (const id of core) {
    cluster.soothe(id)
    cluster.start(id)
  }
  for (const id of ids)
    if (!core.includes(id)) {
      const friend = pickFriend(core, id, roster.inPlay, random)
      breakForGood({ cluster, core, id, friend, evil: random.pick(evilsOf(plan, friend)) })
    }
  keepRunning(cluster, plan, core)
  return core
}

/**
 * A random quorum of the membership; of every membership that may turn out to be in effect, for one
 * that is written down somewhere may still be committed.
 */
function chooseCore(cluster: Cluster, random: Random, roster: Roster): readonly NodeId[] {
  const memberships = roster.inPlay
  const members = cluster.ids.filter((id) => memberships.some((some) => isMember(some, id)))
  const generosity = random.pick([0, 0.5, 1])
  const core: NodeId[] = []
  for (const id of random.shuffle(members)) {
    const isNeeded = memberships.some(
      (membership) =>
        (membership.voters.includes(id) || membership.outgoing.includes(id)) &&
        !isQuorum(membership, core),
    )
    if (isNeeded || random.chance(generosity)) core.push(id)
  }
  return core.sort()
}

/** A write that was under way may still fail, and take its node down once more. */
function keepRunning(cluster: Cluster, plan: Plan, core: readonly NodeId[]): void {
  cluster.clock.after(100, () => {
    const settled = settledMembership(cluster, core)
    for (const id of core) {
      const isOut = settled !== null && !isMember(settled, id)
      // Nobody claims to bear a node that was removed and campaigns all the same.
      if (isOut && !isPolite(plan)) cluster.retire(id)
      else cluster.start(id)
    }
    keepRunning(cluster, plan, core)
  })
}

/** Who takes part for certain, once a leader of the core has nothing left to change; null before. */
function settledMembership(cluster: Cluster, core: readonly NodeId[]): Membership | null {
  const [newest] = core
    .flatMap((id) => cluster.statusOf(id) ?? [])
    .filter(({ role }) => role === 'leader')
    .toSorted((a, b) => b.term - a.term)
  if (newest === undefined) return null
  const { membership, membershipIndex, appliedIndex } = newest
  return membership.outgoing.length === 0 && membershipIndex <= appliedIndex ? membership : null
}

/** Those of the core that are members: all of them, until it is known who is. */
export function servingMembers(cluster: Cluster, core: readonly NodeId[]): readonly NodeId[] {
  const settled = settledMembership(cluster, core)
  return settled === null ? core : core.filter((id) => isMember(settled, id))
}

type Evil = 'off' | 'cut off' | 'stalled' | 'deaf' | 'mute' | 'has one friend'

function isPolite({ options }: Plan): boolean {
  return options.preVote === true && options.checkQuorum === true
}

/**
 * A node that is lost only halfway is the worse neighbour. Without pre-vote and the leader's check
 * on its quorum, a cluster does not claim to bear one that speaks but does not hear.
 */
function evilsOf(plan: Plan, friend: NodeId | null): readonly Evil[] {
  const clean: readonly Evil[] = ['off', 'cut off', 'stalled']
  if (!isPolite(plan)) return clean
  return [...clean, 'deaf', 'mute', ...(friend === null ? [] : ['has one friend' as const])]
}

/**
 * Somebody of the core, for a node that hears nobody else and is heard by nobody else. The two may
 * not be a quorum: they would go on by themselves, and leave the rest of the core behind.
 */
function pickFriend(
  core: readonly NodeId[],
  id: NodeId,
  inPlay: readonly Membership[],
  random: Random,
): NodeId | null {
  const candidate = random.pick(core)
  return inPlay.some((membership) => isQuorum(membership, [candidate, id])) ? null : candidate
}

interface Breaking {
  readonly cluster: Cluster
  readonly core: readonly NodeId[]
  readonly id: NodeId
  readonly evil: Evil
  readonly friend: NodeId | null
}

function breakForGood({ cluster, core, id, evil, friend: candidate }: Breaking): void {
  const { network } = cluster
  const computer = cluster.computer(id)
  if (evil === 'off') return cluster.retire(id)
  cluster.start(id)
  cluster.tell(`${id} is ${evil} for good`)
  const friend = evil === 'has one friend' ? candidate : null
  // Those who are broken do not hear each other either: together with a friend they might be a
  // majority, too, and lead one that cannot serve all of the core.
  for (const other of cluster.ids) {
    if (other === friend) continue
    if (!core.includes(other)) {
      network.cut(other, id)
      network.cut(id, other)
      continue
    }
    if (evil === 'cut off' || evil === 'deaf' || friend !== null) network.cut(other, id)
    if (evil === 'cut off' || evil === 'mute' || friend !== null) network.cut(id, other)
  }
  if (evil === 'stalled') computer.stall(Number.MAX_SAFE_INTEGER)
}

/**
 * Through every member of the core, writes and reads until it works; then all of them must have
 * applied the same. Resolves when that is so; whether it is soon enough, others watch.
 */
async function serveAll(cluster: Cluster, clients: Clients, service: Service): Promise<void> {
  const { core } = service
  let last = 0
  const isOut = (id: NodeId): boolean => !servingMembers(cluster, core).includes(id)
  for (const id of core) {
    const written = await untilDone(cluster, () => (isOut(id) ? last : clients.write(id)))
    last = Math.max(last, written)
    await untilDone(cluster, () => (isOut(id) ? last : clients.read(id)))
  }
  const isBehind = (id: NodeId): boolean => (cluster.statusOf(id)?.appliedIndex ?? 0) < last
  const isSettled = (): boolean => settledMembership(cluster, core) !== null
  while (!isSettled() || servingMembers(cluster, core).some(isBehind)) await cluster.clock.sleep(1)
  service.isUp = true
}

/** Repeats what answers with an index, or with null if it failed. */
async function untilDone(
  cluster: Cluster,
  attempt: () => Promise<number | null> | number,
): Promise<number> {
  for (;;) {
    const index = await attempt()
    if (index !== null) return index
    await cluster.clock.sleep(1)
  }
}
