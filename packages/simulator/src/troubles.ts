import type { NodeId } from '@coracle/raft-core'
import type { Cluster } from './cluster.ts'
import type { Plan } from './plan.ts'
import type { Random } from './random.ts'

/** Makes trouble for a cluster, at the rates of its plan, until it is told to stop. */
export function makeTrouble(cluster: Cluster, plan: Plan, random: Random): { stop(): void } {
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

  often(troubles.crashMs, () => {
    // Now and then all lose their power at once.
    const victims = random.chance(troubles.allAtOnce) ? cluster.ids : [anyone()]
    for (const id of victims) {
      cluster.crash(id)
      if (random.chance(troubles.restartsAtOnce)) cluster.start(id)
    }
  })
  often(troubles.shutDownMs, () => cluster.shutDown(anyone()))
  often(troubles.partitionMs, () => {
    cutSomething(cluster, random)
    later(lasting(), () => cluster.network.heal())
  })
  often(troubles.stallMs, () => cluster.computer(anyone()).stall(lasting()))
  often(troubles.transferMs, () => cluster.transfer(random.chance(0.5) ? anyone() : null))
  often(troubles.snapshotMs, () => cluster.snapshot(anyone()))

  // Between two writes that belong together is where a crash hurts most.
  for (const id of cluster.ids)
    cluster.diskOf(id).onDurable = (what) => {
      const probability = what === 'batch' ? troubles.crashAtBatch : troubles.crashAtSnapshot
      if (!isOver && random.chance(probability))
        later(random.exponential(1), () => {
          cluster.crash(id)
          if (random.chance(troubles.restartsAtOnce)) cluster.start(id)
        })
    }

  const supervise = (): void => {
    for (const id of cluster.ids)
      if (!cluster.computer(id).isOn) later(lasting(), () => cluster.start(id))
    later(Math.max(1, troubles.lastsMs / 2), supervise)
  }
  supervise()
  return {
    stop() {
      isOver = true
    },
  }
}

/** Takes some lines away: between two groups, around one node, in one direction, or all but a bridge. */
function cutSomething({ ids, network, leaders }: Cluster, random: Random): void {
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
  for (const a of shuffled.slice(0, groupSize))
    for (const b of shuffled.slice(groupSize)) if (b !== bridge) cut(a, b)
}
