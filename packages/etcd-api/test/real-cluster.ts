/** Three members in this process: real Raft over a network of memory, each with a server of its own. */
import { kvStateMachine, type KvStateMachine, type KvResult } from '@coracle/kv-state-machine'
import { bootstrapMembership, type RaftNode, startNode } from '@coracle/raft-core'
import { memoryDisk } from '@coracle/storage-memory'
import { memoryNetwork, type MemoryNetwork } from '@coracle/transport-memory'
import { setTimeout } from 'node:timers/promises'
import { type EtcdServer, type EtcdServerOptions, etcdServer } from '../src/index.ts'
import { CLUSTER_ID, type RawClient, rawClient } from './harness.ts'

export interface RealMember extends AsyncDisposable {
  readonly id: string
  readonly node: RaftNode<KvResult>
  readonly stateMachine: KvStateMachine
  readonly client: RawClient
  readonly address: string
}

export interface RealCluster extends AsyncDisposable {
  readonly network: MemoryNetwork
  readonly members: readonly RealMember[]
  readonly leader: RealMember
  readonly followers: readonly RealMember[]
  /** Stops the member and starts it anew with what it had stored. */
  restart(id: string): Promise<RealMember>
}

const IDS = ['a', 'b', 'c']

export async function startRealCluster(
  options: Partial<EtcdServerOptions> = {},
): Promise<RealCluster> {
  const network = memoryNetwork()
  const founders = bootstrapMembership(IDS.map((id) => ({ id, address: id })))
  const disks = new Map(IDS.map((id) => [id, memoryDisk()]))
  const start = async (id: string): Promise<RealMember> => {
    const storage = disks.get(id)?.open()
    if (storage === undefined) throw new Error(`no member ${id}`)
    const transport = network.transport(id)
    const stateMachine = kvStateMachine()
    const node = await startNode({
      id,
      storage,
      transport,
      stateMachine,
      membership: founders,
      tickMs: 10,
    })
    const server: EtcdServer = await etcdServer({
      node,
      stateMachine,
      cluster: { id: CLUSTER_ID },
      member: { id: BigInt(`0x${id}`) },
      listen: ['127.0.0.1:0'],
      shutdownTimeoutMs: 100,
      ...options,
    })
    const address = server.addresses[0] ?? ''
    const client = rawClient(address)
    return {
      id,
      node,
      stateMachine,
      client,
      address,
      async [Symbol.asyncDispose]() {
        client[Symbol.dispose]()
        await server[Symbol.asyncDispose]()
        await node[Symbol.asyncDispose]()
        await transport[Symbol.asyncDispose]()
        await storage[Symbol.asyncDispose]()
      },
    }
  }
  const members = new Map<string, RealMember>()
  for (const id of IDS) members.set(id, await start(id))
  const leads = (member: RealMember): boolean => member.node.status().role === 'leader'
  const cluster: RealCluster = {
    network,
    get members() {
      return [...members.values()]
    },
    get leader() {
      return cluster.members.find(leads) ?? cluster.members[0]!
    },
    get followers() {
      return cluster.members.filter((member) => !leads(member))
    },
    async restart(id) {
      await members.get(id)?.[Symbol.asyncDispose]()
      const member = await start(id)
      members.set(id, member)
      await member.node.read()
      return member
    },
    async [Symbol.asyncDispose]() {
      for (const member of members.values()) await member[Symbol.asyncDispose]()
    },
  }
  await until(() => cluster.members.some(leads))
  for (const { node } of cluster.members) await node.read()
  return cluster
}

/** Looks again and again; a wait in vain fails. */
export async function until(holds: () => boolean): Promise<void> {
  const giveUp = performance.now() + 10_000
  while (!holds()) {
    if (performance.now() > giveUp) throw new Error('waited in vain')
    await setTimeout(5)
  }
}
