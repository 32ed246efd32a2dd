import type { Entry, Membership, Message, MessageType, NodeId, RaftEvent } from '@coracle/raft-core'
import { type NodeSettings, type Parcel, ScenarioNode } from './node.ts'

/** Nothing in a scenario takes this many rounds: something goes in circles. */
const MAX_ROUNDS = 1_000

/** The nodes of a scenario and the messages between them. */
export class ScenarioCluster {
  readonly nodes: Map<NodeId, ScenarioNode> = new Map()
  /** On their way, oldest first. */
  #parcels: Parcel[] = []
  readonly #cuts = new Set<string>()
  #held: { readonly type: MessageType | null; readonly from: NodeId; readonly to: NodeId }[] = []
  #heldParcels: Parcel[] = []
  readonly #options: NodeSettings['options']
  readonly #tell: (line: string) => void
  readonly #onEvent: (event: RaftEvent) => void

  constructor(
    founders: Membership,
    options: NodeSettings['options'],
    onEvent: (event: RaftEvent) => void,
    tell: (line: string) => void,
  ) {
    this.#onEvent = onEvent
    this.#tell = tell
    this.#options = options
    for (const id of founders.voters) this.#add(id, founders)
    this.#settle()
  }

  /** Starts a node that knows nobody and waits to be added. */
  addStranger(id: NodeId): void {
    this.#add(id, null)
  }

  #add(id: NodeId, founders: Membership | null): void {
    const node = new ScenarioNode({
      id,
      founders,
      place: this.nodes.size,
      options: this.#options,
      onEvent: this.#onEvent,
      onRead: (read, index) =>
        this.#tell(
          index < 0
            ? `${id} lost track of read ${read}`
            : `${id} may serve read ${read} at ${index}`,
        ),
      onApply: (entry) => this.#showApplied(id, entry),
    })
    this.nodes.set(id, node)
  }

  node(id: string): ScenarioNode {
    const node = this.nodes.get(id)
    if (node === undefined) throw new Error(`there is no node ${id}`)
    return node
  }

  /** Lets every node finish what it can, without delivering anything. */
  #settle(): void {
    for (const node of this.nodes.values())
      if (node.isUp) for (const parcel of node.work()) this.#post(parcel)
  }

  #post(parcel: Parcel): void {
    const { from, to, type } = parcel.message
    const isHeld = this.#held.some(
      (rule) => rule.from === from && rule.to === to && (rule.type === null || rule.type === type),
    )
    if (isHeld) this.#heldParcels.push(parcel)
    else this.#parcels.push(parcel)
  }

  /** Delivers until nothing is left to deliver. */
  stabilize(): void {
    this.#settle()
    for (let round = 0; this.#parcels.length > 0; round += 1) {
      if (round > MAX_ROUNDS) throw new Error('the cluster never comes to rest')
      this.deliver()
    }
  }

  /** Delivers what is on its way now, and lets the receivers react. */
  deliver(): void {
    const parcels = this.#parcels
    this.#parcels = []
    for (const parcel of parcels) this.#hand(parcel)
    this.#settle()
  }

  #hand(parcel: Parcel): void {
    const { from, to, type } = parcel.message
    const node = this.node(to)
    const arrives = node.isUp && !this.#cuts.has(`${from}>${to}`)
    if (arrives) node.receive(parcel)
    if (type === 'install-snapshot') this.#snapshotSent(parcel.message, arrives)
  }

  /** Unlike a message, a stream tells its sender whether it arrived. */
  #snapshotSent({ from, to }: Message, arrived: boolean): void {
    const sender = this.node(from)
    if (sender.isUp) sender.raft.snapshotSent(to, arrived)
    if (!arrived) this.#tell(`${from} could not send its snapshot to ${to}`)
  }

  /** Lets time pass on one node, then lets it react. */
  tick(id: NodeId): void {
    if (this.node(id).isUp) this.node(id).raft.tick()
    this.#settle()
  }

  partition(groups: readonly (readonly NodeId[])[]): void {
    for (const [place, group] of groups.entries())
      for (const other of groups.filter((_, at) => at !== place).flat())
        for (const id of group) this.cut(id, other)
  }

  cut(from: NodeId, to: NodeId): void {
    this.#cuts.add(`${from}>${to}`)
  }

  heal(): void {
    this.#cuts.clear()
  }

  /** Keeps messages of this kind back from now on. */
  hold(from: NodeId, to: NodeId, type: MessageType | null): void {
    this.#held.push({ from, to, type })
  }

  /** Keeps no more messages back; those that were stay where they are. */
  unhold(): void {
    this.#held = []
  }

  /** Puts what was kept back on its way, in the order it was sent. */
  release(): void {
    this.unhold()
    this.#parcels.push(...this.#heldParcels)
    this.#heldParcels = []
  }

  /** Loses what is on its way or kept back. Answers with how much that was. */
  drop(): number {
    const lost = [...this.#parcels, ...this.#heldParcels]
    this.#parcels = []
    this.#heldParcels = []
    for (const { message } of lost)
      if (message.type === 'install-snapshot') this.#snapshotSent(message, false)
    return lost.length
  }

  #showApplied(id: NodeId, entry: Entry): void {
    if (entry.type === 'command')
      this.#tell(`${id} applied ${new TextDecoder().decode(entry.data)} at ${entry.index}`)
  }
}
