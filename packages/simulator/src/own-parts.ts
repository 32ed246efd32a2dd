/** What a simulation takes from whoever wants a storage or a transport of their own tested. */
import type { Environment, NodeId, Storage, Transport } from '@coracle/raft-core'

/** What a storage under test gets of the simulated world. */
export interface StorageWorld {
  /** Whose disk it is. */
  readonly id: NodeId
  /**
   * To be awaited where a real storage waits for its disk: what is written takes effect after it. It
   * takes as long as the seed wants, rejects if the disk fails, which fails the write, and never
   * settles once the power is cut.
   */
  readonly sync: () => Promise<void>
}

/** One node's disk, through all of its lives: the `memoryDisk` of storage-memory is one. */
export interface TestedDisk {
  /** What the last storage left. Called after that one was disposed, or the power was cut. */
  open(): Storage
  /** The power is cut: what was not synced is lost, and the storage that was open is of no use. */
  crash(): void
}

/** What a transport under test gets of the simulated world. */
export interface TransportWorld {
  /** Virtual time and the seed's chance, for everything that waits, delays or draws. */
  readonly environment: Environment
}

/** What connects all transports of a cluster: the `memoryNetwork` of transport-memory is one. */
export interface TestedNetwork {
  /** One node's transport for one life. It is disposed when the node shuts down or crashes. */
  transport(id: NodeId): Transport
  /** Nothing passes from `from` to `to` any more. */
  cut(from: NodeId, to: NodeId, options: { readonly oneWay: true }): void
  /** Undoes all cuts. */
  heal(): void
  /** From now on each message is lost with this probability. */
  lose(probability: number): void
  /** From now on each message takes a time from this range. */
  delay(delay: { readonly minMs: number; readonly maxMs: number }): void
}
