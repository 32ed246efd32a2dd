import { bootstrapMembership, type NodeId, RaftError, type RaftEvent } from '@coracle/raft-core'
import { Computer } from './computer.ts'
import type { Observer, WorldView } from './observer.ts'
import type { Plan } from './plan.ts'
import type { Random } from './random.ts'
import type { VirtualClock } from './virtual-clock.ts'
import { VirtualDisk } from './virtual-disk.ts'
import { VirtualNetwork } from './virtual-network.ts'

export interface ClusterParts {
  readonly plan: Plan
  readonly clock: VirtualClock
  readonly random: Random
  readonly observer: Required<Observer>
  readonly sent: (message: Uint8Array) => void
  readonly traced: (event: RaftEvent) => void
  /** What somebody did to the cluster, in words. */
  readonly told: (what: string) => void
  readonly broke: (id: NodeId, cause: unknown) => void
}

/** All computers and the network between them. */
export class Cluster implements WorldView {
  readonly ids: readonly NodeId[]
  readonly clock: VirtualClock
  readonly network: VirtualNetwork
  readonly #computers: ReadonlyMap<NodeId, Computer>
  readonly #told: (what: string) => void

  constructor({ plan, clock, random, told, broke, ...parts }: ClusterParts) {
    this.clock = clock
    this.#told = told
    this.ids = 'abcdefg'.slice(0, plan.nodes).split('')
    this.network = new VirtualNetwork(clock, random.derive('network'), plan.network)
    const founders = bootstrapMembership(this.ids.map((id) => ({ id, address: id })))
    const computers = this.ids.map((id) => {
      const own = random.derive(`node ${id}`)
      const slowness = plan.isUneven ? own.pick([0.1, 1, 5]) : 1
      const disk = new VirtualDisk(clock, own.derive('disk'), {
        ...plan.disk,
        meanLatencyMs: plan.disk.meanLatencyMs * slowness,
      })
      const computer = new Computer({
        ...parts,
        id,
        clock,
        random: own,
        disk,
        network: this.network,
        founders,
        options: plan.options,
        drift: 1 + (own.next() * 2 - 1) * plan.drift,
        turnMs: plan.turnMs,
        applyMs: plan.isUneven && slowness < 1 ? 0 : plan.applyMs * slowness,
        broke: (cause) => broke(id, cause),
      })
      return [id, computer] as const
    })
    this.#computers = new Map(computers)
  }

  get nodes(): readonly NodeId[] {
    return this.ids
  }

  now(): number {
    return this.clock.now
  }

  diskOf(id: NodeId): VirtualDisk {
    return this.computer(id).disk
  }

  computer(id: NodeId): Computer {
    const computer = this.#computers.get(id)
    if (computer === undefined) throw new RangeError(`there is no node ${id}`)
    return computer
  }

  start(id: NodeId): void {
    if (this.computer(id).isOn) return
    this.#told(`${id} starts`)
    this.computer(id).turnOn()
  }

  crash(id: NodeId): void {
    if (!this.computer(id).isOn) return
    this.#told(`${id} loses its power`)
    this.computer(id).turnOff()
  }

  shutDown(id: NodeId): void {
    const computer = this.computer(id)
    if (computer.node === null) return
    this.#told(`${id} is shut down`)
    this.#finish(computer.shutDown())
  }

  /** Who believes to lead: nobody, one, or for a while more than one. */
  get leaders(): readonly NodeId[] {
    return this.ids.filter((id) => this.computer(id).node?.status().role === 'leader')
  }

  /** Asks whoever leads, as far as anybody can tell, to hand over. */
  transfer(to: NodeId | null): void {
    for (const id of this.leaders) {
      this.#told(`${id} is asked to hand over to ${to ?? 'anybody'}`)
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
    this.#finish(
      this.computer(id).ask(
        'snapshot',
        0,
        (node) => node.snapshot(),
        ({ position }) => position,
      ),
    )
  }

  /** Notes in the story what was done to the cluster. */
  tell(what: string): void {
    this.#told(what)
  }

  /** What comes of it, the observers see. */
  #finish(work: Promise<unknown> | null): void {
    work?.catch((error: unknown) => {
      if (!(error instanceof RaftError)) throw error
    })
  }
}

function nowhere(): { readonly index: number; readonly term: number } {
  return { index: 0, term: 0 }
}
