/** Every number a node can be tuned by, its default, its unit and its range. */

/** How the protocol behaves. All nodes of a cluster should agree, but none relies on it. */
export interface ProtocolOptions {
  /**
   * A follower that hears nothing for this many ticks, and up to twice as many by chance,
   * campaigns (§5.2). Default 10.
   */
  readonly electionTicks: number
  /** A leader sends a heartbeat every this many ticks. Default 1, and less than `electionTicks`. */
  readonly heartbeatTicks: number
  /** Ask before campaigning, so that a node that was away disturbs nobody (thesis 9.6). Default true. */
  readonly preVote: boolean
  /**
   * A leader that has not heard from a majority for `electionTicks` steps down, and nodes that hear
   * from a leader refuse to vote (thesis 4.2.3, 6.2). Default true.
   */
  readonly checkQuorum: boolean
  /** The largest command, in bytes. Default 2 MiB. */
  readonly maxCommandBytes: number
  /** Entries per append message, in bytes; one entry always fits. Default 1 MiB. */
  readonly maxMessageBytes: number
  /** Append messages on the way to one follower. Default 64. */
  readonly maxInflightMessages: number
  /** Bytes of entries on the way to one follower. Default 8 MiB. */
  readonly maxInflightBytes: number
  /**
   * While two messages are on the way to a follower, wait until there is this much to send: fewer
   * and larger messages cost the follower fewer writes. Default 16 KiB.
   */
  readonly minBatchBytes: number
  /** Proposed but not yet committed, in bytes; more is refused. One proposal always fits. Default 64 MiB. */
  readonly maxUncommittedBytes: number
  /**
   * Entries kept in memory after they are durable and applied, in bytes, so that followers that
   * keep up never cost a read from the storage. Default 16 MiB.
   */
  readonly maxWindowBytes: number
  /** Linearizable reads that wait for a round of heartbeats; more are refused. Default 65536. */
  readonly maxPendingReads: number
  /** A learner may be promoted once its log is this close to the leader's, in entries. Default 1000. */
  readonly maxPromotionLag: number
}

/** How a node drives the protocol. */
export interface NodeOptions extends ProtocolOptions {
  /** The length of a tick in milliseconds. Default 100. */
  readonly tickMs: number
  /** A proposal or read that is not settled after this many ticks fails, saying what is known. Default 70. */
  readonly requestTimeoutTicks: number
  /** Proposals that wait for a leader or for the outcome; more are dropped. Default 100000. */
  readonly maxPendingProposals: number
  /** Entries handed to the state machine in one call, in bytes. Default 1 MiB. */
  readonly maxApplyBytes: number
  /** Take a snapshot after this many applied entries since the last one. Default 10000. */
  readonly snapshotEntries: number
  /** Take a snapshot after this many applied bytes since the last one. Default 256 MiB. */
  readonly snapshotBytes: number
  /** Entries kept behind a snapshot for followers that are a little behind. Default 5000. */
  readonly keepEntries: number
}

const DEFAULTS: NodeOptions = {
  electionTicks: 10,
  heartbeatTicks: 1,
  preVote: true,
  checkQuorum: true,
  maxCommandBytes: 2 << 20,
  maxMessageBytes: 1 << 20,
  maxInflightMessages: 64,
  maxInflightBytes: 8 << 20,
  minBatchBytes: 16 << 10,
  maxUncommittedBytes: 64 << 20,
  maxWindowBytes: 16 << 20,
  maxPendingReads: 65_536,
  maxPromotionLag: 1_000,
  tickMs: 100,
  requestTimeoutTicks: 70,
  maxPendingProposals: 100_000,
  maxApplyBytes: 1 << 20,
  snapshotEntries: 10_000,
  snapshotBytes: 256 << 20,
  keepEntries: 5_000,
}

const SWITCHES = ['preVote', 'checkQuorum'] as const
const MAY_BE_ZERO: readonly string[] = [
  'minBatchBytes',
  'maxWindowBytes',
  'maxPromotionLag',
  'keepEntries',
]

/** Fills in the defaults and checks every number. Throws a RangeError that names the option. */
export function resolveOptions(options: Partial<NodeOptions>): NodeOptions {
  const resolved: Record<string, number | boolean> = { ...DEFAULTS }
  for (const name of Object.keys(DEFAULTS) as (keyof NodeOptions)[]) {
    const value = options[name]
    if (value !== undefined) resolved[name] = value
  }
  for (const [name, value] of Object.entries(resolved)) {
    if ((SWITCHES as readonly string[]).includes(name)) {
      if (typeof value !== 'boolean') throw new RangeError(`${name} must be true or false`)
    } else {
      const least = MAY_BE_ZERO.includes(name) ? 0 : 1
      if (!Number.isSafeInteger(value) || (value as number) < least)
        throw new RangeError(`${name} must be a whole number of at least ${least}, not ${value}`)
    }
  }
  const complete = resolved as unknown as NodeOptions
  if (complete.heartbeatTicks >= complete.electionTicks)
    throw new RangeError('heartbeatTicks must be less than electionTicks')
  return complete
}
