import type { RaftEvent } from '@coracle/raft-core'
import { Clients } from './clients.ts'
import { Cluster } from './cluster.ts'
import { Coverage } from './faults.ts'
import { Fingerprint } from './fingerprint.ts'
import { Audience, type Observer, type Property } from './observer.ts'
import { keyValueWorkload } from './key-value-workload.ts'
import type { StorageWorld, TestedDisk, TestedNetwork, TransportWorld } from './own-parts.ts'
import { History } from './loss.ts'
import { drawPlan, electionMsOf, type Plan } from './plan.ts'
import { PROPERTIES } from './properties/index.ts'
import { createRandom } from './random.ts'
import { recover, type Service, servingMembers } from './recovery.ts'
import { Roster } from './roster.ts'
import { Story } from './story.ts'
import { makeTrouble } from './troubles.ts'
import { VirtualClock } from './virtual-clock.ts'
import type { AnyWorkload, Workload } from './workload.ts'

export interface SimulateOptions<Input = unknown, Output = unknown> {
  readonly seed: number
  /** The state machine, and what clients do with it. Default: a few keys and their values. */
  readonly workload?: Workload<Input, Output>
  /**
   * The storage of each node: its disk, made once and opened for every life. Default: a virtual disk
   * that does whatever the contract leaves open.
   */
  readonly storage?: (world: StorageWorld) => TestedDisk
  /**
   * What connects the nodes, made once. Default: a virtual network, which does more harm than the
   * contract allows.
   */
  readonly transport?: (world: TransportWorld) => TestedNetwork
  /** What is checked. Default: everything. */
  readonly properties?: readonly Property[]
  /** How many of the last lines of the story to keep. Default 200. */
  readonly storyLines?: number
}

export interface Violation {
  readonly property: string
  readonly why: string
}

/** What came of a simulation. */
export interface Report {
  readonly seed: number
  /** Null if everything held. */
  readonly violation: Violation | null
  /** A hash of every event and every message, in order: the same seed gives the same one. */
  readonly fingerprint: string
  readonly plan: Plan
  /** The last things that happened, a line each. */
  readonly story: readonly string[]
  readonly tally: Tally
  /** How often each fault, event and ending there was, by name. */
  readonly coverage: Readonly<Record<string, number>>
}

/** How much happened. */
export interface Tally {
  virtualMs: number
  /** Ticks of all nodes that ran, together. */
  ticks: number
  messages: number
  elections: number
  snapshotsInstalled: number
  lives: number
  acknowledged: number
  reads: number
}

/**
 * Runs a cluster of real nodes on virtual time, disks and lines. The seed decides everything: how
 * many nodes, their options, which faults there are, what clients ask for, and every delay.
 *
 * First everything goes wrong that the seed wants, and no rule of Raft may break. Then a majority
 * becomes healthy while all else stays broken for ever, and the cluster must serve again. Or a
 * majority is lost for ever, and a new cluster is made of what one node has left.
 */
