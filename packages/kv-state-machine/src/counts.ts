/**
 * What one state machine was asked to do since it was made, counted as etcd's storage counts. The
 * numbers are no part of the state: members that hold the same may have come to it in other ways.
 */
export interface KvCounts {
  /** Those inside transactions are among these. */
  readonly puts: number
  /** Intervals that were to be deleted, and keys that ended with their lease. */
  readonly deletes: number
  /** Every interval that was read: also what a comparison or a put has to know of what is there. */
  readonly ranges: number
  /** Whatever did more than one of these. */
  readonly txns: number
  /** Keys and values that were put. */
  readonly putBytes: number
  /** Changes that compaction took away. */
  readonly compactedChanges: number
  /** Snapshots that are being read. */
  readonly openSnapshots: number
  /** A snapshot is about to take the place of all there is. */
  readonly isRestoring: boolean
}

export class Counts implements KvCounts {
  puts = 0
  deletes = 0
  ranges = 0
  txns = 0
  putBytes = 0
  compactedChanges = 0
  openSnapshots = 0
  isRestoring = false
  /** Puts, deletes and ranges up to the last {@link endTxn}. */
  #counted = 0

  /** All that was counted since the last time was one transaction of etcd's storage. */
  endTxn(): void {
    const counted = this.puts + this.deletes + this.ranges
    if (counted - this.#counted > 1) this.txns += 1
    this.#counted = counted
  }
}

/** The same chunks; as long as they are read, a snapshot is open. */
export async function* countedSnapshot(
  counts: Counts,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  counts.openSnapshots += 1
  try {
    yield* chunks
  } finally {
    counts.openSnapshots -= 1
  }
}
