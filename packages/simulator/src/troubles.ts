import type { NodeId } from '@coracle/raft-core'
import { Administrator } from './administrator.ts'
import type { Clients } from './clients.ts'
import type { Cluster } from './cluster.ts'
import { confuse, drawLiveOptions, reconfigure } from './live-options.ts'
import { electionMsOf, type Plan } from './plan.ts'
import type { Random } from './random.ts'
import { stopEverything } from './stop-everything.ts'
import { strand } from './stranding.ts'
import { askLeaders, usurp } from './usurpation.ts'

export interface TroubleParts {
  readonly cluster: Cluster
  readonly plan: Plan
  readonly random: Random
  readonly clients: Clients
}

/** Makes trouble for a cluster, at the rates of its plan, until it is told to stop. */
export function makeTrouble(parts: TroubleParts): { stop(): void } {
  const { cluster, plan, random, clients } = parts
  const { troubles } = plan
  let isOver = false
  const lasting = (): number => random.exponential(troubles.lastsMs)
  const later = (delayMs: number, run: () => void): void =>
    cluster.clock.after(delayMs, () => {
      if (!isOver) run()
    })
  const often = (meanMs: number, trouble: () => void): void => {
    if (meanMs === 0) return
    const next = (): void =>
      later(random.exponential(meanMs), () => {
        trouble()
        next()
      })
    next()
  }
  const victim = random.pick(cluster.ids)
  const anyone = (): NodeId =>
    troubles.hasVictim && random.chance(0.9) ? victim : random.pick(cluster.ids)
  const crash = (id: NodeId): void => {
    cluster.crash(id)
    if (random.chance(troubles.restartsAtOnce)) cluster.start(id)
  }

  often(troubles.crashMs, () => {
    // Now and then all lose their power at once.
    const isForAll = random.chance(troubles.allAtOnce)
    if (isForAll) cluster.befell('crash of all at once')
    for (const id of isForAll ? cluster.ids : [anyone()]) crash(id)
  })
  often(troubles.shutDownMs, () => cluster.shutDown(anyone()))
  often(troubles.partitionMs, () => {
    cutSomething(cluster, random)
    later(lasting(), () => cluster.heal())
  })
  often(troubles.stallMs, () => cluster.stall(anyone(), lasting()))
  often(troubles.transferMs, () => cluster.transfer(random.chance(0.5) ? anyone() : null))
  often(troubles.snapshotMs, () => cluster.snapshot(anyone()))
  often(troubles.reconfigureMs, () => {
    const id = random.pick(cluster.ids)
    if (random.chance(0.1)) confuse(cluster, id)
    else reconfigure(cluster, id, drawLiveOptions(plan, random))
  })
  if (plan.options.reads !== 'lease')
    often(troubles.forgetMs, () => cluster.forgetLeader(random.pick(cluster.ids)))
  often(troubles.rotMs, () => cluster.diskOf(random.pick(cluster.ids)).rot())
  const administrator = new Administrator(cluster, plan, random.derive('administrator'))
  often(troubles.changeMs, () => {
    administrator.change().catch(stopEverything)
  })

  const electionMs = electionMsOf(plan)
  const stranding = { cluster, clients, random: random.derive('stranding'), electionMs, later }
  often(troubles.strandMs, () => strand(stranding, plan.burst))
  const usurpation = { cluster, random, electionMs, later }
  often(troubles.usurpMs, () => usurp(usurpation))
  if (plan.options.reads === 'lease') askLeaders(usurpation)

  const watched = new Set<NodeId>()
  /** Between two writes that belong together is where a crash hurts most. */
  const watchDisk = (id: NodeId): void => {
    if (watched.has(id)) return
    watched.add(id)
    cluster.diskOf(id).onDurable = (what) => {
      const isBatch = what === 'batch'
      const probability = isBatch ? troubles.crashAtBatch : troubles.crashAtSnapshot
      if (isOver || !random.chance(probability)) return
      later(random.exponential(1), () => {
        cluster.befell(isBatch ? 'crash right after a write' : 'crash right after a snapshot')
        crash(id)
      })
    }
  }
  const supervise = (): void => {
    for (const id of cluster.ids) {
      watchDisk(id)
      if (cluster.computer(id).isOn) continue
      // A disk that rotted comes back from its mirror, or stays as it is, and its node with it.
      if (random.chance(0.1)) cluster.diskOf(id).repair()
      later(lasting(), () => cluster.start(id))
    }
    later(Math.max(1, troubles.lastsMs / 2), supervise)
  }
  supervise()
  return {
    stop() {
      isOver = true
      administrator.stop()
    },
  }
}

/** Takes some lines away: between two groups, around one node, in one direction, or all but a bridge. */
function cutSomething(cluster: Cluster, random: Random): void {
  const { ids, network, leaders } = cluster
  // A leader that is cut off goes on writing what will be overwritten: the most is to be learned there.
  const first = random.chance(0.5) ? leaders : []
  const shuffled = [...first, ...random.shuffle(ids).filter((id) => !first.includes(id))]
  const isOneWay = random.chance(0.4)
  const cut = (a: NodeId, b: NodeId): void => {
    network.cut(a, b)
    if (!isOneWay) network.cut(b, a)
  }
  const groupSize = random.whole(1, Math.max(1, shuffled.length - 1))
  const bridge = random.chance(0.3) ? shuffled[groupSize] : undefined
  const group = shuffled.slice(0, groupSize)
  const others = shuffled.slice(groupSize).filter((id) => id !== bridge)
  for (const a of group) for (const b of others) cut(a, b)
  if (shuffled.length < 2) return
  const [here, there] = [group.join(' '), others.join(' ') || 'nobody']
  cluster.tell(`no word passes ${isOneWay ? `from ${here} to` : `between ${here} and`} ${there}`)
  cluster.befell(groupSize === 1 ? 'node isolated' : 'partition in two')
  if (isOneWay) cluster.befell('one-way partition')
  if (bridge !== undefined && shuffled.length > 2) cluster.befell('bridge')
}
