/** From flags to a member's configuration: what they mean together, and whether they can. */
import type { AutoCompaction } from '@coracle/etcd-api'
import type { Peer } from '@coracle/raft-core'
import { type AuthToken, parseAuthToken } from './auth-token.ts'
import { type Beginning, beginningIfAny, beginningOf } from './config/beginning.ts'
import {
  checkOneSource,
  type DiscoveryService,
  discoveryServiceOf,
  idleDiscovery,
  srvDomainOf,
} from './config/discovery.ts'
import { idleSecurity, type Security, securityOf } from './config/security.ts'
import { advertisedClientUrls, type Endpoint, listenEndpoints, urls } from './config/urls.ts'
import type { SrvDomain } from './discovery/srv.ts'
import { parseDuration } from './duration.ts'
import { CORRUPT_CHECK } from './flags/feature-gates.ts'
import type { Settings } from './flags.ts'
import { UsageError } from './usage.ts'

export interface ServerConfig extends Beginning, Security {
  readonly name: string
  readonly dataDir: string
  readonly listenClients: readonly Endpoint[]
  /** For HTTP alone; without any, `listenClients` serve it. */
  readonly listenHttp: readonly Endpoint[]
  readonly advertiseClientUrls: readonly string[]
  /** For metrics and health checks only. */
  readonly listenMetrics: readonly Endpoint[]
  readonly metricsDetail: 'basic' | 'extensive'
  readonly listenPeers: readonly Endpoint[]
  /** Where members reach this one, as it says itself: it is found by them among those that found. */
  readonly advertisePeerUrls: readonly string[]
  readonly clusterToken: string
  /** Who founds the cluster is to be found there, and only this member is known yet. Null: they are. */
  readonly srvDomain: SrvDomain | null
  /** The same of a cluster at which they meet. */
  readonly discovery: DiscoveryService | null
  /** False: the cluster runs already, and this member waits to be added to it. */
  readonly isNewCluster: boolean
  /** Where other members are found, for one that waits to be added and knows nobody yet. */
  readonly contacts: readonly Peer[]
  /** Go on alone with the data that this member has, after the others were lost for good. */
  readonly forceNewCluster: boolean
  readonly strictReconfigCheck: boolean
  readonly maxLearners: number
  /** How often the leader compares what the members hold, in milliseconds; 0 for never. */
  readonly corruptCheckMs: number
  /** Compare with the other members before serving clients. */
  readonly initialCorruptCheck: boolean
  readonly heartbeatMs: number
  readonly electionMs: number
  readonly preVote: boolean
  readonly snapshotEntries: number
  readonly keepEntries: number
  readonly maxRequestBytes: number
  readonly maxTxnOps: number
  readonly maxConcurrentStreams: number
  /** Clients that ping more often than this are sent away; 0 for none. */
  readonly keepaliveMinTimeMs: number
  /** Clients that are silent for so long are pinged. */
  readonly keepaliveIntervalMs: number
  readonly keepaliveTimeoutMs: number
  readonly watchProgressIntervalMs: number
  readonly quotaBackendBytes: number
  /** Null: history is kept until a client compacts it. */
  readonly autoCompaction: AutoCompaction | null
  readonly authToken: AuthToken
  readonly authTokenTtlMs: number
  readonly bcryptCost: number
  /** The common name of a client's certificate is a user's name. */
  readonly clientCertAuth: boolean
  readonly jsonGateway: boolean
  readonly corsOrigins: readonly string[]
  readonly hostWhitelist: readonly string[]
  readonly peerTransport: 'tcp' | 'grpc'
  readonly fsync: boolean
  /** What was set and changes nothing, a line for each. */
  readonly remarks: readonly string[]
}

const DEFAULT_QUOTA_BYTES = 2 * 1024 ** 3
const DEFAULT_SNAPSHOT_ENTRIES = 10_000
/** etcd's own limit: beyond it, the loss of a leader goes unnoticed for too long. */
const MAX_ELECTION_MS = 50_000

/**
 * Throws a {@link UsageError} if the settings contradict each other. Where a member has run already
 * (`isInitialized`), it does not matter what is said of how the cluster began.
 */
