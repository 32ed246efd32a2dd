/** Members that have several URLs, of which not all lead to them. */
import { join } from 'node:path'
import { get } from 'node:http'
import { expect, test } from 'vitest'
import { memberClient } from '../src/client.ts'
import { freePorts } from '../src/processes/index.ts'
import { adminOf } from './admin.ts'
import { createCluster, TestMember, until } from './members.ts'

const url = (port: number | undefined): string => `http://127.0.0.1:${port}`

/** The URLs of a member, in the order in which they are kept, and so tried. */
async function twoUrls(): Promise<readonly [string, string]> {
  const [first = '', second = ''] = (await freePorts(2)).map(url).toSorted()
  return [first, second]
}

function fetchText(at: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get(at, { agent: false }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () => resolve(text))
    }).on('error', reject)
  })
}

test('every URL to listen on is listened on', async () => {
  await using cluster = await createCluster({ size: 1 })
  const [member] = cluster.members as [TestMember]
  await member.kill()
  const [peerA, peerB, clientA, clientB, httpA, httpB, metricsA, metricsB] = (
    await freePorts(8)
  ).map(url)
  await member.restart({
    flags: [
      `--listen-peer-urls=${peerA},${peerB}`,
      `--listen-client-urls=${clientA},${clientB}`,
      `--listen-client-http-urls=${httpA},${httpB}`,
      `--listen-metrics-urls=${metricsA},${metricsB}`,
      `--advertise-client-urls=${clientB},${clientA}`,
    ],
  })
  for (const each of [clientA, clientB]) {
    using client = memberClient(String(each).replace('http://', ''))
    await client.put('at', String(each))
  }
  for (const each of [peerA, peerB])
    expect(JSON.parse(await fetchText(`${each}/members`))).toMatchObject({
      members: [{ clientUrls: [clientB, clientA] }],
    })
  for (const each of [httpA, httpB, metricsA, metricsB])
    expect(JSON.parse(await fetchText(`${each}/health`))).toMatchObject({ health: 'true' })
})

test.each(['tcp', 'grpc'])(
  'who is not found at one URL is found at another, whichever that is, over %s',
  async (transport) => {
    await using cluster = await createCluster({ flags: [`--peer-transport=${transport}`] })
    await Promise.all(cluster.members.map((member) => member.kill()))
    const urls = await Promise.all(cluster.members.map(twoUrls))
    const everybody = cluster.members.flatMap(({ plan }, i) =>
      (urls[i] ?? []).map((each) => `${plan.name}=${each}`),
    )
    const flagsOf = (place: number, listening: 0 | 1): readonly string[] => [
      `--data-dir=${cluster.members[place]?.plan.dataDir}-two-urls`,
      `--listen-peer-urls=${urls[place]?.[listening]}`,
      `--initial-advertise-peer-urls=${urls[place]?.toReversed().join(',')}`,
      `--initial-cluster=${everybody.join(',')}`,
    ]
    await Promise.all(
      cluster.members.map((member, place) => member.restart({ flags: flagsOf(place, 1) })),
    )
    for (const { client, plan } of cluster.members) await client.put(plan.name, 'x')

    // Whoever does not lead brings this to the leader, whose first URL is dead, too; and who joins asks
    // everybody at all of them.
    const leader = await cluster.leader()
    const via = cluster.members.find((member) => member !== leader) as TestMember
    using admin = adminOf(via.address)
    const [dead, alive] = await twoUrls()
    const { peerURLs } = await admin.add([alive, dead], { isLearner: true })
    expect(peerURLs).toEqual([dead, alive])
    const [clientPort = 0] = await freePorts(1)
    const plan = { name: 'late', clientPort, peerPort: 0, dataDir: join(cluster.directory, 'late') }
    await using late = new TestMember({ members: [], flags: [] }, plan, {
      flags: [
        `--peer-transport=${transport}`,
        `--listen-peer-urls=${alive}`,
        `--initial-advertise-peer-urls=${alive},${dead}`,
        `--initial-cluster=${[...everybody, `late=${dead}`, `late=${alive}`].join(',')}`,
        '--initial-cluster-state=existing',
      ],
    })
    await late.process.ready
    await until('the learner has all', async () => {
      const found = await late.client.list('infra', { serializable: true }).catch(() => null)
      return found?.size === 3 ? true : null
    })

    // One after the other moves to its other URL, and is found there.
    for (const [place, member] of cluster.members.entries()) {
      await member.kill()
      await member.restart({ flags: flagsOf(place, 0) })
      await member.client.put(`${member.plan.name}/moved`, 'x')
    }
    expect((await (cluster.members[0] as TestMember).client.list('infra')).size).toBe(6)
  },
)

test('URLs of a member are changed to several, and to one again', async () => {
  await using cluster = await createCluster({ size: 1 })
  const [member] = cluster.members as [TestMember]
  await member.process.ready
  using admin = adminOf(member.address)
  const [itself] = await admin.members()
  const id = itself?.id ?? ''
  const socket = 'unix:///run/coracle/peer.sock'
  const several = ['http://b.example:2380', socket, 'http://a.example:2380']
  expect(await admin.update(id, several)).toMatchObject([{ peerURLs: several.toSorted() }])
  expect(await admin.members()).toMatchObject([{ peerURLs: several.toSorted() }])
  const [one = ''] = several
  expect(await admin.update(id, one)).toMatchObject([{ peerURLs: [one] }])
  for (const wrong of [[], [one, 'b.example:2380'], ['unix://'], ['unix://a,b']])
    await expect(admin.update(id, wrong)).rejects.toThrow('given member URLs are invalid')
})
