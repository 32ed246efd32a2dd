import type {
  AppendBatch,
  Command,
  Consistency,
  Entry,
  LogIndex,
  Membership,
  Message,
  NodeId,
  NodeStatus,
  Position,
  RaftEvent,
  Term,
} from '@coracle/raft-core'
import type { Recorded } from './clients.ts'
import type { Fault } from './faults.ts'
import type { AnyWorkload } from './workload.ts'

/** What is on a node's disk at this moment, were its power cut. */
export interface DiskView {
  readonly term: Term
  readonly votedFor: NodeId | null
  readonly lastIndex: LogIndex
  readonly compactedIndex: LogIndex
  readonly snapshotIndex: LogIndex
  /** Where all that it holds ends, log or snapshot. */
  readonly lastPosition: Position
  /** The term of the entry at `index`, or null if the disk holds none there. */
  termAt(index: LogIndex): Term | null
  /** The entries of the log that change the membership. */
  readonly memberships: readonly Entry[]
  /** The membership that the snapshot tells. */
  readonly snapshotMembership: Membership | null
}

/** One life of a node, from a start to a crash. */
export interface Life {
  readonly id: NodeId
  /** 1 for the first life of this node, and so on. */
  readonly number: number
  readonly disk: DiskView
}

/** Somebody asked a node for something. */
export interface Request {
  readonly kind:
    | 'propose'
    | 'read'
    | 'transfer'
    | 'snapshot'
    | 'change'
    | 'replacement'
    | 'reconfiguration'
    | 'forgetting'
  readonly life: Life
  readonly calledAt: number
  /** Names a proposal; its command carries the number. */
  readonly number: number
  /** Who is to become a member by a change, and never was before. */
  readonly newcomers: readonly NodeId[]
  /** Where the membership stands that a change is to follow; null for whichever it is. */
  readonly expectedIndex: LogIndex | null
  /** What a read must see. */
  readonly consistency: Consistency
}

/** After a quorum was lost for good, a new cluster was made of what one node had. */
export interface Renewal {
  readonly position: Position
  readonly membership: Membership
  /** Up to here the new cluster has what was applied in the old one, and nothing else. */
  readonly kept: LogIndex
}

/** How a request ended: `lost` if the node crashed before it answered. */
export type Ending =
  | { readonly type: 'done'; readonly index: LogIndex; readonly term: Term }
  | { readonly type: 'failed'; readonly code: string }
  | { readonly type: 'lost' }

/** The failures that promise that nothing came of a proposal, and nothing will. */
export function didNotHappen(ending: Ending): boolean {
  return ending.type === 'failed' && DID_NOT_HAPPEN.includes(ending.code)
}

const DID_NOT_HAPPEN: readonly string[] = [
  'PROPOSAL_DROPPED',
  'PROPOSAL_TOO_LARGE',
  'NOT_LEADER',
  'MEMBERSHIP_CHANGE_PENDING',
  'MEMBERSHIP_CHANGE_REFUSED',
]

/** Sees everything that happens in a simulation, from outside all nodes. */
export interface Observer {
  started?(life: Life): void
  happened?(life: Life, event: RaftEvent): void
  /** A node hands a message to the network. */
  sent?(life: Life, message: Message): void
  /** A write is durable from now on; the node need not know it yet. */
  persisted?(life: Life, batch: AppendBatch): void
  applied?(life: Life, command: Command): void
  /** The state machine took over a state that its maker, at `index`, gave this fingerprint. */
  restored?(life: Life, index: LogIndex, fingerprint: string): void
  /** The state machine has this fingerprint after the command at `index`. */
  reached?(life: Life, index: LogIndex, fingerprint: string): void
  /** The state machine told its own digest after the command at `index`. */
  digested?(life: Life, index: LogIndex, digest: string): void
  asked?(request: Request): void
  answered?(request: Request, ending: Ending): void
  /** Something was done to the cluster. */
  befell?(fault: Fault): void
  recovered?(renewal: Renewal): void
  /** A client has its answer, or will never have one. */
  recorded?(recorded: Recorded): void
  /** All is over, and the nodes of `core` are well: what must hold of the whole. */
  ended?(core: readonly NodeId[]): void
}

/** Says that what must never happen did. Only the first one counts. */
export type Violated = (why: string) => void

/** A rule of Raft, checked as the simulation goes on. */
export interface Property {
  readonly name: string
  watch(violated: Violated, world: WorldView): Observer
}

/** What can be seen of the whole cluster without asking its nodes. */
export interface WorldView {
  /** All that there ever were, members or not. */
  readonly nodes: readonly NodeId[]
  readonly founders: Membership
  /** What a node that runs says of itself at this moment; null if none runs. */
  statusOf(id: NodeId): NodeStatus | null
  /** What a node has on its disk, also while it is down. */
  diskOf(id: NodeId): DiskView
  /** What the clients do with the state machine. */
  readonly workload: AnyWorkload
  now(): number
  /** How much longer a tick takes on this node than it should: 1 is exact. */
  driftOf(id: NodeId): number
}

/** What can be heard, in no order. */
const EVENTS = [
  'started',
  'happened',
  'sent',
  'persisted',
  'applied',
  'restored',
  'reached',
  'digested',
  'asked',
  'answered',
  'recorded',
  'befell',
  'recovered',
  'ended',
] as const satisfies readonly (keyof Observer)[]

type Heard = Record<(typeof EVENTS)[number], ((...what: never[]) => void)[]>

/** Tells each of several observers everything that it listens to. */
export class Audience {
  readonly #heard = Object.fromEntries(EVENTS.map((event) => [event, []])) as unknown as Heard
  readonly observer = Object.fromEntries(
    EVENTS.map((event) => {
      const listeners = this.#heard[event] as ((...what: unknown[]) => void)[]
      const tell = (...what: unknown[]): void => {
        for (const listener of listeners) listener(...what)
      }
      return [event, tell]
    }),
  ) as unknown as Required<Observer>

  add(observer: Observer): void {
    for (const event of EVENTS) {
      const listener: ((...what: never[]) => void) | undefined = observer[event]?.bind(observer)
      if (listener !== undefined) this.#heard[event].push(listener)
    }
  }
}
