import {
  type Entry,
  InvariantError,
  type Membership,
  type Message,
  type NodeId,
  type RaftEvent,
} from '@coracle/raft-core'
import { ALL, isAmong, type Which } from './mail.ts'
import { type NodeSettings, type Parcel, ScenarioNode } from './node.ts'

/** Nothing in a scenario takes this many rounds: something goes in circles. */
const MAX_ROUNDS = 1_000

type Options = NodeSettings['options']

export interface ClusterSettings {
  readonly founders: Membership
  /** The options of a node: nodes of one cluster may differ, as while they are upgraded. */
  readonly optionsOf: (id: NodeId) => Options
  readonly onEvent: (event: RaftEvent) => void
  readonly tell: (line: string) => void
}

/** The nodes of a scenario and the messages between them. */
export class ScenarioCluster {
  readonly nodes: Map<NodeId, ScenarioNode> = new Map()
  /** On their way, oldest first. */
  #parcels: Parcel[] = []
  readonly #cuts = new Set<string>()
  #held: Which[] = []
  #heldParcels: Parcel[] = []
  readonly #settings: ClusterSettings

  constructor(settings: ClusterSettings) {
    this.#settings = settings
    for (const id of settings.founders.voters) this.#add(id, settings.founders)
    this.#settle()
  }

  /** Starts a node that knows nobody and waits to be added. */
  addStranger(id: NodeId): void {
    if (this.nodes.has(id)) throw new Error(`there is a node ${id} already`)
    this.#add(id, null)
  }

  #add(id: NodeId, founders: Membership | null): void {
    const { tell, onEvent, optionsOf } = this.#settings
    const node = new ScenarioNode({
      id,
      founders,
      place: this.nodes.size,
      options: optionsOf(id),
      onEvent,
      onRead: (read, index) =>
        tell(
          index < 0
            ? `${id} lost track of read ${read}`
            : `${id} may serve read ${read} at ${index}`,
        ),
      onApply: (entry) => this.#showApplied(id, entry),
    })
    this.nodes.set(id, node)
    node.start()
  }

  node(id: string): ScenarioNode {
    const node = this.nodes.get(id)
    if (node === undefined) throw new Error(`there is no node ${id}`)
    return node
  }

  /** A node that finds that it can no longer be right stops, and says why. */
  guard(node: ScenarioNode, action: () => void): void {
    try {
      action()
    } catch (error) {
      if (!(error instanceof InvariantError)) throw error
      node.crash()
      this.#settings.tell(`${node.id} stopped: ${error.message}`)
    }
  }

  /** Lets every node finish what it can, without delivering anything. */
  #settle(): void {
    for (const node of this.nodes.values())
      if (node.isUp)
        this.guard(node, () => {
          for (const parcel of node.work()) this.#post(parcel)
        })
  }

  #post(parcel: Parcel): void {
    const isHeld = this.#held.some((which) => isAmong(which, parcel.message))
    if (isHeld) this.#heldParcels.push(parcel)
    else this.#parcels.push(parcel)
  }

  /** Delivers until nothing is left to deliver. */
  stabilize(): void {
    this.#settle()
    for (let round = 0; this.#parcels.length > 0; round += 1) {
      if (round > MAX_ROUNDS) throw new Error('the cluster never comes to rest')
      this.deliver(ALL)
    }
  }

  /** Delivers those messages that are on their way now, and lets the receivers react. */
  deliver(which: Which): void {
    this.#settle()
    const due = this.#take(which)
    for (const parcel of due) this.#hand(parcel)
    this.#settle()
  }

  #take(which: Which): Parcel[] {
    const taken = this.#parcels.filter(({ message }) => isAmong(which, message))
    this.#parcels = this.#parcels.filter(({ message }) => !isAmong(which, message))
    return taken
  }

  #hand(parcel: Parcel): void {
    const { from, to, type } = parcel.message
    const node = this.node(to)
    const arrives = node.isUp && !this.#cuts.has(`${from}>${to}`)
    if (arrives) this.guard(node, () => node.receive(parcel))
    if (type === 'install-snapshot') this.#snapshotSent(parcel.message, arrives)
  }

  /** Unlike a message, a stream tells its sender whether it arrived. */
  #snapshotSent({ from, to }: Message, arrived: boolean): void {
    const sender = this.node(from)
    if (sender.isUp) sender.raft.snapshotSent(to, arrived)
    if (!arrived) this.#settings.tell(`${from} could not send its snapshot to ${to}`)
  }

  /** Everything on its way now arrives twice. */
  repeat(): void {
    this.#settle()
    this.#parcels = this.#parcels.flatMap((parcel) => [parcel, parcel])
  }

  /** What was sent last arrives first. */
  reverse(): void {
    this.#settle()
    this.#parcels.reverse()
  }

  /** What is on its way, oldest first. */
  get mail(): readonly Message[] {
    this.#settle()
    return this.#parcels.map(({ message }) => message)
  }

  /** Lets time pass on one node, then lets it react. */
  tick(id: NodeId): void {
    const node = this.node(id)
    if (node.isUp) this.guard(node, () => node.tick())
    this.#settle()
  }

  partition(groups: readonly (readonly NodeId[])[]): void {
    for (const [at, group] of groups.entries())
      for (const other of groups.filter((_, where) => where !== at).flat())
        for (const id of group) this.cut(id, other)
  }

  cut(from: NodeId, to: NodeId): void {
    this.#cuts.add(`${from}>${to}`)
  }

  heal(): void {
    this.#cuts.clear()
  }

  /** Keeps such messages back from now on. */
  hold(which: Which): void {
    this.#settle()
    this.#held.push(which)
  }

  /** Undoes that, or all of it; what was kept back stays where it is. */
  unhold(which: Which): void {
    const { from, to, type } = which
    const isOther = (held: Which): boolean =>
      held.from !== from || held.to !== to || held.type !== type
    this.#held = which === ALL ? [] : this.#held.filter(isOther)
  }

  /** Puts what was kept back on its way as well, in the order it was sent. */
  release(which: Which): void {
    this.unhold(which)
    this.#parcels.push(...this.#heldParcels.filter(({ message }) => isAmong(which, message)))
    this.#heldParcels = this.#heldParcels.filter(({ message }) => !isAmong(which, message))
  }

  /** Loses what is on its way or kept back. Answers with how much that was. */
  drop(which: Which): number {
    this.#settle()
    const lost = [
      ...this.#take(which),
      ...this.#heldParcels.filter(({ message }) => isAmong(which, message)),
    ]
    this.#heldParcels = this.#heldParcels.filter(({ message }) => !isAmong(which, message))
    for (const { message } of lost)
      if (message.type === 'install-snapshot') this.#snapshotSent(message, false)
    return lost.length
  }

  #showApplied(id: NodeId, entry: Entry): void {
    if (entry.type === 'command')
      this.#settings.tell(`${id} applied ${new TextDecoder().decode(entry.data)} at ${entry.index}`)
  }
}
