/** Founders are found by the SRV records of a domain, as etcd finds them. */
import { Resolver } from 'node:dns/promises'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { tcpTransport } from '@coracle/transport-tcp'
import { memoryStorage } from '@coracle/storage-memory'
import { describe, expect, onTestFinished, test } from 'vitest'
import { memberClient } from '../src/client.ts'
import { resolveConfig, type ServerConfig } from '../src/config.ts'
import { type Dns, type Service, systemDns } from '../src/discovery/dns.ts'
import { settleBeginning } from '../src/discovery/settle.ts'
import { parseCommandLine } from '../src/flags.ts'
import { createLog } from '../src/log.ts'
import { freePorts } from '../src/processes/index.ts'
import { startServer } from '../src/server.ts'
import { startDnsServer } from './dns-server.ts'
import { startCluster, type TestMember } from './members.ts'

const log = createLog('fatal', new Writable({ write: (_chunk, _encoding, done) => done() }))

const { signal } = new AbortController()

function configOf(...args: string[]): ServerConfig {
  const line = parseCommandLine(args, {})
  if (line.type !== 'run') throw new Error(line.type)
  return resolveConfig(line.settings)
}

interface Zone {
  readonly services?: Readonly<Record<string, readonly string[] | Error>>
  readonly addresses?: Readonly<Record<string, string>>
}

/** Knows what it is told, and that nothing else exists. */
function dnsOf({ services = {}, addresses = {} }: Zone): Dns {
  return {
    async servicesOf(name) {
      const found = services[name] ?? []
      if (found instanceof Error) throw found
      return found.map((place) => {
        const [host = '', port] = place.split(':')
        return { host, port: Number(port) }
      })
    },
    async addressesOf(host) {
      if (/^[\d.]+$/.test(host)) return [host]
      const address = addresses[host]
      if (address === undefined) throw new Error(`getaddrinfo ENOTFOUND ${host}`)
      return [address]
    },
  }
}

const SSL = '_etcd-server-ssl._tcp.example.com'
const PLAIN = '_etcd-server._tcp.example.com'
const THREE = ['i0.example.com:2380', 'i1.example.com:2380', 'i2.example.com:2380']

const OF_EXAMPLE = ['--name=infra0', '--discovery-srv=example.com']
const AT_I0 = '--initial-advertise-peer-urls=http://i0.example.com:2380'

function settle(args: readonly string[], zone: Zone): Promise<ServerConfig> {
  return settleBeginning(configOf(...OF_EXAMPLE, ...args), { dns: dnsOf(zone), log, signal })
}

function urlsIn({ initialMembers }: ServerConfig): readonly string[] {
  return initialMembers.flatMap(({ peerUrls }) => peerUrls).toSorted()
}

