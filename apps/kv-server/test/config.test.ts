import { describe, expect, test } from 'vitest'
import { loadAuthToken } from '../src/auth-token.ts'
import { resolveConfig, type ServerConfig } from '../src/config.ts'
import { parseCommandLine } from '../src/flags.ts'

function configOf(...args: string[]): ServerConfig {
  const line = parseCommandLine(args, {})
  if (line.type !== 'run') throw new Error(line.type)
  return resolveConfig(line.settings)
}

const THREE =
  'infra0=http://10.0.1.10:2380,infra1=http://10.0.1.11:2380,infra2=http://10.0.1.12:2380'

const INFRA0 = [
  '--name=infra0',
  '--initial-advertise-peer-urls=http://10.0.1.10:2380',
  '--listen-peer-urls=http://10.0.1.10:2380',
  '--listen-client-urls=http://10.0.1.10:2379,http://127.0.0.1:2379',
  '--advertise-client-urls=http://10.0.1.10:2379',
  '--initial-cluster-token=etcd-cluster-1',
  `--initial-cluster=${THREE}`,
]

describe('what flags mean together', () => {
  test("the static bootstrap of etcd's guide", () => {
    const config = configOf(...INFRA0)
    expect(config).toMatchObject({
      name: 'infra0',
      dataDir: 'infra0.coracle',
      listenClients: [
        { host: '10.0.1.10', port: 2379, isSecure: false },
        { host: '127.0.0.1', port: 2379, isSecure: false },
      ],
      listenPeers: [{ host: '10.0.1.10', port: 2380 }],
      advertiseClientUrls: ['http://10.0.1.10:2379'],
      isNewCluster: true,
      fsync: true,
      quotaBackendBytes: 2 * 1024 ** 3,
    })
    expect(config.initialMembers.map(({ name }) => name)).toEqual(['infra0', 'infra1', 'infra2'])
    expect(config.member.name).toBe('infra0')
  })

  test('without flags a member is a cluster of its own on the loopback, with the id etcd gives it', () => {
    const config = configOf()
    expect(config.member.nodeId).toBe('8e9e05c52164694d')
    expect(config.clusterId.toString(16)).toBe('cdf818194e3a8c32')
    expect(config.listenClients).toEqual([{ host: '127.0.0.1', port: 2379, isSecure: false }])
    expect(config.advertiseClientUrls).toEqual(['http://localhost:2379'])
  })

  test('HTTP is open to all, and has no port of its own, unless flags say so', () => {
    expect(configOf()).toMatchObject({
      listenMetrics: [],
      jsonGateway: true,
      corsOrigins: ['*'],
      hostWhitelist: ['*'],
    })
    const config = configOf(
      '--listen-metrics-urls=http://127.0.0.1:2381',
      '--enable-grpc-gateway=false',
      '--cors=https://a.example, https://b.example',
      '--host-whitelist=localhost',
    )
    expect(config).toMatchObject({
      listenMetrics: [{ host: '127.0.0.1', port: 2381, isSecure: false }],
      jsonGateway: false,
      corsOrigins: ['https://a.example', 'https://b.example'],
      hostWhitelist: ['localhost'],
    })
  })

  test('nothing is not the name of an origin or a host, and 0 entries are the default, as in etcd', () => {
    expect(configOf('--cors=', '--host-whitelist=', '--snapshot-count=0')).toMatchObject({
      corsOrigins: [],
      hostWhitelist: [],
      snapshotEntries: 10_000,
    })
  })

  test('what is said of TLS where there is none is told to be idle', () => {
    expect(configOf('--trusted-ca-file=ca', '--client-crl-file=crl').remarks).toEqual([
      'TLS for clients: no URL to listen on is one of https, so --trusted-ca-file, --client-crl-file: ignored',
    ])
    expect(configOf('--peer-cert-allowed-cn=member').remarks).toEqual([
      'TLS for members: no URL to listen on is one of https, so --peer-cert-allowed-cn: for calling only',
    ])
    expect(configOf().remarks).toEqual([])
  })

  test('every URL to listen on counts, once, and sockets are among them', () => {
    const config = configOf(
      '--listen-peer-urls=http://10.0.1.10:2380,http://[::1]:2380,unix://localhost:2380',
      '--listen-client-urls=http://10.0.1.10:2379,unix:///run/coracle.sock',
      '--listen-client-http-urls=http://127.0.0.1:1,http://127.0.0.1:2,http://127.0.0.1:1',
      '--listen-metrics-urls=unix:///run/metrics.sock, http://127.0.0.1:3',
      '--advertise-client-urls=http://a.example:2379,http://b.example:2379',
    )
    const isSecure = false
    expect(config).toMatchObject({
      listenPeers: [
        { host: '10.0.1.10', port: 2380, isSecure },
        { host: '::1', port: 2380, isSecure },
        { path: 'localhost:2380', isSecure },
      ],
      listenClients: [
        { host: '10.0.1.10', port: 2379, isSecure },
        { path: '/run/coracle.sock', isSecure },
      ],
      listenHttp: [{ port: 1 }, { port: 2 }],
      listenMetrics: [{ path: '/run/metrics.sock' }, { port: 3 }],
      advertiseClientUrls: ['http://a.example:2379', 'http://b.example:2379'],
    })
  })

  test('how long calls take is measured if that is asked for', () => {
    expect(configOf().metricsDetail).toBe('basic')
    expect(configOf('--metrics=extensive').metricsDetail).toBe('extensive')
    expect(() => configOf('--metrics=all')).toThrow('must be basic or extensive')
  })

  test('another token is another cluster, and other members', () => {
    const one = configOf(...INFRA0)
    const other = configOf(...INFRA0, '--initial-cluster-token=etcd-cluster-2')
    expect(other.clusterId).not.toBe(one.clusterId)
    expect(other.member.id).not.toBe(one.member.id)
  })

  test('the order of members in --initial-cluster means nothing', () => {
    const turned = THREE.split(',').reverse().join(',')
    const config = configOf(...INFRA0, `--initial-cluster=${turned}`)
    expect(config.clusterId).toBe(configOf(...INFRA0).clusterId)
  })

  test('a member may have several peer URLs, one item of --initial-cluster for each', () => {
    const config = configOf(
      '--name=m',
      '--initial-advertise-peer-urls=http://10.0.0.1:2380,http://10.0.1.1:2380',
      '--initial-cluster=m=http://10.0.1.1:2380,m=http://10.0.0.1:2380',
    )
    expect(config.member.peerUrls).toEqual(['http://10.0.0.1:2380', 'http://10.0.1.1:2380'])
  })

  test('IPv6 addresses stand in brackets', () => {
    const config = configOf('--listen-client-urls=http://[::1]:2379')
    expect(config.listenClients).toEqual([{ host: '::1', port: 2379, isSecure: false }])
  })
})

