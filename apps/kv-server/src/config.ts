/** From flags to a member's configuration: what they mean together, and whether they can. */
import { type AutoCompaction, clusterId, type EtcdId, memberId, nodeIdOf } from '@coracle/etcd-api'
import type { NodeId, Peer } from '@coracle/raft-core'
import { type AuthToken, parseAuthToken } from './auth-token.ts'
import { parseDuration } from './duration.ts'
import { CORRUPT_CHECK } from './flags/feature-gates.ts'
import type { Settings } from './flags.ts'
import { clientTlsOf, idleTls, peerTlsOf, type TlsConfig } from './tls/tls-config.ts'
import { UsageError } from './usage.ts'

export interface Endpoint {
  /** An IP address, without brackets. */
  readonly host: string
  readonly port: number
  readonly isSecure: boolean
}

/** A member that the cluster starts with. */
export interface InitialMember {
  readonly name: string
  readonly id: EtcdId
  readonly nodeId: NodeId
  readonly peerUrls: readonly string[]
}

export interface ServerConfig {
  readonly name: string
  readonly dataDir: string
  readonly listenClients: readonly Endpoint[]
  readonly advertiseClientUrls: readonly string[]
  /** For metrics and health checks only. */
  readonly listenMetrics: readonly Endpoint[]
  readonly listenPeers: Endpoint
  /** Null: no URL of clients is one of HTTPS. */
  readonly clientTls: TlsConfig | null
  readonly peerTls: TlsConfig | null
  /** This member. It is one of `initialMembers`. */
  readonly member: InitialMember
  readonly initialMembers: readonly InitialMember[]
  readonly clusterId: EtcdId
  readonly clusterToken: string
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
}

const DEFAULT_QUOTA_BYTES = 2 * 1024 ** 3
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
  const listenClients = urls(settings, 'listen-client-urls').map(listenEndpoint)
  const listenPeers = urls(settings, 'listen-peer-urls').map(listenEndpoint)
  const [listenPeer] = listenPeers
  if (listenPeer === undefined || listenPeers.length > 1)
    throw new UsageError('--listen-peer-urls must be one URL')
  return {
    name,
    dataDir: dataDirOf(settings),
    listenClients,
    advertiseClientUrls: advertisedClientUrls(settings),
    listenMetrics: metricsEndpoints(settings),
    listenPeers: listenPeer,
    ...securityOf(settings, listenClients, listenPeer),
    ...(isInitialized ? beginningIfAny(settings) : beginningOf(settings)),
    clusterToken: settings['initial-cluster-token'],
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
    snapshotEntries: settings['snapshot-count'],
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
  }
}

/** What was set and changes nothing, a line for each. */
export function idleSettings(settings: Settings, config: ServerConfig): readonly string[] {
  return idleTls(settings, {
    clients: [...config.listenClients, ...config.listenMetrics].some(({ isSecure }) => isSecure),
    members: config.listenPeers.isSecure,
  })
}

