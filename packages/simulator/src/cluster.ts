import {
  bootstrapMembership,
  type LogIndex,
  type Membership,
  type NodeId,
  type NodeStatus,
  RaftError,
  type RaftEvent,
  type RaftNode,
} from '@coracle/raft-core'
import { Computer } from './computer.ts'
import type { Fault } from './faults.ts'
import type { Observer, Request, WorldView } from './observer.ts'
import type { StorageWorld, TestedDisk, TestedNetwork, TransportWorld } from './own-parts.ts'
import type { Breach, Disk, Network } from './parts.ts'
import type { Plan } from './plan.ts'
import type { Random } from './random.ts'
import type { VirtualClock } from './virtual-clock.ts'
import { VirtualDisk } from './virtual-disk.ts'
import { VirtualNetwork } from './virtual-network.ts'
import { WatchedDisk } from './watched-disk.ts'
import { WatchedNetwork } from './watched-network.ts'
import type { AnyWorkload } from './workload.ts'

export interface ClusterParts {
  readonly plan: Plan
  readonly workload: AnyWorkload
  readonly clock: VirtualClock
  readonly random: Random
  readonly observer: Required<Observer>
  readonly sent: (message: Uint8Array) => void
  /** A timer of some node was due. */
  readonly ticked: () => void
  readonly traced: (event: RaftEvent) => void
  /** What somebody did to the cluster, in words. */
  readonly told: (what: string) => void
  readonly broke: (id: NodeId, cause: unknown) => void
  /** Storages and transports under test; null for the simulation's own. */
  readonly storage: ((world: StorageWorld) => TestedDisk) | null
  readonly transport: ((world: TransportWorld) => TestedNetwork) | null
  readonly breach: Breach
  /** A node cannot read what another has sent. */
  readonly misunderstood: (why: string) => void
}

/** All computers and the network between them. */
export class Cluster implements WorldView {
  readonly founders: Membership
  readonly workload: AnyWorkload
  readonly clock: VirtualClock
  readonly network: Network
  readonly #parts: ClusterParts
  readonly #computers = new Map<NodeId, Computer>()
  /** Turned off for ever. */
  readonly #retired = new Set<NodeId>()

  constructor(parts: ClusterParts) {
    const { plan, clock, random } = parts
    this.#parts = parts
    this.clock = clock
    this.workload = parts.workload
    const weather = plan.network
    const own = { clock, random: random.derive('network'), weather, befell: this.befell }
    this.network =
      parts.transport === null
        ? new VirtualNetwork({ ...own, misunderstood: parts.misunderstood })
        : new WatchedNetwork({
            ...own,
            open: parts.transport,
            breach: (why) => parts.breach('transport', why),
          })
    const ids = Array.from({ length: plan.nodes }, (_, at) => nameOf(at))
    this.founders = bootstrapMembership(ids.map((id) => ({ id, address: id })))
    for (const id of ids) this.#build(id, this.founders)
    if (plan.turnMs > 0) this.befell('slow event loop')
    if (plan.applyMs > 0) this.befell('slow state machine')
    if (plan.drift > 0) this.befell('clock drift')
  }

