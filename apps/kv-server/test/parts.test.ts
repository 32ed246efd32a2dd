/** Every storage with every transport, end to end: the same server, the same clients. */
import { grpcTransport } from '@coracle/transport-grpc'
import { memoryNetwork } from '@coracle/transport-memory'
import { tcpTransport } from '@coracle/transport-tcp'
import { memoryStorage } from '@coracle/storage-memory'
import { levelStorage } from '@coracle/storage-level'
import type { Storage, Transport } from '@coracle/raft-core'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { expect, test } from 'vitest'
import { type MemberClient, memberClient } from '../src/client.ts'
import { resolveConfig, type ServerConfig } from '../src/config.ts'
import { parseCommandLine } from '../src/flags.ts'
import { createLog } from '../src/log.ts'
import { addressOf, flagsOf, freePorts, planCluster } from '../src/processes/index.ts'
import { type Server, startServer } from '../src/server.ts'
import { until } from './members.ts'

type OpenStorage = (config: ServerConfig) => Storage
type OpenTransport = (config: ServerConfig) => Transport

const STORAGES: Record<string, () => OpenStorage> = {
  memory: () => () => memoryStorage(),
  level: () => (config) => levelStorage({ location: join(config.dataDir, 'raft') }),
}

const TRANSPORTS: Record<string, () => OpenTransport> = {
  memory() {
    const network = memoryNetwork()
    return ({ member }) => network.transport(member.nodeId)
  },
  tcp: () => (config) => tcpTransport(endOf(config)),
  grpc: () => (config) => grpcTransport(endOf(config)),
}

function endOf({ member, clusterId, listenPeers }: ServerConfig) {
  return { id: member.nodeId, cluster: clusterId.toString(16), listen: listenPeers }
}

const PAIRS = Object.keys(STORAGES).flatMap((storage) =>
  Object.keys(TRANSPORTS).map((transport) => ({ storage, transport })),
)

interface RunningMember extends AsyncDisposable {
  readonly server: Server
  readonly client: MemberClient
}

async function startMembers(
  directory: string,
  openStorage: OpenStorage,
  openTransport: OpenTransport,
): Promise<readonly RunningMember[]> {
  const ports = await freePorts(6)
  const plan = planCluster({
    directory,
    clientPorts: ports.slice(0, 3),
    peerPorts: ports.slice(3),
    flags: ['--heartbeat-interval=50', '--election-timeout=500', '--snapshot-count=20'],
  })
  const log = createLog('fatal', new Writable({ write: (_chunk, _encoding, done) => done() }))
  return Promise.all(
    plan.members.map(async (member) => {
      const line = parseCommandLine(flagsOf(plan, member), {})
      if (line.type !== 'run') throw new Error(line.type)
      const config = resolveConfig(line.settings)
      const [storage, transport] = [openStorage(config), openTransport(config)]
      const server = await startServer(config, { storage, transport, log })
      const client = memberClient(addressOf(member))
      return {
        server,
        client,
        async [Symbol.asyncDispose]() {
          client[Symbol.dispose]()
          await server[Symbol.asyncDispose]()
          await transport[Symbol.asyncDispose]()
          await storage[Symbol.asyncDispose]()
        },
      }
    }),
  )
}

test.each(PAIRS)(
  'three members on storage $storage and transport $transport agree, also without one of them',
  async ({ storage, transport }) => {
    const directory = await mkdtemp(join(tmpdir(), 'coracle-test-'))
    const running = await startMembers(
      directory,
      (STORAGES[storage] as () => OpenStorage)(),
      (TRANSPORTS[transport] as () => OpenTransport)(),
    )
    try {
      expect(await Promise.all(running.map(({ server }) => server.ready))).toEqual([
        true,
        true,
        true,
      ])
      for (let i = 0; i < 60; i++) await running[i % 3]?.client.put(`key/${i}`, `value ${i}`)
      const leader = running.find(({ server }) => server.node.status().role === 'leader')
      await leader?.[Symbol.asyncDispose]()
      const others = running.filter((member) => member !== leader)
      expect(others).toHaveLength(2)
      await until('a write is acknowledged', () =>
        (others[0] as RunningMember).client.put('after', 'hand-over').catch(() => null),
      )
      for (const { client } of others) {
        expect((await client.list('key/')).size).toBe(60)
        expect(await client.list('after')).toEqual(new Map([['after', 'hand-over']]))
      }
      const hashes = await Promise.all(others.map(({ client }) => client.hashKv(60)))
      expect(hashes[0]).toEqual(hashes[1])
    } finally {
      await Promise.all(running.map((member) => member[Symbol.asyncDispose]()))
      await rm(directory, { recursive: true, force: true })
    }
  },
)