function securityOf(
  settings: Settings,
  clients: readonly Endpoint[],
  peers: Endpoint,
): Pick<ServerConfig, 'clientTls' | 'peerTls'> {
  const hostsOf = (endpoints: readonly Endpoint[], urlsOf: readonly string[]): string[] => [
    ...endpoints.map(({ host }) => host),
    ...urlsOf.map((url) => new URL(url).hostname.replaceAll(/[[\]]/g, '')),
  ]
  const dataDir = dataDirOf(settings)
  const listening = [...clients, ...metricsEndpoints(settings)]
  const clientTls = clientTlsOf(settings, {
    dataDir,
    isWanted: listening.some(({ isSecure }) => isSecure),
    hosts: hostsOf(listening, advertisedClientUrls(settings)),
  })
  const peerTls = peerTlsOf(settings, {
    dataDir,
    isWanted: peers.isSecure,
    hosts: hostsOf([peers], urls(settings, 'initial-advertise-peer-urls')),
  })
  if (clientTls === null && listening.some(({ isSecure }) => isSecure))
    throw new UsageError(
      'TLS key/cert (--cert-file, --key-file) must be provided for client urls with HTTPS scheme',
    )
  if (peerTls === null && peers.isSecure)
    throw new UsageError(
      'TLS key/cert (--peer-cert-file, --peer-key-file) must be provided for peer urls with HTTPS scheme',
    )
  return { clientTls, peerTls }
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

type Beginning = Pick<ServerConfig, 'member' | 'initialMembers' | 'clusterId'>

export function beginningOf(settings: BeginningSettings): Beginning {
  const initialMembers = membersOf(settings)
  return {
    member: ownMember(settings, initialMembers),
    initialMembers,
    clusterId: clusterId(initialMembers.map(({ id }) => id)),
  }
}

/** Addresses that have changed since contradict each other at times, and nobody minds. */
function beginningIfAny(settings: Settings): Beginning {
  try {
    return beginningOf(settings)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    const peerUrls = urls(settings, 'initial-advertise-peer-urls')
    const member = { name: settings.name, id: 0n, nodeId: '', peerUrls }
    return { member, initialMembers: [], clusterId: 0n }
  }
}

/** The flags that say how a cluster begins. */
export type BeginningSettings = Pick<
  Settings,
  'name' | 'initial-cluster' | 'initial-cluster-token' | 'initial-advertise-peer-urls'
>

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

/** Clients elsewhere cannot guess how this member is reached if it listens where it was told to. */
function advertisedClientUrls(settings: Settings): readonly string[] {
  if (settings['advertise-client-urls'] !== '') return urls(settings, 'advertise-client-urls')
  const listening = urls(settings, 'listen-client-urls')
  if (listening.every((url) => !isWildcard(new URL(url).hostname))) return listening
  throw new UsageError(
    '--advertise-client-urls is required when --listen-client-urls names every address of the host',
  )
}

function membersOf(settings: BeginningSettings): readonly InitialMember[] {
  const { name, 'initial-cluster': text, 'initial-cluster-token': token } = settings
  const own = settings['initial-advertise-peer-urls'].split(',').map((url) => `${name}=${url}`)
  const urlsOf = new Map<string, string[]>()
  for (const item of text === '' ? own : text.split(',')) {
    const at = item.indexOf('=')
    if (at < 1) throw new UsageError(`--initial-cluster must be name=url,..., not '${item.trim()}'`)
    const member = item.slice(0, at).trim()
    const url = checkUrl(item.slice(at + 1), 'initial-cluster')
    urlsOf.set(member, [...(urlsOf.get(member) ?? []), url])
  }
  const everyUrl = [...urlsOf.values()].flat()
  const twice = everyUrl.find((url, at) => everyUrl.indexOf(url) !== at)
  if (twice !== undefined) throw new UsageError(`--initial-cluster has duplicate URLs: ${twice}`)
  return [...urlsOf].map(([member, peerUrls]) => {
    const id = memberId(peerUrls, token)
    return { name: member, id, nodeId: nodeIdOf(id), peerUrls: [...peerUrls].sort() }
  })
}

function ownMember(settings: BeginningSettings, members: readonly InitialMember[]): InitialMember {
  const own = members.find(({ name }) => name === settings.name)
  if (own === undefined)
    throw new UsageError(
      `couldn't find local name "${settings.name}" in the initial cluster configuration: --initial-cluster has ${members.map(({ name }) => name).join(', ')}`,
    )
  const advertised = urls(settings, 'initial-advertise-peer-urls')
  const missing = own.peerUrls.find((url) => !advertised.includes(url))
  if (missing !== undefined)
    throw new UsageError(
      `--initial-cluster has ${own.name}=${missing} but missing from --initial-advertise-peer-urls=${advertised.join(',')}`,
    )
  const surplus = advertised.find((url) => !own.peerUrls.includes(url))
  if (surplus !== undefined)
    throw new UsageError(
      `--initial-advertise-peer-urls has ${surplus} but missing from --initial-cluster=${own.name}=${own.peerUrls.join(',')}`,
    )
  return own
}

function metricsEndpoints(settings: Settings): readonly Endpoint[] {
  if (settings['listen-metrics-urls'] === '') return []
  return urls(settings, 'listen-metrics-urls').map(listenEndpoint)
}

function list(text: string): readonly string[] {
  return text.split(',').map((item) => item.trim())
}

type UrlFlag =
  | 'listen-client-urls'
  | 'advertise-client-urls'
  | 'listen-metrics-urls'
  | 'listen-peer-urls'
  | 'initial-advertise-peer-urls'

function urls<Flag extends UrlFlag>(
  settings: Readonly<Record<Flag, string>>,
  flag: Flag,
): readonly string[] {
  return settings[flag].split(',').map((url) => checkUrl(url, flag))
}

const URL_FORM = /^(https?|unixs?):\/\/(\[[^\]]+\]|[^\s:/?#[\]@]+):(\d{1,5})\/?$/

/** Gives the URL as etcd writes it: without a path. */
function checkUrl(given: string, flag: UrlFlag | 'initial-cluster'): string {
  const url = given.trim()
  const [, scheme = '', host, port] = URL_FORM.exec(url) ?? []
  if (host === undefined || Number(port) > 65_535 || Number(port) < 1)
    throw new UsageError(`--${flag} needs URLs of the form http://host:port, not '${url}'`)
  if (scheme !== 'http' && scheme !== 'https')
    throw new UsageError(`--${flag}: ${scheme} is not supported, only http and https: '${url}'`)
  return `${scheme}://${host}:${port}`
}

/** Where to listen: on an IP address. A name may stand for many, all but localhost. */
function listenEndpoint(url: string): Endpoint {
  const { hostname, port, protocol } = new URL(url)
  const host = hostname === 'localhost' ? '127.0.0.1' : hostname.replaceAll(/[[\]]/g, '')
  if (!/^[\d.]+$/.test(host) && !host.includes(':'))
    throw new UsageError(`expected IP in URL for binding (${url})`)
  // An URL leaves the port of its scheme out.
  const isSecure = protocol === 'https:'
  return { host, port: port === '' ? (isSecure ? 443 : 80) : Number(port), isSecure }
}

function isWildcard(hostname: string): boolean {
  return hostname === '0.0.0.0' || hostname === '[::]'
}

/** `host:port`, with the brackets that IPv6 needs. */
export function formatEndpoint({ host, port }: Omit<Endpoint, 'isSecure'>): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

export function urlOf(endpoint: Endpoint): string {
  return `${endpoint.isSecure ? 'https' : 'http'}://${formatEndpoint(endpoint)}`
}
