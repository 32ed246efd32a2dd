/** Everything that services can be tuned by, and the parts they work on. */
import { type Environment, type Peer, type RaftNode, systemEnvironment } from '@coracle/raft-core'
import type { KvResult, KvStateMachine } from '@coracle/kv-state-machine'
import { type AuthEnvironment, systemAuthEnvironment } from './environment.ts'
import type { AutoCompaction } from './auto-compaction.ts'
import type { EtcdId } from './ids.ts'
import type { JwtOptions } from './jwt-tokens.ts'
import type { Forward } from './leader-calls.ts'
import type { EtcdMetrics } from './metrics/etcd-metrics.ts'

export interface EtcdLimits {
  /** The largest request, in bytes, as etcd's `--max-request-bytes`. Default 1.5 MiB. */
  readonly maxRequestBytes: number
  /** Comparisons or operations in one list of a transaction, as etcd's `--max-txn-ops`. Default 128. */
  readonly maxTxnOps: number
  /** Puts that would make the store larger are refused, in bytes, 0 for never. Default 2 GiB. */
  readonly quotaBackendBytes: number
  /** How long a request waits for the cluster. Default 7000: etcd's 5 s and two election timeouts. */
  readonly requestTimeoutMs: number
  /** Requests that wait for the cluster at one time; more are refused. Default 50000. */
  readonly maxPendingRequests: number
  /** Bytes of commands that wait for the cluster; more are refused. Default 256 MiB. */
  readonly maxPendingBytes: number
  /** What may wait for a client that watches before it has to catch up from history. Default 1 MiB. */
  readonly maxWatchQueueBytes: number
  /**
   * How often idle watchers that asked for it are told how far they are, as etcd's
   * `--watch-progress-notify-interval`; up to a tenth more, differently for each stream. At least
   * 100. Default 10 minutes.
   */
  readonly watchProgressIntervalMs: number
  /** Streams that need a leader end after three such times without one. Default 1000, as in etcd. */
  readonly electionTimeoutMs: number
}

const DEFAULT_LIMITS: EtcdLimits = {
  maxRequestBytes: 1_572_864,
  maxTxnOps: 128,
  quotaBackendBytes: 2 * 1024 ** 3,
  requestTimeoutMs: 7_000,
  maxPendingRequests: 50_000,
  maxPendingBytes: 256 << 20,
  maxWatchQueueBytes: 1 << 20,
  watchProgressIntervalMs: 600_000,
  electionTimeoutMs: 1_000,
}

/** The least that each may be, if it is not 1. */
const LEAST: Partial<EtcdLimits> = { quotaBackendBytes: 0, watchProgressIntervalMs: 100 }

/** How users say who they are, once authentication is enabled. */
export interface EtcdAuthOptions {
  /** What stands for a user: a token that members remember, or one that is signed. Default `simple`. */
  readonly tokens?: 'simple' | JwtOptions
  /** How long a simple token is good after its last use, in milliseconds. Default 5 minutes. */
  readonly tokenTtlMs?: number
  /** Each step more doubles the work of hashing a password: 4 to 31. Default 10. */
  readonly bcryptCost?: number
  /** Who gives no token is the user whom a verified certificate names. Default false. */
  readonly clientCertificates?: boolean
  /** Default: the real world. */
  readonly environment?: AuthEnvironment
}

/** What the services need of a node. */
export type EtcdNode = Pick<
  RaftNode<KvResult>,
  'propose' | 'read' | 'status' | 'watch' | 'changeMembership' | 'transferLeadership'
>

