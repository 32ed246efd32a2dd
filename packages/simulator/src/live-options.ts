import type { LiveOptions, NodeId, NodeOptions } from '@coracle/raft-core'
import type { Cluster } from './cluster.ts'
import type { Plan } from './plan.ts'
import type { Random } from './random.ts'

/** The options of a plan that are times: they must be as planned for a cluster to be sure to serve. */
export function plannedTimes({ options }: Plan): Partial<LiveOptions> {
  const { electionTicks = 10, heartbeatTicks = 1, tickMs, requestTimeoutTicks } = options
  return options.reads === 'lease'
    ? { heartbeatTicks, requestTimeoutTicks }
    : { electionTicks, heartbeatTicks, tickMs, requestTimeoutTicks }
}

/**
 * Some options, to be changed while a node runs. No wait becomes longer than the plan has it, and
 * nothing changes that leases are measured by.
 */
export function drawLiveOptions({ options }: Plan, random: Random): Partial<LiveOptions> {
  const { electionTicks = 10, tickMs, requestTimeoutTicks } = options
  const changed = (chosen: Partial<LiveOptions>): Partial<LiveOptions> =>
    random.chance(0.3) ? chosen : {}
  const election = options.reads === 'lease' ? electionTicks : random.whole(4, 12)
  const times = {
    electionTicks: election,
    heartbeatTicks: random.whole(1, Math.max(1, election >> 2)),
    tickMs: options.reads === 'lease' ? tickMs : random.whole(5, tickMs),
  }
  return {
    ...changed(times),
    ...changed({ requestTimeoutTicks: random.whole(5, requestTimeoutTicks) }),
    ...changed({ maxMessageBytes: random.pick([1, 500, 1 << 20]) }),
    ...changed({ maxInflightMessages: random.pick([1, 2, 64]) }),
    ...changed({ maxInflightBytes: random.pick([1, 1_000, 1 << 20]) }),
    ...changed({ minBatchBytes: random.pick([0, 500, 16_384]) }),
    ...changed({ maxUncommittedBytes: random.pick([1, 5_000, 1 << 20]) }),
    ...changed({ maxWindowBytes: random.pick([0, 1_000, 1 << 20]) }),
    ...changed({ maxPendingReads: random.pick([1, 10, 1_000]) }),
    ...changed({ maxPendingProposals: random.pick([2, 10, 1_000]) }),
    ...changed({ maxApplyBytes: random.pick([1, 1_000, 1 << 20]) }),
    ...changed({ maxPromotionLag: random.pick([0, 3, 1_000]) }),
    ...changed({ snapshotEntries: random.pick([1, 10, 100_000]) }),
    ...changed({ snapshotAgeMs: random.pick([0, 50, 1_000]) }),
    ...changed({ partialSnapshotTicks: random.pick([1, 600]) }),
    ...changed({ keepEntries: random.pick([0, 3, 20]) }),
    ...changed({ keepBytes: random.pick([0, 500, 1 << 20]) }),
    ...changed({ maxCommandBytes: random.pick([100, 1 << 20]) }),
    ...changed({ maxPendingProposalBytes: random.pick([1, 1_000, 1 << 20]) }),
    ...changed({ maxPendingMessages: random.pick([16, 1_000]) }),
  }
}

/** Changes options of a node that runs. */
export function reconfigure(cluster: Cluster, id: NodeId, changes: Partial<LiveOptions>): void {
  cluster.tell(`${id} is given other options: ${JSON.stringify(changes)}`)
  cluster.befell('options changed')
  const names = Object.keys(changes) as (keyof LiveOptions)[]
  const isAsAsked = (options: NodeOptions): boolean =>
    names.every((name) => options[name] === changes[name])
  cluster.ask(id, 'reconfiguration', async (node) => {
    if (!isAsAsked(await node.reconfigure(changes)))
      throw new Error('the options are not what they were changed to')
  })
}

/** Asks for options that no node can have: it refuses them, and goes on. */
export function confuse(cluster: Cluster, id: NodeId): void {
  cluster.tell(`${id} is given options that make no sense`)
  cluster.befell('options that make no sense')
  cluster.ask(id, 'reconfiguration', async (node) => {
    try {
      await node.reconfigure({ heartbeatTicks: 1_000 })
    } catch (error) {
      if (error instanceof RangeError) return
      throw error
    }
    throw new Error('options that make no sense were taken')
  })
}
