/** A whole etcd in the process: for tests, for tools, for programs that need one member and no more. */
import { encodeCommand, kvStateMachine, type KvResult } from '@coracle/kv-state-machine'
import { bootstrapMembership, type RaftNode, startNode, type Storage } from '@coracle/raft-core'
import { memoryStorage } from '@coracle/storage-memory'
import { memoryNetwork } from '@coracle/transport-memory'
import { clusterId, memberId, nodeIdOf } from '../ids.ts'
import { etcdMetrics } from '../metrics/etcd-metrics.ts'
import { type EtcdServer, type EtcdServerOptions, serveEtcd } from '../server.ts'

export interface StartServerOptions extends Pick<
  EtcdServerOptions,
  'environment' | 'limits' | 'corsOrigins' | 'hostWhitelist' | 'jsonGateway'
> {
  /**
   * Where the data is kept; whoever made it disposes it, after the server. Default: in memory, and
   * gone with the server.
   */
  readonly storage?: Storage
  /** Where to listen for other clients: `127.0.0.1:0` for any free port. Default: nowhere. */
  readonly listen?: readonly string[]
}

/** A new cluster of one, or the one that the storage knows, under the same ids each time. */
const PEER_URL = 'http://localhost:2380'
const TOKEN = 'etcd-cluster'

/** Clients that ask for the members are told where this one listens. Takes a leader, and waits for it. */
async function publish(node: RaftNode<KvResult>, addresses: readonly string[]): Promise<void> {
  const clientUrls = addresses.map((address) =>
    address.startsWith('unix') ? address : `http://${address}`,
  )
  const request = { id: node.id, name: 'default', clientUrls }
  await node.propose(encodeCommand({ type: 'publish-member', request }))
}

/** Nobody is to be waited for: the only voter leads after a tenth of a second or two. */
const TICKS = { tickMs: 10, heartbeatTicks: 1, electionTicks: 10 }

/**
 * Starts a cluster of one member and resolves when it leads. `server.client` asks it directly; other
 * clients of etcd do so through `listen`.
 *
 * @example
 * await using server = await startServer()
 * await server.client.put('greeting', 'hello')
 * console.log((await server.client.get('greeting'))?.text)
 */
export async function startServer(options: StartServerOptions = {}): Promise<EtcdServer> {
  const { storage: given, listen = [], ...others } = options
  const storage = given ?? memoryStorage()
  const id = memberId([PEER_URL], TOKEN)
  const metrics = etcdMetrics(others)
  const stateMachine = kvStateMachine()
  const disposables: AsyncDisposable[] = given === undefined ? [storage] : []
  const dispose = async (): Promise<void> => {
    for (const each of disposables) await each[Symbol.asyncDispose]()
  }
  try {
    const transport = memoryNetwork().transport(nodeIdOf(id))
    disposables.unshift(transport)
    const node: RaftNode<KvResult> = await startNode<KvResult>({
      id: nodeIdOf(id),
      membership: bootstrapMembership([{ id: nodeIdOf(id), address: PEER_URL }]),
      storage: metrics.measureStorage(storage),
      transport,
      stateMachine,
      trace: metrics.trace,
      ...TICKS,
      ...(others.environment === undefined ? {} : { environment: others.environment }),
    })
    disposables.unshift(node)
    const server = await serveEtcd({
      ...others,
      node,
      stateMachine,
      metrics,
      cluster: { id: clusterId([id]) },
      member: { id },
      listen,
    })
    disposables.unshift(server)
    await publish(node, server.addresses)
    let disposed: Promise<void> | undefined
    return { ...server, [Symbol.asyncDispose]: () => (disposed ??= dispose()) }
  } catch (error) {
    await dispose()
    throw error
  }
}
