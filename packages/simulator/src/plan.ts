import type { NodeOptions } from '@coracle/raft-core'
import type { Random } from './random.ts'
import type { DiskWeather } from './virtual-disk.ts'
import type { NetworkWeather } from './virtual-network.ts'

/** All that a seed decides before anything happens. */
export interface Plan {
  readonly nodes: number
  /** How many there may ever be, with those that are added. */
  readonly mostNodes: number
  readonly options: Partial<NodeOptions> & Pick<NodeOptions, 'tickMs' | 'requestTimeoutTicks'>
  readonly network: NetworkWeather
  readonly disk: DiskWeather
  readonly troubles: Troubles
  readonly drift: number
  readonly turnMs: number
  readonly applyMs: number
  /** Some nodes have slower disks and state machines than others. */
  readonly isUneven: boolean
  readonly clients: number
  readonly keys: number
  /** How long a client waits between two requests, on average. */
  readonly thinkMs: number
  /** The most writes that a client asks for at once. */
  readonly burst: number
  /** How much of what clients ask for are reads. */
  readonly reads: number
  /** How many of the reads ask for less than everything. */
  readonly weakReads: number
  /** How many of the nodes speak a later version of the protocol. */
  readonly laterVersions: number
  /** In the end a quorum is lost for good, and one that is left goes on. */
  readonly losesQuorum: boolean
  /** The largest value written, in characters. */
  readonly maxValueLength: number
  readonly safetyMs: number
}

/** The mean time between two troubles of a kind, in milliseconds; 0 for never. */
export interface Troubles {
  readonly crashMs: number
  /** How many of the writes are followed by a crash, just after they became durable. */
  readonly crashAtBatch: number
  readonly crashAtSnapshot: number
  readonly shutDownMs: number
  readonly partitionMs: number
  readonly stallMs: number
  readonly transferMs: number
  readonly snapshotMs: number
  /** Somebody changes options of a running node. */
  readonly reconfigureMs: number
  /** Somebody tells a node that its leader is gone: never with leases. */
  readonly forgetMs: number
  /** Somebody asks for a change of the membership. */
  readonly changeMs: number
  /** The leader is cut off when another is ready to lead: only with leases, which must bear it. */
  readonly usurpMs: number
  /** The leader is cut off with writes of its own, until others have written and forgotten more. */
  readonly strandMs: number
  readonly rotMs: number
  /** How many of the crashed nodes start again at once, while what they said is still on its way. */
  readonly restartsAtOnce: number
  /** How many of the crashes hit all nodes together. */
  readonly allAtOnce: number
  /** One node, always the same, has most of the bad luck. */
  readonly hasVictim: boolean
  /** How long a node stays down, a partition or a stall lasts, on average. */
  readonly lastsMs: number
}

/** How many election timeouts everything may go wrong for. */
const SAFETY_ELECTIONS = 50

/** The shortest election timeout, by a clock that runs as it should. */
export function electionMsOf({ safetyMs }: Plan): number {
  return safetyMs / SAFETY_ELECTIONS
}

/**
 * Draws a plan. Every seed switches some faults on and others off, and gives each its own rate: a
 * bug that shows only when nothing else disturbs it has its chance, too (swarm testing).
 */