export interface EtcdServicesOptions {
  readonly node: EtcdNode
  /** The very state machine that `node` applies to. */
  readonly stateMachine: KvStateMachine
  readonly cluster: {
    readonly id: EtcdId
    /**
     * How a peer's address is told to clients. Default: as it is, cut at commas, with `http://` where
     * there is no scheme. A member that is added gets its URLs as its address, joined by commas.
     */
    readonly peerUrls?: (peer: Peer) => readonly string[]
    /** Refuse changes that would leave too few members that have started. Default true, as in etcd. */
    readonly strictReconfigCheck?: boolean
    /** How many learners there may be at a time, as etcd's `--max-learners`. Default 1. */
    readonly maxLearners?: number
  }
  readonly member: { readonly id: EtcdId }
  readonly limits?: Partial<EtcdLimits>
  /** Where what happens is counted. Default: metrics of its own, that know no disk and no peers. */
  readonly metrics?: EtcdMetrics
  /**
   * With `extensive`, as etcd's `--metrics=extensive`, it is also measured how long the calls of each
   * method take, which costs each call a little. Default `basic`.
   */
  readonly metricsDetail?: 'basic' | 'extensive'
  /**
   * How long it takes until a lost leader is missed, in milliseconds, as the node is told in ticks.
   * Leases last at least half as long again, and outlive a change of leader by it. Default 1000.
   */
  readonly electionTimeoutMs?: number
  readonly auth?: EtcdAuthOptions
  /** Brings a call to the leader, which only it can carry out. Default: it is refused elsewhere. */
  readonly forward?: Forward
  /** Which part of history is forgotten by itself. Default: none. */
  readonly autoCompaction?: AutoCompaction
  /** Puts in order what this member keeps on its disk, when a client asks for it. Default: nothing. */
  readonly defragment?: () => Promise<void>
  /** Default: real time. */
  readonly environment?: Environment
}

export interface ResolvedOptions {
  readonly node: EtcdNode
  readonly stateMachine: KvStateMachine
  readonly clusterId: EtcdId
  readonly memberId: EtcdId
  readonly peerUrls: (peer: Peer) => readonly string[]
  readonly strictReconfigCheck: boolean
  readonly maxLearners: number
  readonly forward: Forward | null
  readonly defragment: () => Promise<void>
  readonly limits: EtcdLimits
  readonly electionTimeoutMs: number
  readonly auth: Required<EtcdAuthOptions>
  readonly environment: Environment
}

/** Fills in the defaults and checks every number. Throws a RangeError that names the option. */
export function resolveOptions(options: EtcdServicesOptions): ResolvedOptions {
  const { node, stateMachine, cluster, member, environment = systemEnvironment() } = options
  const { electionTimeoutMs = 1_000 } = options
  if (!Number.isSafeInteger(electionTimeoutMs) || electionTimeoutMs < 1)
    throw new RangeError(
      `electionTimeoutMs must be a whole number of at least 1, not ${electionTimeoutMs}`,
    )
  return {
    node,
    stateMachine,
    clusterId: cluster.id,
    memberId: member.id,
    peerUrls: cluster.peerUrls ?? urlsOfAddress,
    strictReconfigCheck: cluster.strictReconfigCheck ?? true,
    maxLearners: checkMaxLearners(cluster.maxLearners ?? 1),
    forward: options.forward ?? null,
    defragment: options.defragment ?? (() => Promise.resolve()),
    limits: resolveLimits(options.limits ?? {}),
    electionTimeoutMs,
    auth: resolveAuth(options.auth ?? {}),
    environment,
  }
}

function resolveAuth(options: EtcdAuthOptions): Required<EtcdAuthOptions> {
  const { tokens = 'simple', tokenTtlMs = 300_000, bcryptCost = 10 } = options
  const { clientCertificates = false, environment = systemAuthEnvironment() } = options
  if (!Number.isSafeInteger(tokenTtlMs) || tokenTtlMs < 1)
    throw new RangeError(`tokenTtlMs must be a whole number of at least 1, not ${tokenTtlMs}`)
  if (!Number.isInteger(bcryptCost) || bcryptCost < 4 || bcryptCost > 31)
    throw new RangeError(`bcryptCost must be a whole number from 4 to 31, not ${bcryptCost}`)
  return { tokens, tokenTtlMs, bcryptCost, clientCertificates, environment }
}

function resolveLimits(limits: Partial<EtcdLimits>): EtcdLimits {
  const resolved: Record<string, number> = { ...DEFAULT_LIMITS }
  for (const name of Object.keys(DEFAULT_LIMITS) as (keyof EtcdLimits)[]) {
    const value = limits[name]
    if (value === undefined) continue
    const least = LEAST[name] ?? 1
    if (!Number.isSafeInteger(value) || value < least)
      throw new RangeError(`${name} must be a whole number of at least ${least}, not ${value}`)
    resolved[name] = value
  }
  return resolved as unknown as EtcdLimits
}

function checkMaxLearners(value: number): number {
  if (Number.isSafeInteger(value) && value >= 0) return value
  throw new RangeError(`cluster.maxLearners must be a whole number from 0, not ${value}`)
}

function urlsOfAddress({ address }: Peer): readonly string[] {
  return address.split(',').map((url) => (url.includes('://') ? url : `http://${url}`))
}