describe('--discovery-srv', () => {
  test('founds the cluster that --initial-cluster with the same URLs would, whoever asks', async () => {
    const zone = { services: { [PLAIN]: THREE } }
    const found = await settle([AT_I0], zone)
    const named = configOf(
      '--name=infra0',
      AT_I0,
      `--initial-cluster=infra0=http://${THREE[0]},b=http://${THREE[1]},c=http://${THREE[2]}`,
    )
    expect(found.clusterId).toBe(named.clusterId)
    expect(found.member).toEqual(named.member)
    expect(urlsIn(found)).toEqual(THREE.map((place) => `http://${place}`))
    // Servers answer in any order.
    const shuffled = { services: { [PLAIN]: THREE.toReversed() } }
    const other = await settle(
      ['--name=0', '--initial-advertise-peer-urls=http://i1.example.com:2380'],
      shuffled,
    )
    expect(other.clusterId).toBe(found.clusterId)
    expect(other.member.peerUrls).toEqual(['http://i1.example.com:2380'])
  })

  test('knows this member by its address, too, and then goes by the name of the record', async () => {
    const found = await settle(['--initial-advertise-peer-urls=http://10.0.0.2:2380'], {
      services: { [PLAIN]: THREE },
      addresses: { 'i1.example.com': '10.0.0.2', 'i2.example.com': '10.0.0.3' },
    })
    expect(found.member).toMatchObject({
      name: 'infra0',
      peerUrls: ['http://i1.example.com:2380'],
    })
    expect(found.initialMembers).toHaveLength(3)
  })

  test('takes records with TLS and without, and a place in both as this member is reached', async () => {
    const zone = { services: { [SSL]: THREE, [PLAIN]: [...THREE, 'i3.example.com:2380'] } }
    const pair = ['--peer-cert-file=c', '--peer-key-file=k']
    const secure = '--initial-advertise-peer-urls=https://i0.example.com:2380'
    expect(urlsIn(await settle([secure, ...pair], zone))).toEqual([
      'http://i3.example.com:2380',
      ...THREE.map((place) => `https://${place}`),
    ])
    expect(urlsIn(await settle([AT_I0], zone))).toEqual(
      [...THREE, 'i3.example.com:2380'].map((place) => `http://${place}`),
    )
  })

  test('asks for a service of another name if it is told to', async () => {
    const found = await settle([AT_I0, '--discovery-srv-name=blue'], {
      services: {
        [PLAIN]: ['elsewhere.example.com:1'],
        '_etcd-server-blue._tcp.example.com': THREE,
      },
    })
    expect(urlsIn(found)).toEqual(THREE.map((place) => `http://${place}`))
  })

  test.each<[string, Zone, RegExp]>([
    [
      'no records',
      {},
      /^no DNS SRV records of _etcd-server-ssl\._tcp\.example\.com or _etcd-server\._tcp\.example\.com: add them, or /,
    ],
    ['a service that is not offered', { services: { [PLAIN]: [':0'] } }, /^no DNS SRV records of /],
    [
      'a server that fails',
      { services: { [SSL]: new Error('querySrv ESERVFAIL'), [PLAIN]: THREE } },
      /^error querying DNS SRV records for _etcd-server-ssl\._tcp\.example\.com: querySrv ESERVFAIL$/,
    ],
    [
      'records without this member',
      { services: { [PLAIN]: THREE.slice(1) } },
      /^cannot find local etcd member "infra0" in SRV records: of http:\/\/i1.*, none is at --initial-advertise-peer-urls=http:\/\/i0\.example\.com:2380$/,
    ],
    [
      'this member with another scheme',
      { services: { [SSL]: THREE } },
      /^cannot find local etcd member "infra0" in SRV records: of https:\/\/i0/,
    ],
    [
      'this member at another port',
      { services: { [PLAIN]: ['i0.example.com:2381'] } },
      /^cannot find local etcd member "infra0"/,
    ],
  ])('with %s, says so', async (_, zone, why) => {
    await expect(settle([AT_I0], zone)).rejects.toThrow(why)
  })

  test.each([
    [['--initial-cluster=infra0=http://a:1'], 'multiple discovery or bootstrap flags are set'],
    [['--discovery-srv=http://example.com'], '--discovery-srv must be a domain such as'],
    [['--discovery-srv-name=a b'], '--discovery-srv-name must be a part of a name'],
  ])('%j makes no sense beside it', (args, why) => {
    expect(() => configOf(...OF_EXAMPLE, ...args)).toThrow(why)
  })

  test('makes the domain what certificates must be for, unless an authority is named', () => {
    const pair = [AT_I0, '--peer-cert-file=c', '--peer-key-file=k']
    expect(configOf(...OF_EXAMPLE, ...pair).peerTls?.serverName).toBe('example.com')
    const trusting = [...pair, '--peer-trusted-ca-file=ca']
    expect(configOf(...OF_EXAMPLE, ...trusting).peerTls?.serverName).toBeNull()
    expect(configOf(...pair.slice(1)).peerTls?.serverName).toBeNull()
  })

  test('a name for a service in no domain is told to be idle', () => {
    expect(configOf('--discovery-srv-name=blue').remarks).toEqual([
      '--discovery-srv-name has no meaning without --discovery-srv',
    ])
  })
})

