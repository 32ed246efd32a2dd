import type { NodeId } from '@coracle/raft-core'
import type { Cluster } from './cluster.ts'
import { encodeCommand } from './key-value-machine.ts'
import type { Plan } from './plan.ts'
import type { Random } from './random.ts'

/** Far from the numbers of the clients' proposals. */
const FIRST_NUMBER = 1_000_000

const CALM_DISK = { meanLatencyMs: 1, stallProbability: 0, stallMs: 0, failureProbability: 0 }

/** Chooses a majority at random, makes it whole, and leaves all others broken for ever. */
export function healMajority(cluster: Cluster, plan: Plan, random: Random): readonly NodeId[] {
  const { ids, network } = cluster
  const size = random.whole(Math.floor(ids.length / 2) + 1, ids.length)
  const core = random.shuffle(ids).slice(0, size).sort()
  network.heal()
  network.weather = {
    ...network.weather,
    minDelayMs: 0,
    meanDelayMs: 1,
    loss: 0,
    duplication: 0,
    hold: 0,
    streamBreak: 0,
  }
  for (const id of ids) {
    const computer = cluster.computer(id)
    if (core.includes(id)) {
      computer.disk.weather = CALM_DISK
      computer.wake()
      cluster.start(id)
    } else breakForGood(cluster, id, core, random.pick(evilsOf(plan)), random)
  }
  keepRunning(cluster, core)
  return core
}

/** A write that was under way may still fail, and take its node down once more. */
function keepRunning(cluster: Cluster, core: readonly NodeId[]): void {
  cluster.clock.after(100, () => {
    for (const id of core) cluster.start(id)
    keepRunning(cluster, core)
  })
}

type Evil = 'off' | 'cut off' | 'stalled' | 'deaf' | 'mute' | 'has one friend'

/**
 * A node that is lost only halfway is the worse neighbour. Without pre-vote and the leader's check
 * on its quorum, a cluster does not claim to bear one that speaks but does not hear.
 */
function evilsOf({ options, nodes }: Plan): readonly Evil[] {
  const clean: readonly Evil[] = ['off', 'cut off', 'stalled']
  if (options.preVote !== true || options.checkQuorum !== true) return clean
  // Of three, two that hear each other are a majority, whoever the second one is.
  return nodes > 3 ? [...clean, 'deaf', 'mute', 'has one friend'] : [...clean, 'deaf', 'mute']
}

function breakForGood(
  cluster: Cluster,
  id: NodeId,
  core: readonly NodeId[],
  evil: Evil,
  random: Random,
): void {
  const { network } = cluster
  const computer = cluster.computer(id)
  if (evil === 'off') return cluster.crash(id)
  cluster.start(id)
  cluster.tell(`${id} is ${evil} for good`)
  const friend = evil === 'has one friend' ? random.pick(core) : null
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
 * Through every node of the core, writes and reads until it works; then all of them must have
 * applied the same. Resolves when that is so; whether it is soon enough, others watch.
 */
export async function serveAll(
  cluster: Cluster,
  core: readonly NodeId[],
  service: { isUp: boolean },
): Promise<void> {
  let last = 0
  let number = FIRST_NUMBER
  for (const id of core) {
    last = await untilDone(cluster, () => write(cluster, id, (number += 1)))
    await untilDone(cluster, () => read(cluster, id))
  }
  const isBehind = (id: NodeId): boolean =>
    (cluster.computer(id).node?.status().appliedIndex ?? 0) < last
  while (core.some(isBehind)) await cluster.clock.sleep(1)
  service.isUp = true
}

/** Repeats what answers with an index, or with null if it failed. */
async function untilDone(cluster: Cluster, attempt: () => Promise<number | null>): Promise<number> {
  for (;;) {
    const index = await attempt()
    if (index !== null) return index
    await cluster.clock.sleep(1)
  }
}

async function write(cluster: Cluster, id: NodeId, number: number): Promise<number | null> {
  const input = { type: 'put', key: 'last', value: `${number}` } as const
  const command = encodeCommand({ number, input })
  const asked = await cluster.computer(id).ask(
    'propose',
    number,
    (node) => node.propose(command),
    (applied) => applied,
  )
  return asked?.answer?.index ?? null
}

async function read(cluster: Cluster, id: NodeId): Promise<number | null> {
  const asked = await cluster.computer(id).ask(
    'read',
    0,
    (node) => node.read(),
    (index) => ({ index, term: 0 }),
  )
  return asked?.answer ?? null
}
