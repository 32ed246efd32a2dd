/** A cluster asked over HTTP: any member answers, and each tells of itself and of its peers. */
import { memoryNetwork } from '@coracle/transport-memory'
import { levelStorage } from '@coracle/storage-level'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { resolveConfig } from '../src/config.ts'
import { parseCommandLine } from '../src/flags.ts'
import { createLog } from '../src/log.ts'
import { addressOf, flagsOf, freePorts, planCluster } from '../src/processes/index.ts'
import { type Server, startServer } from '../src/server.ts'

interface Member extends AsyncDisposable {
  readonly address: string
  readonly metricsAddress: string
  readonly server: Server
}

let directory: string
let members: readonly Member[]

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'coracle-http-'))
  members = await startMembers()
  await Promise.all(members.map(({ server }) => server.ready))
})
afterAll(async () => {
  for (const member of members) await member[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
})

async function startMembers(): Promise<readonly Member[]> {
  const ports = await freePorts(9)
  const plan = planCluster({
    directory,
    clientPorts: ports.slice(0, 3),
    peerPorts: ports.slice(3, 6),
    flags: ['--heartbeat-interval=50', '--election-timeout=500'],
  })
  const network = memoryNetwork()
  const log = createLog('fatal', new Writable({ write: (_chunk, _encoding, done) => done() }))
  return Promise.all(
    plan.members.map(async (planned, i) => {
      const metricsAddress = `127.0.0.1:${ports[6 + i]}`
      const flags = [...flagsOf(plan, planned), `--listen-metrics-urls=http://${metricsAddress}`]
      const line = parseCommandLine(flags, {})
      if (line.type !== 'run') throw new Error(line.type)
      const config = resolveConfig(line.settings)
      const storage = levelStorage({ location: join(config.dataDir, 'raft') })
      const transport = network.transport(config.member.nodeId)
      const server = await startServer(config, { storage, transport, log })
      return {
        address: addressOf(planned),
        metricsAddress,
        server,
        async [Symbol.asyncDispose]() {
          await server[Symbol.asyncDispose]()
          await transport[Symbol.asyncDispose]()
          await storage[Symbol.asyncDispose]()
        },
      }
    }),
  )
}

async function post(address: string, path: string, body: object): Promise<Record<string, unknown>> {
  const answer = await fetch(`http://${address}${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
  })
  expect(answer.status).toBe(200)
  return (await answer.json()) as Record<string, unknown>
}

describe('over HTTP', () => {
  test('what one member took, every member gives', async () => {
    const key = Buffer.from('greeting').toString('base64')
    const value = Buffer.from('hello').toString('base64')
    for (const { address } of members) {
      await post(address, '/v3/kv/put', { key, value })
      for (const other of members)
        expect(await post(other.address, '/v3/kv/range', { key })).toMatchObject({
          kvs: [{ key, value }],
        })
    }
  })

  test('all are ready, on both of their ports', async () => {
    for (const { address, metricsAddress } of members)
      for (const port of [address, metricsAddress])
        for (const path of ['/health', '/readyz', '/livez'])
          expect((await fetch(`http://${port}${path}`)).status).toBe(200)
  })

  test('the leader tells how long its disk and its peers take', async () => {
    const leader = members.find(({ server }) => server.node.status().role === 'leader')
    const url = `http://${leader?.metricsAddress}/metrics`
    const countOf = async (name: string): Promise<number[]> => {
      const lines = (await (await fetch(url)).text()).split('\n')
      return lines.filter((line) => line.startsWith(name)).map((line) => Number(line.split(' ')[1]))
    }
    expect((await countOf('etcd_disk_wal_fsync_duration_seconds_count'))[0]).toBeGreaterThan(0)
    await expect
      .poll(() => countOf('etcd_network_peer_round_trip_time_seconds_count{To='))
      .toEqual([expect.any(Number), expect.any(Number)])
    for (const bytes of await countOf('etcd_network_peer_sent_bytes_total{To='))
      expect(bytes).toBeGreaterThan(0)
    expect(await countOf('etcd_server_is_leader')).toEqual([1])
    expect(await countOf('coracle_raft_peer_match_index{peer=')).toHaveLength(2)
  })
})