export function drawPlan(random: Random): Plan {
  const sometimes = (probability: number, value: () => number): number =>
    random.chance(probability) ? value() : 0
  const options = drawOptions(random.derive('options'))
  const electionMs = options.tickMs * (options.electionTicks ?? 10)
  const live = random.derive('live')
  const stranding = random.derive('stranding')
  const burst = random.pick([1, 1, 4, 16])
  const nodes = random.pick([1, 2, 3, 3, 3, 3, 3, 3, 4, 5, 5, 5])
  const plan: Plan = {
    nodes,
    mostNodes: nodes + random.pick([2, 4, 8]),
    options,
    network: drawNetwork(random.derive('network'), electionMs),
    disk: drawDisk(random.derive('disk'), electionMs),
    troubles: {
      crashMs: sometimes(0.6, () => random.pick([0.3, 0.6, 1, 3, 20]) * electionMs),
      crashAtBatch: sometimes(0.2, () => random.next() * 0.02),
      crashAtSnapshot: sometimes(0.4, () => random.next() * 0.6),
      shutDownMs: sometimes(0.3, () => random.whole(10, 50) * electionMs),
      partitionMs: sometimes(0.4, () => random.whole(4, 30) * electionMs),
      stallMs: sometimes(0.4, () => random.whole(4, 30) * electionMs),
      transferMs: sometimes(0.4, () => random.whole(2, 20) * electionMs),
      snapshotMs: sometimes(0.4, () => random.whole(1, 20) * electionMs),
      changeMs: sometimes(0.5, () => random.pick([0.5, 2, 5]) * electionMs),
      usurpMs: 0,
      strandMs: stranding.chance(0.1) ? stranding.whole(4, 20) * electionMs : 0,
      reconfigureMs: live.chance(0.3) ? live.whole(1, 10) * electionMs : 0,
      forgetMs: live.chance(0.3) ? live.whole(1, 10) * electionMs : 0,
      rotMs: sometimes(0.2, () => random.whole(10, 50) * electionMs),
      restartsAtOnce: random.pick([0.1, 0.9, 0.9]),
      allAtOnce: random.pick([0, 0, 0.2]),
      hasVictim: random.chance(0.7),
      lastsMs: random.pick([0.3, 1, 3, 8]) * electionMs,
    },
    drift: sometimes(0.5, () => random.pick([0.05, 0.2, 0.5])),
    turnMs: random.pick([0, 0, 0.1, 1]),
    applyMs: random.pick([0, 0, 2, 10, electionMs / 4]),
    isUneven: random.chance(0.5),
    clients: random.whole(1, 8),
    // Too many writes of one key side by side, and nobody could check their order.
    keys: random.whole(1, 4) * burst,
    thinkMs: random.pick([2, 10, 40]),
    burst,
    reads: random.pick([0.2, 0.5, 0.5, 0.8]),
    weakReads: live.pick([0, 0.3, 0.7]),
    laterVersions: live.pick([0, 0, 0.5]),
    losesQuorum: live.chance(0.15),
    maxValueLength: random.pick([4, 4, 100, 1000]),
    safetyMs: SAFETY_ELECTIONS * electionMs,
  }
  if (stranding.chance(0.1)) return withStrandingOnly(plan, stranding)
  const leases = random.derive('leases')
  return leases.chance(0.4) ? withLeases(plan, leases) : plan
}

/** Reads rest on clocks, which differ as much as the nodes are told to expect, and no more. */
function withLeases(plan: Plan, random: Random): Plan {
  const slowest = 1 - plan.drift
  const fastest = 1 + plan.drift
  const maxClockDrift = 1 - slowest / fastest
  const options = { preVote: true, checkQuorum: true, reads: 'lease', maxClockDrift } as const
  const leased = { ...plan, options: { ...plan.options, ...options } }
  const usurpMs = random.pick([0, 4, 4, 10]) * electionMsOf(plan)
  if (usurpMs > 0 && random.chance(0.6)) return withUsurpersOnly(leased, usurpMs)
  return { ...leased, troubles: { ...plan.troubles, usurpMs } }
}

/**
 * Where much goes wrong, there is seldom a leader, and two of them hardly ever. So most usurpers find a
 * cluster in which all is well.
 */
function withUsurpersOnly(plan: Plan, usurpMs: number): Plan {
  const calm = withNothingElse(plan)
  return {
    ...calm,
    troubles: { ...calm.troubles, usurpMs },
    // It is the leaders that are asked all the time: see `askLeaders`.
    clients: 1,
    burst: 1,
    thinkMs: 40,
  }
}

/** As for usurpers. Whoever lags behind gets a snapshot, and just after that its power fails. */
function withStrandingOnly(plan: Plan, random: Random): Plan {
  const calm = withNothingElse(plan)
  const strandMs = random.whole(3, 6) * electionMsOf(plan)
  return {
    ...calm,
    options: { ...plan.options, keepEntries: 0, keepBytes: 1 << 20 },
    troubles: { ...calm.troubles, strandMs, crashAtSnapshot: random.next() * 0.6 },
  }
}