describe('how much history is kept', () => {
  test.each([
    [[], { mode: 'periodic', retentionMs: 3_600_000 }],
    [['--auto-compaction-retention=0'], null],
    [['--auto-compaction-retention=0s'], null],
    [['--auto-compaction-retention=5m'], { mode: 'periodic', retentionMs: 300_000 }],
    [['--auto-compaction-retention=2'], { mode: 'periodic', retentionMs: 7_200_000 }],
    [['--auto-compaction-mode=revision'], null],
    [
      ['--auto-compaction-mode=revision', '--auto-compaction-retention=1000'],
      { mode: 'revision', retention: 1_000 },
    ],
  ])('%j: %j', (args, policy) => {
    expect(configOf(...args).autoCompaction).toEqual(policy)
  })

  test.each([
    ['--auto-compaction-retention=soon'],
    ['--auto-compaction-retention=1ms'],
    ['--auto-compaction-mode=revision', '--auto-compaction-retention=1h'],
  ])('%s: no', (...args) => {
    expect(() => configOf(...args)).toThrow(/^--auto-compaction-retention must be /)
  })
})

describe('what contradicts itself is refused with one clear line', () => {
  test.each([
    [['--name', 'x', `--initial-cluster=${THREE}`], `couldn't find local name "x"`],
    [
      ['--name', 'infra0', `--initial-cluster=${THREE}`],
      '--initial-cluster has infra0=http://10.0.1.10:2380 but missing from --initial-advertise-peer-urls=http://localhost:2380',
    ],
    [['--election-timeout=499'], '--election-timeout[499ms] should be at least as 5 times'],
    [['--heartbeat-interval=201'], 'at least as 5 times as --heartbeat-interval[201ms]'],
    [['--initial-cluster', 'default'], "must be name=url,..., not 'default'"],
    [['--initial-cluster', 'default=localhost:2380'], '--initial-cluster needs URLs'],
    [
      ['--initial-cluster', 'default=http://localhost:2380,b=http://localhost:2380'],
      'duplicate URLs: http://localhost:2380',
    ],
    [['--listen-client-urls', 'localhost:2379'], '--listen-client-urls needs URLs of the form'],
    [['--listen-client-urls', 'http://localhost'], '--listen-client-urls needs URLs of the form'],
    [['--listen-client-urls', 'http://localhost:99999'], 'needs URLs of the form'],
    [['--listen-client-urls', 'http://example.com:2379'], 'expected IP in URL for binding'],
    [['--listen-client-urls', 'https://localhost:2379'], 'TLS key/cert (--cert-file, --key-file)'],
    [['--listen-client-urls', 'ftp://localhost:2379'], '--listen-client-urls needs URLs of the'],
    [['--listen-client-urls', 'unix://'], '--listen-client-urls needs URLs of the form'],
    [['--listen-client-urls', `unix:///${'x'.repeat(103)}`], 'paths of at most 103 bytes'],
    [['--listen-client-urls', 'unixs:///run/s'], 'TLS key/cert (--cert-file, --key-file)'],
    [['--listen-peer-urls', 'unixs:///run/s'], 'TLS key/cert (--peer-cert-file, --peer-key-file)'],
    [['--listen-peer-urls='], '--listen-peer-urls needs URLs of the form'],
    [
      ['--listen-client-urls=http://127.0.0.1:1,https://localhost:1'],
      '--listen-client-urls=http://127.0.0.1:1 and --listen-client-urls=https://localhost:1 are the same place',
    ],
    [
      ['--listen-metrics-urls=http://127.0.0.1:2379'],
      '--listen-metrics-urls=http://127.0.0.1:2379 are the same place',
    ],
    [['--listen-client-urls', 'http://0.0.0.0:2379'], '--advertise-client-urls is required'],
    [['--name='], '--name must not be empty'],
  ])('%j', (args, message) => {
    expect(() => configOf(...args)).toThrow(message)
  })
})

