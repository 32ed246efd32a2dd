/** A member in one process: a storage, a transport, a state machine, a node, and etcd's services. */
import {
  type EtcdMetrics,
  etcdMetrics,
  type EtcdServer,
  etcdServer,
  type EtcdServerOptions,
} from '@coracle/etcd-api'
import { type KvResult, type KvStateMachine, kvStateMachine } from '@coracle/kv-state-machine'
import {
  bootstrapMembership,
  type RaftNode,
  startNode,
  type Storage,
  type Transport,
} from '@coracle/raft-core'
import { loadAuthToken } from './auth-token.ts'
import type { ServerConfig } from './config.ts'
import { formatEndpoint, urlOf } from './config/urls.ts'
import { DirectoryError } from './identity.ts'
import type { Log } from './log.ts'
import { addressOfUrls, urlsOfAddress } from './peers/addresses.ts'
import { compareWith, type Comparison, differing } from './peers/corruption.ts'
import { forwardCall } from './peers/peer-client.ts'
import type { PeerServer } from './peers/peer-server.ts'
import { publishMember } from './publish.ts'
import { logEvents } from './raft-log.ts'
import type { Security } from './tls/security.ts'

export interface ServerParts {
  readonly storage: Storage
  readonly transport: Transport
  readonly log: Log
  /** Certificates. Default: none, and so no TLS. */
  readonly security?: Security
  /** Where other members ask. Default: they cannot. */
  readonly peers?: PeerServer
  /** Called when the storage is open, before clients or other members are told anything. */
  readonly onOpened?: () => Promise<void>
  /** Puts in order what the storage keeps. Default: nothing is to be done. */
  readonly defragment?: () => Promise<void>
}

/**
 * A running member. Disposal hands leadership over, lets the requests that run come to their end,
 * and stops; the parts are left to whoever made them.
 */
export interface Server extends AsyncDisposable {
  readonly node: RaftNode<KvResult>
  /**
   * Resolves with true when there is a leader and the cluster knows this member's name and client
   * URLs; with false if the server was disposed, or the node stopped, before that.
   */
  readonly ready: Promise<boolean>
}

/** Requests that go on when the server is to stop get this long. */
const SHUTDOWN_MS = 5_000

/** Resolves when clients and peers can connect, which is before there is a leader. */
export async function startServer(config: ServerConfig, parts: ServerParts): Promise<Server> {
  const { log, storage, transport, peers } = parts
  const { autoCompaction } = config
  log.info(
    { ...autoCompaction },
    autoCompaction === null
      ? 'history is kept until it is compacted'
      : 'history is compacted by itself',
  )
  const stateMachine = kvStateMachine()
  const metrics = etcdMetrics()
  const logEvent = logEvents(log)
  const node = await startNode<KvResult>({
    id: config.member.nodeId,
    ...(config.isNewCluster ? { membership: foundersOf(config) } : {}),
    contacts: config.contacts,
    storage: metrics.measureStorage(storage),
    transport: metrics.measureTransport(transport),
    stateMachine,
    trace(event) {
      metrics.trace(event)
      logEvent(event)
    },
    ...nodeOptions(config),
  })
  try {
    await parts.onOpened?.()
    if (config.initialCorruptCheck)
      await checkAgainstOthers(node, { ...askingOf(config, parts.security), stateMachine })
    const api = await serveClients(config, { node, stateMachine, metrics, ...parts })
    parts.security?.renewClients(api)
    const { answerForwarded } = api
    peers?.serve({ clusterId: config.clusterId.toString(16), node, stateMachine, answerForwarded })
    return new Member(config, { node, stateMachine, api, ...parts })
  } catch (error) {
    await node[Symbol.asyncDispose]()
    throw error
  }
}

function foundersOf({ initialMembers }: ServerConfig): ReturnType<typeof bootstrapMembership> {
  return bootstrapMembership(
    initialMembers.map(({ nodeId, peerUrls }) => ({
      id: nodeId,
      address: addressOfUrls(peerUrls),
    })),
  )
}

function requestTimeoutMs({ electionMs }: ServerConfig): number {
  return 5_000 + 2 * electionMs
}

function nodeOptions(config: ServerConfig) {
  const { heartbeatMs, electionMs, preVote, snapshotEntries, keepEntries } = config
  return {
    tickMs: heartbeatMs,
    heartbeatTicks: 1,
    electionTicks: Math.floor(electionMs / heartbeatMs),
    requestTimeoutTicks: Math.ceil(requestTimeoutMs(config) / heartbeatMs),
    maxCommandBytes: config.maxRequestBytes,
    preVote,
    snapshotEntries,
    keepEntries,
  }
}

/** A member that lost or changed keys while it was away must not tell clients of them. */
async function checkAgainstOthers(node: RaftNode<KvResult>, comparison: Comparison): Promise<void> {
  const holdings = await compareWith(node.id, node.status().membership.peers, comparison)
  if (holdings.some(({ hash }) => hash !== holdings[0]?.hash))
    throw new DirectoryError(`${node.id} found data inconsistency with peers`)
}

