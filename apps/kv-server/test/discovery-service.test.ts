/** Founders meet at another cluster, as those of etcd do: its v3 discovery service. */
import { Writable } from 'node:stream'
import { type EtcdServer, startServer as startEtcd } from '@coracle/etcd-api'
import { memoryStorage } from '@coracle/storage-memory'
import { tcpTransport } from '@coracle/transport-tcp'
import { Etcd3, Range } from 'etcd3'
import { describe, expect, onTestFinished, test } from 'vitest'
import { memberClient } from '../src/client.ts'
import { resolveConfig, type ServerConfig } from '../src/config.ts'
import type { Dns } from '../src/discovery/dns.ts'
import { settleBeginning } from '../src/discovery/settle.ts'
import { parseCommandLine } from '../src/flags.ts'
import { createLog } from '../src/log.ts'
import { freePorts } from '../src/processes/index.ts'
import { startServer } from '../src/server.ts'
import { Authority } from './authority.ts'
import { createCluster, startCluster, type TestMember } from './members.ts'

const TOKEN = '8A591FAB-1D72-41FA-BDF2-A27162FDA1E0'
const DIRECTORY = `/_etcd/registry/${TOKEN}`
const NO_DNS: Dns = {
  servicesOf: () => Promise.reject(new Error('nobody asks DNS')),
  addressesOf: () => Promise.reject(new Error('nobody asks DNS')),
}

function configOf(args: readonly string[], isInitialized = false): ServerConfig {
  const line = parseCommandLine(args, {})
  if (line.type !== 'run') throw new Error(line.type)
  return resolveConfig(line.settings, { isInitialized })
}

/** The cluster at which founders meet; gone when the test ends. */
async function startRegistry(size?: string): Promise<EtcdServer> {
  const server = await startEtcd({ listen: ['127.0.0.1:0'] })
  onTestFinished(() => server[Symbol.asyncDispose]())
  if (size !== undefined) await server.client.put(`${DIRECTORY}/_config/size`, size)
  return server
}

async function registered({ client }: EtcdServer): Promise<Record<string, string>> {
  const { pairs } = await client.range({ prefix: `${DIRECTORY}/members/` })
  return Object.fromEntries(pairs.map(({ keyText, text }) => [keyText, text]))
}

function at(endpoints: string): readonly string[] {
  return [`--discovery-token=${TOKEN}`, `--discovery-endpoints=${endpoints}`]
}

interface Line {
  readonly msg: string
  readonly [field: string]: unknown
}

/** A member that looks for the others, and what it logs meanwhile. */
class Founder {
  readonly lines: Line[] = []
  readonly settled: Promise<ServerConfig>
  readonly #controller = new AbortController()
  readonly #listeners = new Set<() => void>()