  #build(id: NodeId, founders: Membership | null): void {
    const { plan, clock, random, storage, ...parts } = this.#parts
    const own = random.derive(`node ${id}`)
    const slowness = plan.isUneven ? own.pick([0.1, 1, 5]) : 1
    if (slowness > 1) this.befell('slow disk')
    const weather = { ...plan.disk, meanLatencyMs: plan.disk.meanLatencyMs * slowness }
    const befell = (fault: Fault): void => {
      parts.told(`disk of ${id}: ${fault}`)
      this.befell(fault)
    }
    const hardware = { id, clock, random: own.derive('disk'), weather, befell }
    const disk =
      storage === null
        ? new VirtualDisk(hardware)
        : new WatchedDisk({
            ...hardware,
            open: storage,
            breach: (why) => parts.breach('storage', `that of ${id}: ${why}`),
          })
    const isLater = own.derive('version').chance(plan.laterVersions)
    if (isLater) this.befell('node of a later version')
    const computer = new Computer({
      ...parts,
      id,
      clock,
      random: own,
      disk,
      network: this.network,
      founders,
      contacts: this.ids.map((other) => ({ id: other, address: other })),
      options: plan.options,
      openMachine: () => parts.workload.open(),
      drift: 1 + (own.next() * 2 - 1) * plan.drift,
      isLater,
      turnMs: plan.turnMs,
      applyMs: plan.isUneven && slowness < 1 ? 0 : plan.applyMs * slowness,
      removed: () => {
        this.befell('removed node stopped')
        this.retire(id)
      },
      broke: (cause) => parts.broke(id, cause),
    })
    this.#computers.set(id, computer)
  }

  /** One more computer, with an id that nobody had before. It does not run yet. */
  add(): NodeId {
    const id = nameOf(this.#computers.size)
    this.#build(id, null)
    return id
  }

  /** All that there ever were, members or not. */
  get ids(): readonly NodeId[] {
    return [...this.#computers.keys()]
  }

  get nodes(): readonly NodeId[] {
    return this.ids
  }

  now(): number {
    return this.clock.now
  }

  diskOf(id: NodeId): Disk {
    return this.computer(id).disk
  }

  driftOf(id: NodeId): number {
    return this.computer(id).drift
  }

  statusOf(id: NodeId): NodeStatus | null {
    return this.computer(id).node?.status() ?? null
  }

  computer(id: NodeId): Computer {
    const computer = this.#computers.get(id)
    if (computer === undefined) throw new RangeError(`there is no node ${id}`)
    return computer
  }

  start(id: NodeId): void {
    if (this.computer(id).isOn || this.#retired.has(id)) return
    this.#parts.told(`${id} starts`)
    this.befell('start')
    this.computer(id).turnOn()
  }

  crash(id: NodeId): void {
    if (!this.computer(id).isOn) return
    this.#parts.told(`${id} loses its power`)
    this.befell('crash')
    this.computer(id).turnOff()
  }

  /** Its event loop does nothing for a while. */
  stall(id: NodeId, timeMs: number): void {
    this.#parts.told(`the process of ${id} stands still for ${timeMs.toFixed(1)} ms`)
    this.befell('event loop stalled')
    this.computer(id).stall(timeMs)
  }

  /** Nobody hears it any more, and it hears nobody. */
  isolate(id: NodeId): void {
    this.#parts.told(`${id} is cut off from all others`)
    for (const other of this.ids) {
      this.network.cut(id, other)
      this.network.cut(other, id)
    }
  }

  /** Whoever was cut off is heard again. */
  heal(): void {
    this.#parts.told('all hear each other again')
    this.network.heal()
  }

  /** Turns a node off for ever. */
  retire(id: NodeId): void {
    this.crash(id)
    this.#retired.add(id)
  }

  isRetired(id: NodeId): boolean {
    return this.#retired.has(id)
  }

  shutDown(id: NodeId): void {
    const computer = this.computer(id)
    if (computer.node === null) return
    this.#parts.told(`${id} is shut down`)
    this.befell('shutdown')
    this.#finish(computer.shutDown())
  }

  /** Who believes to lead: nobody, one, or for a while more than one. */
  get leaders(): readonly NodeId[] {
    return this.ids.filter((id) => this.computer(id).leads)
  }

  /** Who takes part, as far as the node that leads the newest term knows, or else the founders. */
  get members(): readonly NodeId[] {
    const [newest] = this.leaders
      .flatMap((id) => this.statusOf(id) ?? [])
      .toSorted((a, b) => b.term - a.term)
    return (newest?.membership ?? this.founders).peers.map(({ id }) => id)
  }

  /** Asks whoever leads, as far as anybody can tell, to hand over. */
  transfer(to: NodeId | null): void {
    for (const id of this.leaders) {
      this.#parts.told(`${id} is asked to hand over to ${to ?? 'anybody'}`)
      this.befell('leadership transfer')
      this.#finish(
        this.computer(id).ask(
          'transfer',
          0,
          (node) => node.transferLeadership(to ?? undefined),
          nowhere,
        ),
      )
    }
  }

  snapshot(id: NodeId): void {
    this.befell('snapshot on demand')
    this.#finish(
      this.computer(id).ask(
        'snapshot',
        0,
        (node) => node.snapshot(),
        ({ position }) => position,
      ),
    )
  }

  forgetLeader(id: NodeId): void {
    this.befell('leader forgotten')
    this.ask(id, 'forgetting', (node) => node.forgetLeader())
  }

  /** Asks a node for what has no place in the log. What comes of it, the observers see. */
  ask(id: NodeId, kind: Request['kind'], ask: (node: RaftNode) => Promise<unknown>): void {
    this.#finish(this.computer(id).ask(kind, 0, ask, nowhere))
  }

  /** From now on a node's disk and state machine are as they should be, and nothing holds it up. */
  soothe(id: NodeId): void {
    const computer = this.computer(id)
    computer.disk.calm()
    computer.disk.repair()
    computer.wake()
  }

  /** Makes a new cluster of one node alone, which has kept the history up to `kept`. */
  async recover(id: NodeId, kept: LogIndex): Promise<void> {
    this.#parts.told(`${id} is all that is left, and has the history up to ${kept}`)
    const { membership, position } = await this.computer(id).recover()
    this.befell('cluster recovered')
    this.#parts.observer.recovered({ membership, position, kept })
  }

  /** Notes in the story what was done to the cluster. */
  tell(what: string): void {
    this.#parts.told(what)
  }

  readonly befell = (fault: Fault): void => this.#parts.observer.befell(fault)

  /** What comes of it, the observers see. */
  #finish(work: Promise<unknown> | null): void {
    work?.catch((error: unknown) => {
      if (!(error instanceof RaftError)) throw error
    })
  }
}

function nameOf(at: number): NodeId {
  return at < 26 ? String.fromCharCode('a'.charCodeAt(0) + at) : `n${at + 1}`
}

function nowhere(): { readonly index: number; readonly term: number } {
  return { index: 0, term: 0 }
}
