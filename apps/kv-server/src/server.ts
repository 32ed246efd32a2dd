/** A member in one process: a storage, a transport, a state machine, a node, and etcd's services. */
import { type EtcdMetrics, etcdMetrics, type EtcdServer, etcdServer } from '@coracle/etcd-api'
import { type KvResult, type KvStateMachine, kvStateMachine } from '@coracle/kv-state-machine'
import {
  bootstrapMembership,
  type RaftNode,
  startNode,
  type Storage,
  type Transport,
} from '@coracle/raft-core'
import { formatEndpoint, type ServerConfig } from './config.ts'
import type { Log } from './log.ts'
import { publishMember } from './publish.ts'
import { logEvents } from './raft-log.ts'

export interface ServerParts {
  readonly storage: Storage
  readonly transport: Transport
  readonly log: Log
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
  const { log, storage, transport } = parts
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
    const api = await serveClients(config, { node, stateMachine, metrics })
    return new Member(config, { node, api, log })
  } catch (error) {
    await node[Symbol.asyncDispose]()
    throw error
  }
}

function foundersOf({ initialMembers }: ServerConfig): ReturnType<typeof bootstrapMembership> {
  return bootstrapMembership(
    initialMembers.map(({ nodeId, peerUrls }) => ({ id: nodeId, address: peerUrls[0] ?? '' })),
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

function serveClients(
  config: ServerConfig,
  parts: {
    readonly node: RaftNode<KvResult>
    readonly stateMachine: KvStateMachine
    readonly metrics: EtcdMetrics
  },
): Promise<EtcdServer> {
  const urlsOf = new Map(config.initialMembers.map(({ nodeId, peerUrls }) => [nodeId, peerUrls]))
  return etcdServer({
    ...parts,
    cluster: {
      id: config.clusterId,
      peerUrls: ({ id, address }) => urlsOf.get(id) ?? [address],
    },
    member: { id: config.member.id },
    electionTimeoutMs: config.electionMs,
    limits: {
      maxRequestBytes: config.maxRequestBytes,
      maxTxnOps: config.maxTxnOps,
      quotaBackendBytes: config.quotaBackendBytes,
      requestTimeoutMs: requestTimeoutMs(config),
    },
    ...(config.autoCompaction === null ? {} : { autoCompaction: config.autoCompaction }),
    listen: config.listenClients.map(formatEndpoint),
    listenMetrics: config.listenMetrics.map(formatEndpoint),
    jsonGateway: config.jsonGateway,
    corsOrigins: config.corsOrigins,
    hostWhitelist: config.hostWhitelist,
    maxConcurrentStreams: config.maxConcurrentStreams,
    shutdownTimeoutMs: SHUTDOWN_MS,
  })
}

class Member implements Server {
  readonly node: RaftNode<KvResult>
  readonly ready: Promise<boolean>
  readonly #api: AsyncDisposable
  readonly #log: Log
  readonly #electionMs: number
  readonly #disposed = new AbortController()
  #disposal: Promise<void> | null = null

  constructor(
    config: ServerConfig,
    parts: { readonly node: RaftNode<KvResult>; readonly api: AsyncDisposable; readonly log: Log },
  ) {
    this.node = parts.node
    this.#api = parts.api
    this.#log = parts.log
    this.#electionMs = config.electionMs
    this.ready = this.#publish(config)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return (this.#disposal ??= this.#dispose())
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