export async function simulate<Input, Output>(
  options: SimulateOptions<Input, Output>,
): Promise<Report> {
  const { seed } = options
  const workload = (options.workload ?? keyValueWorkload()) as AnyWorkload
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new RangeError(`a seed is a whole number from 0, not ${seed}`)
  const random = createRandom(`coracle ${seed}`)
  const plan = drawPlan(random.derive('plan'))
  const clock = new VirtualClock()
  const story = new Story(clock, options.storyLines ?? 200)
  const fingerprint = new Fingerprint()
  const tally: Tally = {
    virtualMs: 0,
    ticks: 0,
    messages: 0,
    elections: 0,
    snapshotsInstalled: 0,
    lives: 0,
    acknowledged: 0,
    reads: 0,
  }
  let violation: Violation | null = null
  const violated = (property: string, why: string): void => {
    violation ??= { property, why }
  }
  const coverage = new Coverage()
  const audience = new Audience()
  const { observer } = audience
  for (const listener of [counting(tally), story.observer, covering(coverage)])
    audience.add(listener)
  const cluster: Cluster = new Cluster({
    plan,
    workload,
    clock,
    random,
    observer,
    ticked: () => (tally.ticks += 1),
    sent: (message) => fingerprint.addBytes(message),
    traced: (event) => fingerprint.addData(comparable(event)),
    told: (what) => story.tell(what),
    storage: options.storage ?? null,
    transport: options.transport ?? null,
    misunderstood: (why) => violated('messages are understood', why),
    breach: (contract, why) => violated(`the ${contract} keeps its contract`, why),
    broke: (id, cause) => violated('nodes run on', `${id} stopped: ${tellCause(cause)}`),
  })
  for (const property of options.properties ?? PROPERTIES)
    audience.add(property.watch((why) => violated(property.name, why), cluster))
  const roster = new Roster(cluster, () => {})
  const history = new History()
  audience.add(roster.observer)
  audience.add(history.observer)

  for (const id of cluster.ids) cluster.start(id)
  const clients = new Clients({
    cluster,
    plan,
    workload,
    random: random.derive('clients'),
    recorded: observer.recorded,
  })
  const trouble = makeTrouble({ cluster, plan, random: random.derive('troubles'), clients })
  await clock.run(() => violation !== null || clock.now >= plan.safetyMs)
  trouble.stop()
  clients.stop()

  const service: Service = { isUp: false, core: [] }
  const serving = recover({ cluster, plan, clients, random, roster, history }, service).catch(
    (error: unknown) => violated('liveness', `nothing can be recovered: ${tellCause(error)}`),
  )
  const electionMs = electionMsOf(plan)
  const requestMs = plan.options.tickMs * plan.options.requestTimeoutTicks * (1 + plan.drift)
  const deadline = clock.now + 150 * electionMs + 10 * requestMs
  await clock.run(() => violation !== null || service.isUp || clock.now >= deadline)
  if (service.isUp) {
    await serving
    // Requests from before have had their time, too.
    const end = clock.now + 3 * requestMs + 30 * electionMs
    await clock.run(() => violation !== null || clock.now >= end)
    const served = servingMembers(cluster, service.core)
    // Whoever waits for a node that is broken for ever learns now that nobody knows.
    for (const id of cluster.ids) if (!served.includes(id)) cluster.crash(id)
    await clock.run(() => true)
    observer.ended(served)
  } else
    violated(
      'liveness',
      `${service.core.join(' ')} are healthy, and do not serve: ${statuses(cluster)}`,
    )
  tally.virtualMs = clock.now
  return {
    seed,
    violation,
    fingerprint: fingerprint.toString(),
    plan,
    story: story.lines,
    tally,
    coverage: coverage.counts,
  }
}

/** Counts what was done to the cluster, what happened in it, and how requests ended. */
function covering(coverage: Coverage): Observer {
  return {
    befell: (fault) => coverage.add(`fault: ${fault}`),
    happened(_, event) {
      const { type } = event
      const of = 'message' in event ? ` ${event.message}` : ''
      const as = event.type === 'role-changed' ? ` ${event.role}` : ''
      coverage.add(`event: ${type}${of}${as}`)
    },
    answered({ kind }, ending) {
      coverage.add(`ending: ${kind} ${ending.type === 'failed' ? ending.code : ending.type}`)
    },
  }
}

function counting(tally: Tally): Observer {
  return {
    started: () => (tally.lives += 1),
    sent: () => (tally.messages += 1),
    happened(_, { type }) {
      if (type === 'election-started') tally.elections += 1
      if (type === 'snapshot-installed') tally.snapshotsInstalled += 1
    },
    answered({ kind }, ending) {
      if (ending.type !== 'done') return
      if (kind === 'propose') tally.acknowledged += 1
      if (kind === 'read') tally.reads += 1
    },
  }
}

/** Of an error, its words are the same in every run; where in the code it came from need not be. */
function comparable(event: RaftEvent): unknown {
  return event.type === 'node-failed' ? { ...event, cause: tellCause(event.cause) } : event
}

function tellCause(cause: unknown): string {
  return cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)
}

function statuses(cluster: Cluster): string {
  return cluster.ids
    .map((id) => {
      const status = cluster.computer(id).node?.status()
      if (status === undefined) return `${id} does not run`
      const { role, term, lastIndex, commitIndex, appliedIndex } = status
      return `${id} is ${role} at term ${term}, log ${lastIndex}, committed ${commitIndex}, applied ${appliedIndex}`
    })
    .join('; ')
}
