/** Members that listen at sockets in the file system. */
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { memberClient } from '../src/client.ts'
import { StartError } from '../src/processes/index.ts'
import { createCluster, type TestCluster, type TestMember } from './members.ts'

/** What is at this path, as a client of HTTP sees it. */
function fetchText(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, agent: false }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () => resolve(text))
    })
    asked.on('error', reject)
    asked.end()
  })
}

interface Place {
  readonly directory: string
  readonly clients: string
  readonly flags: readonly string[]
}

function placeOf({ directory }: TestCluster): Place {
  const clients = join(directory, 'clients.sock')
  const flags = [`--listen-client-urls=unix://${clients}`]
  return { directory, clients, flags }
}

async function refusalOf(member: TestMember, flags: readonly string[]): Promise<string> {
  const refused = await member.restart({ flags }).then(
    () => null,
    (error: unknown) => error,
  )
  if (!(refused instanceof StartError)) throw new Error('the member started')
  return refused.message
}

test('serve clients, health and members there, and leave nothing behind', async () => {
  await using cluster = await createCluster({ size: 1 })
  const [member] = cluster.members as [TestMember]
  await member.kill()
  const { directory, clients, flags } = placeOf(cluster)
  const [metrics, peers] = [join(directory, 'metrics.sock'), join(directory, 'peers.sock')]
  await member.restart({
    flags: [
      ...flags,
      `--listen-client-urls=${member.flags[2]?.split('=')[1]},unix://${clients}`,
      `--listen-metrics-urls=unix://${metrics}`,
      `--listen-peer-urls=unix://${peers}`,
    ],
  })
  using client = memberClient(`unix://${clients}`)
  await client.put('by', 'socket')
  expect(await member.client.list('by')).toEqual(new Map([['by', 'socket']]))
  expect(JSON.parse(await fetchText(metrics, '/health'))).toMatchObject({ health: 'true' })
  expect(JSON.parse(await fetchText(clients, '/health'))).toMatchObject({ health: 'true' })
  expect(JSON.parse(await fetchText(peers, '/members'))).toMatchObject({ format: 1 })
  member.process.kill('SIGTERM')
  expect(await member.process.exited).toMatchObject({ code: 0 })
  expect([clients, metrics, peers].filter((path) => existsSync(path))).toEqual([])
})

test('take the place of a socket that a killed process left, and of nothing else', async () => {
  await using cluster = await createCluster({ size: 1 })
  const [member] = cluster.members as [TestMember]
  await member.kill()
  const { clients, flags } = placeOf(cluster)
  await member.restart({ flags })
  await member.kill()
  expect(existsSync(clients)).toBe(true)
  await member.restart({ flags })
  using client = memberClient(`unix://${clients}`)
  await client.put('still', 'here')

  const others = join(cluster.directory, 'others.sock')
  const other = createServer().listen(others)
  await once(other, 'listening')
  await member.kill()
  expect(await refusalOf(member, [`--listen-client-urls=unix://${others}`])).toBe(
    `socket ${others} is taken: another program listens there`,
  )
  expect(existsSync(others)).toBe(true)
  other.close()

  const file = join(cluster.directory, 'notes.txt')
  await writeFile(file, 'mine')
  expect(await refusalOf(member, [`--listen-metrics-urls=unix://${file}`])).toBe(
    `socket ${file} cannot be made: there is something else at this path`,
  )
  expect(await readFile(file, 'utf8')).toBe('mine')
  const nowhere = join(cluster.directory, 'no', 'such.sock')
  expect(await refusalOf(member, [`--listen-peer-urls=unix://${nowhere}`])).toContain(nowhere)
})

test.each(['tcp', 'grpc'])(
  'make a cluster of members that meet there, over %s',
  async (transport) => {
    await using cluster = await createCluster({ flags: [`--peer-transport=${transport}`] })
    await Promise.all(cluster.members.map((member) => member.kill()))
    const urlOf = ({ plan }: TestMember): string =>
      `unix://${join(cluster.directory, `${plan.name}.sock`)}`
    const everybody = cluster.members.map((each) => `${each.plan.name}=${urlOf(each)}`).join(',')
    await Promise.all(
      cluster.members.map((member) =>
        member.restart({
          flags: [
            `--data-dir=${member.plan.dataDir}-by-sockets`,
            `--listen-peer-urls=${urlOf(member)}`,
            `--initial-advertise-peer-urls=${urlOf(member)}`,
            `--initial-cluster=${everybody}`,
          ],
        }),
      ),
    )
    for (const { client, plan } of cluster.members) await client.put(plan.name, 'x')
    for (const { client } of cluster.members) expect((await client.list('infra')).size).toBe(3)
  },
)
