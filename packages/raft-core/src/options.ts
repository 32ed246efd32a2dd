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
  /**
   * How a leader makes sure that it still leads when it answers a read: `quorum` asks a majority each
   * time (thesis 6.4); `lease` asks nobody while a majority that answered lately owes it its loyalty
   * (thesis 6.4.1), and is right only as far as clocks are. Needs `preVote` and `checkQuorum`. Followers
   * that promise less than the leader's election timeout, or nothing, do not count. Default `quorum`.
   */
  readonly reads: 'quorum' | 'lease'
  /**
   * With leases: by which fraction one node's clock may run faster than another's. A lease is that
   * much shorter than an election timeout. From 0 to less than 1. Default 0.2.
   */
  readonly maxClockDrift: number
  /**
   * The length of a tick in milliseconds. The protocol counts ticks; it needs their length only to
   * measure leases and pauses by the clock. Default 100.
   */
  readonly tickMs: number
  /** The largest command, in bytes. Default 2 MiB. */
  readonly maxCommandBytes: number
  /** Entries per append message, in bytes; one entry always fits. Default 1 MiB. */
  readonly maxMessageBytes: number
  /** Append messages on the way to one follower. Default 64. */
  readonly maxInflightMessages: number
  /** Bytes of entries on the way to one follower. Default 8 MiB. */
  readonly maxInflightBytes: number
  /**
   * While messages are on the way to a follower, wait until there is more to send, at most for a
   * tick: the more are on the way, the more, and never more than this. Default 16 KiB.
   */
  readonly minBatchBytes: number
  /**
   * Proposed but not yet committed, or not yet on the leader's own disk, in bytes; more is refused.
   * One proposal always fits. Default 64 MiB.
   */
  readonly maxUncommittedBytes: number
  /**
   * Entries kept in memory after they are durable and committed, in bytes, so that followers and
   * state machines that keep up never cost a read from the storage. Default 16 MiB.
   */
  readonly maxWindowBytes: number
  /** Linearizable reads that wait for a round of heartbeats; more are refused. Default 65536. */
  readonly maxPendingReads: number
  /** A learner may be promoted once its log is this close to the leader's, in entries. Default 1000. */
  readonly maxPromotionLag: number
}

/** How a node drives the protocol. */
export interface NodeOptions extends ProtocolOptions {
  /**
   * A proposal, read or membership change that is not settled after this many ticks fails, saying what
   * is known. Default 70.
   */
  readonly requestTimeoutTicks: number
  /** Proposals that wait for a leader or for the outcome; more are dropped. Default 100000. */
  readonly maxPendingProposals: number
  /**
   * Commands that wait for a leader or for its answer, in bytes; more are dropped. One always fits.
   * Default 256 MiB.
   */
  readonly maxPendingProposalBytes: number
  /**
   * Transfers, membership changes and snapshots that were asked for and are not done; more are
   * refused. Default 1000.
   */
  readonly maxPendingOperations: number
  /** Messages that wait for a turn of the loop; more are lost, as in a network. Default 65536. */
  readonly maxPendingMessages: number
  /** Entries handed to the state machine in one call, in bytes. Default 1 MiB. */
  readonly maxApplyBytes: number
  /** Take a snapshot after this many applied entries since the last one. Default 10000. */
  readonly snapshotEntries: number
  /** Take a snapshot after this many applied bytes since the last one. Default 256 MiB. */
  readonly snapshotBytes: number
  /**
   * Take a snapshot when the last one, or the start, is this long ago and anything was applied since,
   * in milliseconds; 0 for never. Default an hour.
   */
  readonly snapshotAgeMs: number
  /**
   * What has arrived of a snapshot whose stream broke is kept for so many ticks, for the leader to
   * go on with. Default 600.
   */
  readonly partialSnapshotTicks: number
  /** Entries kept behind a snapshot for followers that are a little behind. Default 5000. */
  readonly keepEntries: number
  /**
   * Of those, as many as have so many bytes of data together; what was applied before the node started
   * is not counted. Default 256 MiB.
   */
  readonly keepBytes: number
}