/** A cluster that has its leader, and in which nothing goes wrong. */
function withNothingElse(plan: Plan): Plan {
  const none = {
    crashMs: 0,
    crashAtBatch: 0,
    crashAtSnapshot: 0,
    shutDownMs: 0,
    partitionMs: 0,
    stallMs: 0,
    transferMs: 0,
    snapshotMs: 0,
    changeMs: 0,
    usurpMs: 0,
    strandMs: 0,
    rotMs: 0,
  }
  const delay = { minDelayMs: 0, meanDelayMs: 1 }
  const faults = { loss: 0, duplication: 0, hold: 0, streamBreak: 0 }
  return {
    ...plan,
    nodes: Math.max(3, plan.nodes),
    mostNodes: Math.max(3, plan.mostNodes),
    network: { ...plan.network, ...delay, ...faults },
    disk: {
      meanLatencyMs: 1,
      stallProbability: 0,
      stallMs: 0,
      failureProbability: 0,
      corruption: 0,
    },
    troubles: { ...plan.troubles, ...none },
    turnMs: 0,
    applyMs: 0,
    isUneven: false,
  }
}

type DrawnOptions = Plan['options']

function drawOptions(random: Random): DrawnOptions {
  const electionTicks = random.whole(4, 12)
  const quotas = random.derive('quotas')
  return {
    electionTicks,
    heartbeatTicks: random.whole(1, Math.max(1, electionTicks >> 2)),
    tickMs: random.pick([10, 20, 30]),
    preVote: random.chance(0.7),
    checkQuorum: random.chance(0.7),
    maxMessageBytes: random.pick([1, 500, 5_000, 1 << 20]),
    maxInflightMessages: random.pick([1, 2, 3, 8, 64]),
    maxInflightBytes: random.pick([1, 1_000, 1 << 20]),
    minBatchBytes: random.pick([0, 500, 16_384]),
    maxUncommittedBytes: random.pick([1, 5_000, 1 << 20]),
    maxWindowBytes: random.pick([0, 0, 1_000, 1 << 20]),
    maxPromotionLag: random.pick([0, 3, 1_000]),
    maxPendingReads: random.pick([1, 10, 1_000, 1_000]),
    maxPendingProposals: random.pick([2, 10, 1_000, 1_000]),
    requestTimeoutTicks: random.pick([10, 30, 70]),
    maxApplyBytes: random.pick([1, 1_000, 1 << 20]),
    snapshotEntries: random.pick([1, 3, 10, 30, 100_000]),
    snapshotBytes: random.pick([500, 1 << 20]),
    keepEntries: random.pick([0, 0, 3, 20]),
    keepBytes: quotas.pick([0, 500, 1 << 20, 1 << 20]),
    maxCommandBytes: quotas.pick([100, 1 << 20, 1 << 20, 1 << 20]),
    maxPendingProposalBytes: quotas.pick([1, 1_000, 1 << 20, 1 << 20]),
    maxPendingMessages: quotas.pick([16, 1_000, 1_000]),
  }
}

function drawNetwork(random: Random, electionMs: number): NetworkWeather {
  const sometimes = (probability: number, most: number): number =>
    random.chance(probability) ? random.next() * most : 0
  return {
    minDelayMs: random.pick([0, 1, 3]),
    meanDelayMs: random.pick([0.5, 2, 5, electionMs / 10]),
    loss: sometimes(0.5, 0.3),
    duplication: sometimes(0.5, 0.3),
    reorders: random.chance(0.5),
    hold: sometimes(0.5, 0.2),
    holdMs: random.pick([0.3, 1, 4, 20]) * electionMs,
    streamBreak: sometimes(0.5, 0.8),
    notice: random.next(),
  }
}

function drawDisk(random: Random, electionMs: number): DiskWeather {
  return {
    meanLatencyMs: random.pick([0.2, 2, 10, electionMs / 5]),
    stallProbability: random.chance(0.4) ? random.pick([0.01, 0.1, 0.3]) : 0,
    stallMs: random.pick([0.5, 3, 8]) * electionMs,
    failureProbability: random.chance(0.3) ? random.next() * 0.01 : 0,
    corruption: random.chance(0.2) ? random.next() * 0.02 : 0,
  }
}
