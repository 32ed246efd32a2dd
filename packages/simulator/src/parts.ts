/** What a cluster is built on: disks and a network, the simulation's own or somebody's under test. */
import type { AppendBatch, Message, NodeId, Storage, Transport } from '@coracle/raft-core'
import type { DiskView } from './observer.ts'

/** Who is told what happens on a disk in one life of its node. */
export interface DiskHooks {
  /** A write is durable. */
  readonly persisted: (batch: AppendBatch) => void
  /** The node was told that what it read is corrupt. */
  readonly corrupted: () => void
}

/** One node's disk, through all of its lives. */
export interface Disk extends DiskView {
  /** Called at the very moment when something has become durable. */
  onDurable: (what: 'batch' | 'snapshot') => void
  open(hooks: DiskHooks): Storage
  /** Writes that were not durable are lost; whoever used the disk never hears of it again. */
  crash(): void
  /** A bit of what is stored flips, for good. Nobody knows until it is read. */
  rot(): void
  /** Every bit is as it was written. */
  repair(): void
  /** It is quick from now on, and does not fail any more. */
  calm(): void
}

/** What a network needs to know of whoever is attached to it. */
export interface Station {
  readonly id: NodeId
  /** It speaks a later version of the protocol. */
  readonly isLater: boolean
  readonly isAlive: () => boolean
  /** When the event loop will be free again. */
  readonly stalledUntil: () => number
  readonly sent: (message: Message, bytes: Uint8Array) => void
}

/** All lines between the nodes. */
export interface Network {
  attach(station: Station): Transport
  /** The node is gone, and with it the streams from and to it. */
  leave(id: NodeId): void
  /** Nothing passes from `from` to `to` any more. */
  cut(from: NodeId, to: NodeId): void
  /** Undoes all cuts. */
  heal(): void
  /** It is quick from now on, and loses nothing. */
  calm(): void
}

/** The part under test did what its contract forbids. */
export type Breach = (contract: 'storage' | 'transport', why: string) => void