export function resolveConfig(
  settings: Settings,
  { isInitialized = false }: { readonly isInitialized?: boolean } = {},
): ServerConfig {
  const { name } = settings
  if (name === '') throw new UsageError('--name must not be empty')
  checkTimes(settings)
  checkOneSource(settings)
  const srvDomain = srvDomainOf(settings)
  const discovery = discoveryServiceOf(settings)
  if (discovery !== null && settings['initial-cluster-state'] === 'existing' && !isInitialized)
    throw new UsageError(
      'discovery URL should not be set when joining existing initial cluster: leave out --discovery-token and --discovery-endpoints, or --initial-cluster-state=existing',
    )
  const {
    'listen-client-urls': listenClients,
    'listen-client-http-urls': listenHttp,
    'listen-metrics-urls': listenMetrics,
    'listen-peer-urls': listenPeers,
  } = listenEndpoints(settings)
  const dataDir = dataDirOf(settings)
  // As in etcd: whoever meets elsewhere under one name founds another cluster.
  const founding =
    discovery === null ? settings : { ...settings, 'initial-cluster-token': discovery.token }
  const clients = [...listenClients, ...listenHttp, ...listenMetrics]
  const listening = {
    clients,
    peers: listenPeers,
    dataDir,
    srvDomain: srvDomain?.domain ?? null,
  }
  return {
    name,
    dataDir,
    listenClients,
    advertiseClientUrls: advertisedClientUrls(settings),
    listenHttp,
    listenMetrics,
    metricsDetail: settings.metrics,
    listenPeers,
    ...securityOf(settings, listening),
    ...(isInitialized ? beginningIfAny(founding) : beginningOf(founding)),
    advertisePeerUrls: urls(settings, 'initial-advertise-peer-urls'),
    clusterToken: settings['initial-cluster-token'],
    srvDomain,
    discovery,
    contacts: [],
    forceNewCluster: settings['force-new-cluster'],
    strictReconfigCheck: settings['strict-reconfig-check'],
    maxLearners: settings['max-learners'],
    corruptCheckMs: settings['corrupt-check-time'],
    initialCorruptCheck:
      settings['initial-corrupt-check'] || settings['feature-gates'].get(CORRUPT_CHECK) === true,
    isNewCluster: settings['initial-cluster-state'] === 'new',
    heartbeatMs: settings['heartbeat-interval'],
    electionMs: settings['election-timeout'],
    preVote: settings['pre-vote'],
    // As in etcd.
    snapshotEntries: settings['snapshot-count'] || DEFAULT_SNAPSHOT_ENTRIES,
    keepEntries: settings['snapshot-catchup-entries'],
    maxRequestBytes: settings['max-request-bytes'],
    maxTxnOps: settings['max-txn-ops'],
    maxConcurrentStreams: settings['max-concurrent-streams'],
    keepaliveMinTimeMs: Math.ceil(settings['grpc-keepalive-min-time']),
    keepaliveIntervalMs: Math.ceil(settings['grpc-keepalive-interval']) || NEVER_MS,
    keepaliveTimeoutMs: Math.max(1, Math.ceil(settings['grpc-keepalive-timeout'])),
    watchProgressIntervalMs: progressIntervalOf(settings),
    quotaBackendBytes: quotaOf(settings['quota-backend-bytes']),
    autoCompaction: autoCompactionOf(settings),
    authToken: parseAuthToken(settings['auth-token']),
    authTokenTtlMs: settings['auth-token-ttl'] * 1_000,
    bcryptCost: settings['bcrypt-cost'],
    clientCertAuth: settings['client-cert-auth'],
    jsonGateway: settings['enable-grpc-gateway'],
    corsOrigins: list(settings.cors),
    hostWhitelist: list(settings['host-whitelist']),
    peerTransport: settings['peer-transport'],
    fsync: !settings['unsafe-no-fsync'],
    remarks: [...idleSecurity(settings, listening), ...idleDiscovery(settings, { isInitialized })],
  }
}

/** Further away than any process lives. */
const NEVER_MS = Number.MAX_SAFE_INTEGER

function progressIntervalOf(settings: Settings): number {
  const ms = Math.ceil(settings['watch-progress-notify-interval'])
  if (ms >= 100) return ms
  throw new UsageError('--watch-progress-notify-interval must be at least 100ms')
}

/** Named after the member unless told otherwise. */
export function dataDirOf(settings: Pick<Settings, 'name' | 'data-dir'>): string {
  return settings['data-dir'] === '' ? `${settings.name}.coracle` : settings['data-dir']
}

/** As in etcd, 0 is the default, and less than 0 no quota, which is 0 from here on. */
function quotaOf(bytes: number): number {
  return bytes < 0 ? 0 : bytes || DEFAULT_QUOTA_BYTES
}

const HOUR_MS = 3_600_000
/** Nobody compacts a store by hand until it is full, so history does not grow for ever by default. */
const DEFAULT_HISTORY_MS = HOUR_MS

/** A bare number is one of hours, or of revisions. */
function autoCompactionOf(settings: Settings): AutoCompaction | null {
  const mode = settings['auto-compaction-mode']
  const text = settings['auto-compaction-retention']
  const count = /^\d{1,15}$/.test(text) ? Number(text) : null
  if (count === 0) return null
  if (mode === 'revision') {
    if (text === '') return null
    if (count !== null) return { mode, retention: count }
    throw new UsageError(`--auto-compaction-retention must be a number of revisions, not '${text}'`)
  }
  if (text === '') return { mode, retentionMs: DEFAULT_HISTORY_MS }
  const retentionMs = count === null ? parseDuration(text) : count * HOUR_MS
  if (retentionMs === 0) return null
  if (retentionMs === null || retentionMs < 1_000)
    throw new UsageError(
      `--auto-compaction-retention must be a time of at least 1s such as 90m, or a number of hours, not '${text}'`,
    )
  return { mode, retentionMs: Math.round(retentionMs) }
}

function checkTimes(settings: Settings): void {
  const heartbeat = settings['heartbeat-interval']
  const election = settings['election-timeout']
  if (election < 5 * heartbeat)
    throw new UsageError(
      `--election-timeout[${election}ms] should be at least as 5 times as --heartbeat-interval[${heartbeat}ms]`,
    )
  if (election > MAX_ELECTION_MS)
    throw new UsageError(
      `--election-timeout[${election}ms] is too long, and should be set less than ${MAX_ELECTION_MS}ms`,
    )
}

/** None for an empty text: an empty item would be the name of nobody, and keep everybody out. */
function list(text: string): readonly string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}