describe('--auth-token', () => {
  test('that names a key which is not there says which', async () => {
    const { authToken } = configOf('--auth-token=jwt,sign-method=RS256,priv-key=/no/such.key')
    await expect(loadAuthToken(authToken)).rejects.toThrow(
      '--auth-token names the key /no/such.key, which cannot be read',
    )
  })

  test('is simple unless it is jwt, with what etcd takes', () => {
    expect(configOf()).toMatchObject({
      authToken: { type: 'simple' },
      authTokenTtlMs: 300_000,
      bcryptCost: 10,
    })
    const jwt = 'jwt,pub-key=app.rsa.pub,priv-key=app.rsa,sign-method=RS512,ttl=10m'
    expect(configOf(`--auth-token=${jwt}`, '--auth-token-ttl=60', '--bcrypt-cost=4')).toMatchObject(
      {
        authToken: {
          type: 'jwt',
          method: 'RS512',
          publicKeyFile: 'app.rsa.pub',
          privateKeyFile: 'app.rsa',
          ttlMs: 600_000,
        },
        authTokenTtlMs: 60_000,
        bcryptCost: 4,
      },
    )
    expect(configOf('--auth-token=jwt,pub-key=k,sign-method=EdDSA').authToken).toMatchObject({
      privateKeyFile: null,
      ttlMs: 300_000,
    })
  })

  test.each([
    ['none', /must be simple or jwt/],
    ['simple,ttl=5m', /must be simple or jwt/],
    ['jwt', /sign-method/],
    ['jwt,sign-method=none,pub-key=k', /sign-method, one of RS256, /],
    ['jwt,sign-method=RS256', /pub-key, a priv-key, or both/],
    ['jwt,sign-method=RS256,pub-key=', /with a value, not 'pub-key='/],
    ['jwt,sign-method=RS256,pub-key=k,key=k', /with a value, not 'key=k'/],
    ['jwt,sign-method=RS256,pub-key=k,ttl=now', /ttl/],
    ['jwt,sign-method=RS256,pub-key=k,pub-key=l', /twice/],
  ])('%s makes no sense', (text, reason) => {
    expect(() => configOf(`--auth-token=${text}`)).toThrow(reason)
  })
})
