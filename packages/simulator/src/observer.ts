import type {
  AppendBatch,
  Command,
  LogIndex,
  Message,
  NodeId,
  RaftEvent,
  Term,
} from '@coracle/raft-core'
import type { Recorded } from './clients.ts'

/** What is on a node's disk at this moment, were its power cut. */
export interface DiskView {
  readonly term: Term
  readonly votedFor: NodeId | null
  readonly lastIndex: LogIndex
  readonly compactedIndex: LogIndex
  readonly snapshotIndex: LogIndex
  /** The term of the entry at `index`, or null if the disk holds none there. */
  termAt(index: LogIndex): Term | null
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
  readonly kind: 'propose' | 'read' | 'transfer' | 'snapshot'
  readonly life: Life
  readonly calledAt: number
  /** Names a proposal; its command carries the number. */
  readonly number: number
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

const DID_NOT_HAPPEN: readonly string[] = ['PROPOSAL_DROPPED', 'PROPOSAL_TOO_LARGE', 'NOT_LEADER']

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
  asked?(request: Request): void
  answered?(request: Request, ending: Ending): void
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
  readonly nodes: readonly NodeId[]
  /** What a node has on its disk, also while it is down. */
  diskOf(id: NodeId): DiskView
  now(): number
}

/** Tells each of several observers everything. */
export function observers(all: readonly Observer[]): Required<Observer> {
  return {
    started: (life) => all.forEach((one) => one.started?.(life)),
    happened: (life, event) => all.forEach((one) => one.happened?.(life, event)),
    sent: (life, message) => all.forEach((one) => one.sent?.(life, message)),
    persisted: (life, batch) => all.forEach((one) => one.persisted?.(life, batch)),
    applied: (life, command) => all.forEach((one) => one.applied?.(life, command)),
    restored: (life, index, print) => all.forEach((one) => one.restored?.(life, index, print)),
    reached: (life, index, print) => all.forEach((one) => one.reached?.(life, index, print)),
    asked: (request) => all.forEach((one) => one.asked?.(request)),
    answered: (request, ending) => all.forEach((one) => one.answered?.(request, ending)),
    recorded: (recorded) => all.forEach((one) => one.recorded?.(recorded)),
    ended: (core) => all.forEach((one) => one.ended?.(core)),
  }
}