const DEFAULTS: NodeOptions = {
  electionTicks: 10,
  heartbeatTicks: 1,
  preVote: true,
  checkQuorum: true,
  reads: 'quorum',
  maxClockDrift: 0.2,
  tickMs: 100,
  maxCommandBytes: 2 << 20,
  maxMessageBytes: 1 << 20,
  maxInflightMessages: 64,
  maxInflightBytes: 8 << 20,
  minBatchBytes: 16 << 10,
  maxUncommittedBytes: 64 << 20,
  maxWindowBytes: 16 << 20,
  maxPendingReads: 65_536,
  maxPromotionLag: 1_000,
  requestTimeoutTicks: 70,
  maxPendingProposals: 100_000,
  maxPendingProposalBytes: 256 << 20,
  maxPendingOperations: 1_000,
  maxPendingMessages: 65_536,
  maxApplyBytes: 1 << 20,
  snapshotEntries: 10_000,
  snapshotBytes: 256 << 20,
  snapshotAgeMs: 3_600_000,
  partialSnapshotTicks: 600,
  keepEntries: 5_000,
  keepBytes: 256 << 20,
}

type Name = keyof NodeOptions
type Value = NodeOptions[Name]

const SWITCHES: readonly Name[] = ['preVote', 'checkQuorum']
const MAY_BE_ZERO: readonly Name[] = [
  'snapshotAgeMs',
  'minBatchBytes',
  'maxWindowBytes',
  'maxPromotionLag',
  'keepEntries',
  'keepBytes',
]
/** What the nodes of a cluster rely on of each other for as long as they run. */
const FIXED = ['preVote', 'checkQuorum', 'reads'] as const
/** A lease counts on these being what they were on all nodes when it was given. */
const FIXED_BY_LEASES = ['electionTicks', 'tickMs', 'maxClockDrift'] as const

/** The options that may change while a node runs. */
export type LiveOptions = Omit<NodeOptions, (typeof FIXED)[number]>

/** Fills in the defaults and checks every value. Throws a RangeError that names the option. */
export function resolveOptions(options: Partial<NodeOptions>): NodeOptions {
  return complete(options, DEFAULTS)
}

/**
 * The options after a change of some, checked like those that a node starts with. Throws a RangeError
 * that names the option, also for one that cannot change while a node runs.
 */
export function changeOptions(current: NodeOptions, changes: Partial<LiveOptions>): NodeOptions {
  const unknown = Object.keys(changes).find((name) => !(name in DEFAULTS))
  if (unknown !== undefined) throw new RangeError(`there is no option ${unknown}`)
  const next = complete(changes, current)
  const fixed: readonly Name[] = current.reads === 'lease' ? [...FIXED, ...FIXED_BY_LEASES] : FIXED
  for (const name of fixed)
    if (next[name] !== current[name])
      throw new RangeError(`${name} cannot change from ${current[name]} while the node runs`)
  return next
}

function complete(options: Partial<NodeOptions>, base: NodeOptions): NodeOptions {
  const resolved: Partial<Record<Name, Value>> = { ...base }
  for (const name of Object.keys(DEFAULTS) as Name[]) {
    const value = options[name]
    if (value !== undefined) resolved[name] = value
  }
  for (const [name, value] of Object.entries(resolved) as [Name, Value][]) check(name, value)
  const { heartbeatTicks, electionTicks, reads, preVote, checkQuorum } = resolved as NodeOptions
  if (heartbeatTicks >= electionTicks)
    throw new RangeError('heartbeatTicks must be less than electionTicks')
  // Without them a node that hears the leader would still help to elect another.
  if (reads === 'lease' && !(preVote && checkQuorum))
    throw new RangeError("reads: 'lease' needs preVote and checkQuorum")
  return resolved as NodeOptions
}

function check(name: Name, value: Value): void {
  if (SWITCHES.includes(name)) {
    if (typeof value !== 'boolean') throw new RangeError(`${name} must be true or false`)
  } else if (name === 'reads') {
    if (value !== 'quorum' && value !== 'lease')
      throw new RangeError(`reads must be 'quorum' or 'lease', not ${String(value)}`)
  } else if (name === 'maxClockDrift') {
    if (!(typeof value === 'number' && value >= 0 && value < 1))
      throw new RangeError(`maxClockDrift must be from 0 to less than 1, not ${value}`)
  } else {
    const least = MAY_BE_ZERO.includes(name) ? 0 : 1
    if (!Number.isSafeInteger(value) || (value as number) < least)
      throw new RangeError(`${name} must be a whole number of at least ${least}, not ${value}`)
  }
}