async function serveClients(
  config: ServerConfig,
  parts: Pick<EtcdServerOptions, 'node' | 'stateMachine'> &
    Pick<ServerParts, 'defragment' | 'log' | 'security'> & { readonly metrics: EtcdMetrics },
): Promise<EtcdServer> {
  const { node, stateMachine, metrics, defragment, log, security } = parts
  return etcdServer({
    node,
    stateMachine,
    metrics,
    metricsDetail: config.metricsDetail,
    cluster: {
      id: config.clusterId,
      peerUrls: ({ address }) => urlsOfAddress(address),
      strictReconfigCheck: config.strictReconfigCheck,
      maxLearners: config.maxLearners,
    },
    member: { id: config.member.id },
    forward: (call) =>
      forwardCall(call, {
        ...askingOf(config, security),
        timeoutMs: requestTimeoutMs(config),
      }).catch((error: unknown) => {
        log.warn({ error: String(error), 'leader-id': call.leader.id }, 'lost a call to the leader')
        throw error
      }),
    ...(defragment === undefined ? {} : { defragment }),
    electionTimeoutMs: config.electionMs,
    limits: {
      maxRequestBytes: config.maxRequestBytes,
      maxTxnOps: config.maxTxnOps,
      quotaBackendBytes: config.quotaBackendBytes,
      requestTimeoutMs: requestTimeoutMs(config),
      watchProgressIntervalMs: config.watchProgressIntervalMs,
    },
    auth: {
      tokens: await loadAuthToken(config.authToken),
      tokenTtlMs: config.authTokenTtlMs,
      bcryptCost: config.bcryptCost,
      clientCertificates: config.clientCertAuth,
    },
    ...(config.autoCompaction === null ? {} : { autoCompaction: config.autoCompaction }),
    ...security?.forClients,
    listen: config.listenClients.map(urlOf),
    listenHttp: config.listenHttp.map(urlOf),
    listenMetrics: config.listenMetrics.map(urlOf),
    jsonGateway: config.jsonGateway,
    corsOrigins: config.corsOrigins,
    hostWhitelist: config.hostWhitelist,
    maxConcurrentStreams: config.maxConcurrentStreams,
    keepaliveMinTimeMs: config.keepaliveMinTimeMs,
    keepaliveIntervalMs: config.keepaliveIntervalMs,
    keepaliveTimeoutMs: config.keepaliveTimeoutMs,
    shutdownTimeoutMs: SHUTDOWN_MS,
  })
}

/** How other members are asked, as of now. */
function askingOf(
  { clusterId }: ServerConfig,
  security: Security | undefined,
): Pick<Comparison, 'clusterId' | 'tls'> {
  return { clusterId: clusterId.toString(16), tls: security?.askingPeers() ?? null }
}

interface MemberParts {
  readonly node: RaftNode<KvResult>
  readonly stateMachine: KvStateMachine
  readonly api: EtcdServer
  readonly log: Log
  readonly security?: Security
}

class Member implements Server {
  readonly node: RaftNode<KvResult>
  readonly ready: Promise<boolean>
  readonly #api: EtcdServer
  readonly #stateMachine: KvStateMachine
  readonly #log: Log
  readonly #electionMs: number
  readonly #disposed = new AbortController()
  #disposal: Promise<void> | null = null

  constructor(config: ServerConfig, parts: MemberParts) {
    this.node = parts.node
    this.#api = parts.api
    this.#stateMachine = parts.stateMachine
    this.#log = parts.log
    this.#electionMs = config.electionMs
    this.ready = this.#publish(config)
    const asking = (): ReturnType<typeof askingOf> => askingOf(config, parts.security)
    if (config.corruptCheckMs > 0) this.#compareForEver(asking, config.corruptCheckMs)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return (this.#disposal ??= this.#dispose())
  }

  #compareForEver(asking: () => ReturnType<typeof askingOf>, intervalMs: number): void {
    const timer = setInterval(() => {
      this.#compare(asking()).catch((error: unknown) =>
        this.#log.warn({ error: String(error) }, 'could not compare members'),
      )
    }, intervalMs)
    this.#disposed.signal.addEventListener('abort', () => clearInterval(timer))
  }

  /** The leader asks the others, and names whoever holds something else. */
  async #compare(asking: ReturnType<typeof askingOf>): Promise<void> {
    const { id, role, membership } = this.node.status()
    if (role !== 'leader') return
    const stateMachine = this.#stateMachine
    const holdings = await compareWith(id, membership.peers, { ...asking, stateMachine })
    for (const about of differing(holdings, membership.peers.length)) {
      this.#log.error({ 'member-id': about }, 'found data inconsistency')
      this.#api.raiseAlarm('corrupt', about)
    }
  }

  async #publish({ member, advertiseClientUrls, listenClients }: ServerConfig): Promise<boolean> {
    const { signal } = this.#disposed
    const attributes = { id: member.nodeId, name: member.name, clientUrls: advertiseClientUrls }
    const isPublished = await publishMember(this.node, attributes, { signal })
    const addresses = listenClients.map(formatEndpoint)
    if (isPublished) this.#log.info({ addresses }, 'ready to serve client requests')
    return isPublished
  }

  async #dispose(): Promise<void> {
    this.#disposed.abort()
    await this.#handOver()
    await this.#api[Symbol.asyncDispose]()
    await this.node[Symbol.asyncDispose]()
  }

  /** A leader that leaves names its heir, so that the others need not miss it first (thesis 3.10). */
  async #handOver(): Promise<void> {
    const { role, membership } = this.node.status()
    if (role !== 'leader' || membership.voters.length < 2) return
    try {
      await this.node.transferLeadership(undefined, {
        signal: AbortSignal.timeout(2 * this.#electionMs),
      })
      this.#log.info({ 'leader-id': this.node.status().leader }, 'transferred leadership')
    } catch (error) {
      this.#log.warn({ error: String(error) }, 'stopping without having transferred leadership')
    }
  }
}