describe('--initial-cluster and --initial-advertise-peer-urls', () => {
  const NAMED = ['--name=a', '--initial-cluster=a=http://a.example:2380,b=http://b.example:2380']
  const BY_ADDRESS = '--initial-advertise-peer-urls=http://10.0.0.1:2380'
  const settleNamed = (zone: Zone): Promise<ServerConfig> =>
    settleBeginning(configOf(...NAMED, BY_ADDRESS), { dns: dnsOf(zone), log, signal })

  test('may say the same with a name and an address', async () => {
    const { member } = await settleNamed({ addresses: { 'a.example': '10.0.0.1' } })
    expect(member.peerUrls).toEqual(['http://a.example:2380'])
  })

  test.each([{ addresses: { 'a.example': '10.0.0.9' } }, {}])(
    'but not where the name is of another place, or unknown: %j',
    async (zone) => {
      await expect(settleNamed(zone)).rejects.toThrow(
        '--initial-cluster has a=http://a.example:2380, and --initial-advertise-peer-urls=http://10.0.0.1:2380: ',
      )
    },
  )
})

describe('a name server', () => {
  test('is asked for both services, and three members that know only the domain become a cluster', async () => {
    const [p0 = 0, p1 = 0, p2 = 0, ...clientPorts] = await freePorts(6)
    const peers: Service[] = [p0, p1, p2].map((port) => ({ host: 'localhost', port }))
    await using server = await startDnsServer({ [PLAIN]: peers })
    const resolver = new Resolver()
    resolver.setServers([server.address])
    const dns = systemDns(resolver)
    const directory = await mkdtemp(join(tmpdir(), 'coracle-test-'))
    onTestFinished(() => rm(directory, { recursive: true, force: true }))
    const started = await Promise.all(
      peers.map(async ({ port }, i) => {
        const asked = configOf(
          `--name=m${i}`,
          `--data-dir=${join(directory, String(i))}`,
          '--discovery-srv=example.com',
          `--initial-advertise-peer-urls=http://127.0.0.1:${port}`,
          `--listen-peer-urls=http://127.0.0.1:${port}`,
          `--listen-client-urls=http://127.0.0.1:${clientPorts[i]}`,
        )
        const config = await settleBeginning(asked, { dns, log, signal })
        const transport = tcpTransport({
          id: config.member.nodeId,
          cluster: config.clusterId.toString(16),
          listen: config.listenPeers,
        })
        const storage = memoryStorage()
        const member = await startServer(config, { storage, transport, log })
        onTestFinished(async () => {
          for (const part of [member, transport, storage]) await part[Symbol.asyncDispose]()
        })
        return member
      }),
    )
    expect(await Promise.all(started.map(({ ready }) => ready))).toEqual([true, true, true])
    using client = memberClient(`127.0.0.1:${clientPorts[2]}`)
    await client.put('found', 'by DNS')
    expect(new Set(server.asked)).toEqual(new Set([SSL, PLAIN]))
  })

  test('that fails is no server without records', async () => {
    await using server = await startDnsServer({ [SSL]: 'broken', [PLAIN]: [] })
    const resolver = new Resolver({ timeout: 1_000, tries: 1 })
    resolver.setServers([server.address])
    const dns = systemDns(resolver)
    expect(await dns.servicesOf('_etcd-server._tcp.nowhere.example')).toEqual([])
    expect(await dns.servicesOf(PLAIN)).toEqual([])
    await expect(dns.servicesOf(SSL)).rejects.toThrow('ESERVFAIL')
  })
})

test('a member that has run needs no records any more', async () => {
  await using cluster = await startCluster({ size: 1 })
  const [member] = cluster.members as [TestMember]
  await member.client.put('still', 'here')
  await member.kill()
  await member.restart({ flags: ['--initial-cluster=', '--discovery-srv=gone.invalid'] })
  expect(await member.client.list('still')).toEqual(new Map([['still', 'here']]))
})