  constructor(args: readonly string[]) {
    const log = createLog(
      'info',
      new Writable({
        write: (chunk: Buffer, _encoding, done) => {
          this.lines.push(JSON.parse(chunk.toString()) as Line)
          for (const listener of this.#listeners) listener()
          done()
        },
      }),
    )
    const { signal } = this.#controller
    this.settled = settleBeginning(configOf(args), { dns: NO_DNS, log, signal })
    // Whoever waits for a line sees the failure when the test asks for the outcome.
    this.settled.catch(() => {})
    onTestFinished(() => this.stop())
  }

  stop(reason?: Error): void {
    this.#controller.abort(reason)
  }

  get messages(): readonly string[] {
    return this.lines.map(({ msg }) => msg)
  }

  /** Rejects if the member is through with it before. */
  async logged(message: string): Promise<Line> {
    const found = new Promise<Line>((resolve) => {
      const look = (): void => {
        const line = this.lines.find(({ msg }) => msg === message)
        if (line !== undefined) resolve(line)
      }
      this.#listeners.add(look)
      look()
    })
    const missed = this.settled.then(() => {
      throw new Error(`settled without '${message}': ${this.messages.join('; ')}`)
    })
    return await Promise.race([found, missed])
  }
}

function founder(name: string, port: number, endpoints: string, ...more: string[]): Founder {
  return new Founder([
    `--name=${name}`,
    `--initial-advertise-peer-urls=http://127.0.0.1:${port}`,
    ...at(endpoints),
    ...more,
  ])
}

describe('a discovery service', () => {
  test('brings three members together, who tell how far they are; the fourth is refused', async () => {
    const registry = await startRegistry('3')
    const [place = ''] = registry.addresses
    const ports = await freePorts(6)
    const first = founder('a', ports[0] as number, `http://${place}`)
    await first.logged('found 1 of 3 members')
    const second = founder('b', ports[1] as number, place)
    await first.logged('found 2 of 3 members')
    const third = founder('c', ports[2] as number, `http://${place}/`)
    const found = await Promise.all([first, second, third].map(({ settled }) => settled))
    expect(first.messages).toEqual([
      'found 1 of 3 members',
      'found 2 of 3 members',
      'found 3 of 3 members',
    ])
    // The very cluster that etcd founds: its token is that of the discovery.
    const same = configOf([
      '--name=a',
      `--initial-cluster-token=${TOKEN}`,
      `--initial-advertise-peer-urls=http://127.0.0.1:${ports[0]}`,
      `--initial-cluster=${['a', 'b', 'c'].map((name, i) => `${name}=http://127.0.0.1:${ports[i]}`).join(',')}`,
    ])
    for (const { clusterId, initialMembers } of found)
      expect({ clusterId, initialMembers }).toEqual({
        clusterId: same.clusterId,
        initialMembers: same.initialMembers,
      })
    const members = await registered(registry)
    expect(members).toEqual(
      Object.fromEntries(
        found.map(({ member }) => [
          `${DIRECTORY}/members/${member.nodeId}`,
          `${member.name}=${member.peerUrls[0]}`,
        ]),
      ),
    )

    const started = await Promise.all(
      found.map(async (config, i) => {
        const id = config.member.nodeId
        const listen = { host: '127.0.0.1', port: ports[i] as number }
        const cluster = config.clusterId.toString(16)
        const transport = tcpTransport({ id, cluster, listen: [listen] })
        const storage = memoryStorage()
        const clients = [{ host: '127.0.0.1', port: ports[3 + i] as number, isSecure: false }]
        const log = createLog('fatal', new Writable({ write: (_chunk, _encoding, done) => done() }))
        const parts = { storage, transport, log }
        const member = await startServer({ ...config, listenClients: clients }, parts)
        onTestFinished(async () => {
          for (const part of [member, transport, storage]) await part[Symbol.asyncDispose]()
        })
        return member
      }),
    )
    expect(await Promise.all(started.map(({ ready }) => ready))).toEqual([true, true, true])
    using client = memberClient(`127.0.0.1:${ports[5]}`)
    await client.put('found', 'by discovery')

    await expect(founder('d', 1, place).settled).rejects.toThrow(
      /^failed to join discovery cluster \(discovery: cluster is full\): 3 members had registered at /,
    )
    expect(await registered(registry)).toEqual(members)
  })

  test('takes the first by the time at which they came, whoever registered with what id', async () => {
    const registry = await startRegistry('2')
    const [place = ''] = registry.addresses
    // In the order of keys, this one comes last.
    await registry.client.put(`${DIRECTORY}/members/zzz`, 'first=http://10.0.0.1:2380')
    const second = founder('second', 2380, place)
    const { initialMembers } = await second.settled
    expect(initialMembers.map(({ name }) => name)).toEqual(['first', 'second'])
    await registry.client.put(`${DIRECTORY}/members/000`, 'late=http://10.0.0.3:2380')
    const again = founder('second', 2380, place)
    expect((await again.settled).initialMembers).toEqual(initialMembers)
  })

  test('knows a member again that was stopped while it waited, and no other in its place', async () => {
    const registry = await startRegistry('2')
    const [place = ''] = registry.addresses
    const stopped = founder('a', 2380, place)
    await stopped.logged('found 1 of 2 members')
    const reason = new Error('told to stop')
    stopped.stop(reason)
    await expect(stopped.settled).rejects.toBe(reason)
    await expect(founder('other', 2380, place).settled).rejects.toThrow(
      /\(discovery: duplicate member\): .* is a=http:\/\/127\.0\.0\.1:2380, and this member is other=/,
    )
    const again = founder('a', 2380, place)
    const { settled } = founder('b', 2381, place)
    expect((await again.settled).clusterId).toBe((await settled).clusterId)
  })

  test.each([
    [undefined, /\(discovery: size key not found\): put the number of members at \/_etcd/],
    ['three', /\(discovery: size key is bad\): .*, not 'three'$/],
    ['0', /\(discovery: size key is bad\)/],
  ])('with %j for its size is of no use', async (size, why) => {
    const registry = await startRegistry(size)
    await expect(founder('a', 2380, registry.addresses[0] as string).settled).rejects.toThrow(why)
    expect(await registered(registry)).toEqual({})
  })

  test.each([
    ['a=http://10.0.0.1:2380', /\(discovery: duplicate member name\): members are a=http:/],
    ['b=nonsense', /\(discovery: invalid peer URL\): members are b=nonsense,a=http:/],
    ['b=http://127.0.0.1:2380', /\(discovery: invalid peer URL\)/],
  ])('where somebody else registered as %j founds nothing', async (value, why) => {
    const registry = await startRegistry('2')
    await registry.client.put(`${DIRECTORY}/members/1`, value)
    await expect(founder('a', 2380, registry.addresses[0] as string).settled).rejects.toThrow(why)
  })

  test('does not count what is no member', async () => {
    const registry = await startRegistry('1')
    await registry.client.put(`${DIRECTORY}/members/1`, 'nonsense')
    const { initialMembers } = await founder('a', 2380, registry.addresses[0] as string).settled
    expect(initialMembers.map(({ name }) => name)).toEqual(['a'])
  })

  test('is asked for again and again where nobody answers, until the member is to stop', async () => {
    const [port = 0] = await freePorts(1)
    const waiting = founder('a', 2380, `127.0.0.1:${port}`)
    const line = await waiting.logged('retry connecting to discovery service')
    expect(line).toMatchObject({
      endpoint: `127.0.0.1:${port}`,
      error: expect.stringContaining('ECONNREFUSED'),
      'backoff-ms': 500,
    })
    const reason = new Error('told to stop')
    waiting.stop(reason)
    await expect(waiting.settled).rejects.toBe(reason)
  })

  test('is found at another endpoint, without a wait, when one does not answer', async () => {
    const [port = 0] = await freePorts(1)
    const registry = await startRegistry('1')
    const looking = founder('a', 2380, `127.0.0.1:${port},${registry.addresses[0]}`)
    await looking.settled
    expect(looking.lines[0]).toMatchObject({ endpoint: `127.0.0.1:${port}`, 'backoff-ms': 0 })
  })

  test('may know users: it refuses those whose password is wrong, or who may not register', async () => {
    const registry = await startRegistry('1')
    const [place = ''] = registry.addresses
    const etcd = new Etcd3({ hosts: `http://${place}` })
    onTestFinished(() => etcd.close())
    await etcd.role('root').create()
    await etcd.user('root').create('secret')
    await etcd.user('root').addRole('root')
    await etcd.role('reader').create()
    const range = Range.prefix(DIRECTORY)
    await etcd.role('reader').grant({ permission: 'Read', range })
    await etcd.user('reader').create('readme')
    await etcd.user('reader').addRole('reader')
    await etcd.auth.authEnable()
    const as = (name: string, password: string): Promise<ServerConfig> =>
      founder('a', 2380, place, `--discovery-user=${name}`, `--discovery-password=${password}`)
        .settled
    await expect(as('root', 'wrong')).rejects.toThrow(/authentication failed/)
    await expect(as('reader', 'readme')).rejects.toThrow(/permission denied/)
    await expect(founder('a', 2380, place).settled).rejects.toThrow(/user name is empty/)
    expect((await as('root', 'secret')).initialMembers).toHaveLength(1)
  })

  test('without users is asked by anybody', async () => {
    const registry = await startRegistry('1')
    const place = registry.addresses[0] as string
    const asUser = founder('a', 2380, place, '--discovery-user=u', '--discovery-password=p')
    expect((await asUser.settled).initialMembers).toHaveLength(1)
  })

  test('may be one of TLS, with certificates of clients', async () => {
    using authority = new Authority()
    const server = authority.issue({})
    const client = authority.issue({ commonName: 'client', hosts: [] })
    await using cluster = await startCluster({
      size: 1,
      secure: { clients: true },
      flags: [
        `--cert-file=${server.certFile}`,
        `--key-file=${server.keyFile}`,
        `--trusted-ca-file=${authority.caFile}`,
      ],
      options: () => ({ tls: { ca: authority.ca, cert: client.cert, key: client.key } }),
    })
    const [registry] = cluster.members as [TestMember]
    await registry.client.put(`${DIRECTORY}/_config/size`, '1')
    const pair = [`--discovery-cert=${client.certFile}`, `--discovery-key=${client.keyFile}`]
    const trusting = [...pair, `--discovery-cacert=${authority.caFile}`]
    const { settled } = founder('a', 2380, registry.address, ...trusting)
    expect((await settled).initialMembers).toHaveLength(1)
    const any = [...pair, '--discovery-insecure-skip-tls-verify']
    await founder('a', 2380, `https://${registry.address}`, ...any).settled
    const distrusting = founder('a', 2380, `https://${registry.address}`, ...pair)
    await distrusting.logged('retry connecting to discovery service')
    const missing = founder('a', 2380, registry.address, '--discovery-cacert=/nowhere.pem')
    await expect(missing.settled).rejects.toThrow('/nowhere.pem cannot be read')
  })
})

describe('a member as a process', () => {
  test('asks nobody once it has data: the discovery service may be gone', async () => {
    const registry = await startEtcd({ listen: ['127.0.0.1:0'] })
    await registry.client.put(`${DIRECTORY}/_config/size`, '1')
    const flags = ['--initial-cluster=', ...at(registry.addresses[0] as string)]
    await using cluster = await createCluster({ size: 1, flags })
    const [member] = cluster.members as [TestMember]
    await member.process.ready
    await member.client.put('still', 'here')
    await registry[Symbol.asyncDispose]()
    await member.kill()
    await member.restart()
    expect(await member.client.list('still')).toEqual(new Map([['still', 'here']]))
    await member.kill()
    await member.restart({ flags: ['--discovery-token=', '--discovery-endpoints='] })
    expect(await member.client.list('still')).toEqual(new Map([['still', 'here']]))
  })

  test('stops when it is told to while it waits for the others', async () => {
    const registry = await startRegistry('2')
    const flags = ['--initial-cluster=', ...at(registry.addresses[0] as string)]
    await using cluster = await createCluster({ size: 1, flags })
    const [member] = cluster.members as [TestMember]
    const failed = member.process.ready.catch((error: unknown) => error)
    await member.logged(({ text }) => text.includes('found 1 of 2 members'))
    member.process.kill('SIGTERM')
    expect(await member.process.exited).toMatchObject({ code: 0 })
    await failed
  })
})

describe('flags of discovery', () => {
  const SERVICE = at('http://10.0.0.9:2379')

  test.each([
    [['--discovery-token=x'], 'both --discovery-token and --discovery-endpoints must be set'],
    [['--discovery-endpoints=a:1'], 'both --discovery-token and --discovery-endpoints must be set'],
    [
      [...SERVICE, '--initial-cluster=default=http://localhost:2380'],
      'multiple discovery or bootstrap flags are set. Choose one of "initial-cluster", "discovery-endpoints" or "discovery-srv"',
    ],
    [[...SERVICE, '--discovery-srv=example.com'], 'multiple discovery or bootstrap flags are set'],
    [
      [...SERVICE, '--initial-cluster-state=existing'],
      'discovery URL should not be set when joining existing initial cluster',
    ],
    [
      [...SERVICE, '--discovery-cert=c'],
      'KeyFile and CertFile must both be present[key: , cert: c]',
    ],
    [
      at('ftp://a:1'),
      "--discovery-endpoints needs URLs of the form http://host:port or unix://path, not 'ftp://a:1'",
    ],
    [at('localhost'), '--discovery-endpoints needs URLs of the form '],
  ])('%j make no sense', (args, why) => {
    expect(() => configOf(args)).toThrow(why)
  })

  test('have the defaults of etcd', () => {
    expect(configOf(SERVICE).discovery).toEqual({
      token: TOKEN,
      endpoints: [{ address: '10.0.0.9:2379', isSecure: false }],
      dialTimeoutMs: 2_000,
      requestTimeoutMs: 5_000,
      keepaliveMs: 2_000,
      keepaliveTimeoutMs: 6_000,
      certificate: null,
      trustedCaFile: null,
      verifiesCertificates: true,
      user: null,
    })
  })

  test('want TLS where the scheme says so, and else where they speak of it', () => {
    const endpoints = 'http://a:1,https://b:2,c:3,unix:///d.sock,unixs:///e.sock,[::1]:4'
    const secure = (...args: string[]): readonly string[] =>
      configOf([...at(endpoints), ...args])
        .discovery!.endpoints.filter(({ isSecure }) => isSecure)
        .map(({ address }) => address)
    expect(secure()).toEqual(['b:2', 'unix:/e.sock'])
    const all = ['b:2', 'c:3', 'unix:/e.sock', '[::1]:4']
    expect(secure('--discovery-insecure-transport=false')).toEqual(all)
    expect(secure('--discovery-cacert=ca')).toEqual(all)
  })

  test('that change nothing are told', () => {
    expect(configOf(['--discovery-user=u', '--discovery-cacert=ca']).remarks).toEqual([
      '--discovery-cacert has no meaning without --discovery-endpoints',
      '--discovery-user has no meaning without --discovery-endpoints',
    ])
    expect(configOf([...SERVICE, '--discovery-user=u']).remarks).toEqual([
      '--discovery-user and --discovery-password have no meaning without each other',
    ])
    expect(configOf([...SERVICE, '--initial-cluster-state=existing'], true).remarks).toEqual([
      expect.stringContaining('discovery token is ignored since cluster already initialized'),
    ])
  })
})
