/** Command lines, variables and flags that people have for etcd are understood as they are. */
import { describe, expect, test } from 'vitest'
import { resolveConfig, type ServerConfig } from '../src/config.ts'
import { parseCommandLine } from '../src/flags.ts'

type Variables = Record<string, string>

function run(args: readonly string[], env: Variables = {}): { warnings: readonly string[] } {
  const line = parseCommandLine(args, env)
  if (line.type !== 'run') throw new Error(line.type)
  return line
}

function configOf(args: readonly string[], env: Variables = {}): ServerConfig {
  const line = parseCommandLine(args, env)
  if (line.type !== 'run') throw new Error(line.type)
  return resolveConfig(line.settings)
}

/** Every flag of etcd 3.6 and of what became 3.7, with a value that asks for something. */
const FLAGS_OF_ETCD: Readonly<Record<string, string>> = {
  name: 'm',
  'data-dir': '/data',
  'wal-dir': '/wal',
  'listen-client-urls': 'http://127.0.0.1:2379',
  'advertise-client-urls': 'http://127.0.0.1:2379',
  'listen-client-http-urls': 'http://127.0.0.1:2382',
  'listen-peer-urls': 'http://127.0.0.1:2380',
  'initial-advertise-peer-urls': 'http://127.0.0.1:2380',
  'initial-cluster': 'm=http://127.0.0.1:2380',
  'initial-cluster-state': 'new',
  'initial-cluster-token': 'token',
  'heartbeat-interval': '100',
  'election-timeout': '1000',
  'initial-election-tick-advance': 'true',
  'pre-vote': 'true',
  'strict-reconfig-check': 'true',
  'snapshot-count': '10000',
  'snapshot-catchup-entries': '5000',
  'max-wals': '5',
  'max-snapshots': '5',
  'quota-backend-bytes': '8589934592',
  'auto-compaction-mode': 'periodic',
  'auto-compaction-retention': '1h',
  'compaction-batch-limit': '1000',
  'compaction-sleep-interval': '10ms',
  'max-request-bytes': '1572864',
  'max-txn-ops': '128',
  'max-concurrent-streams': '1000',
  'max-learners': '1',
  'backend-batch-interval': '100ms',
  'backend-batch-limit': '10000',
  'backend-bbolt-freelist-type': 'map',
  'bootstrap-defrag-threshold-megabytes': '100',
  'grpc-keepalive-min-time': '5s',
  'grpc-keepalive-interval': '2h',
  'grpc-keepalive-timeout': '20s',
  'enable-grpc-gateway': 'true',
  'raft-read-timeout': '5s',
  'raft-write-timeout': '5s',
  'socket-reuse-port': 'true',
  'socket-reuse-address': 'true',
  'memory-mlock': 'true',
  'feature-gates': 'InitialCorruptCheck=true,StopGRPCServiceOnDefrag=false',
  'cert-file': '/c.pem',
  'key-file': '/c-key.pem',
  'trusted-ca-file': '/ca.pem',
  'client-cert-auth': 'true',
  'client-crl-file': '/crl.pem',
  'client-cert-allowed-hostname': 'a.example,b.example',
  'auto-tls': 'false',
  'client-cert-file': '/cc.pem',
  'client-key-file': '/cc-key.pem',
  'peer-cert-file': '/p.pem',
  'peer-key-file': '/p-key.pem',
  'peer-trusted-ca-file': '/pca.pem',
  'peer-client-cert-auth': 'true',
  'peer-cert-allowed-cn': 'member',
  'peer-cert-allowed-hostname': '',
  'peer-crl-file': '/pcrl.pem',
  'peer-auto-tls': 'false',
  'peer-skip-client-san-verification': 'true',
  'peer-client-cert-file': '/pc.pem',
  'peer-client-key-file': '/pc-key.pem',
  'tls-min-version': 'TLS1.2',
  'tls-max-version': 'TLS1.3',
  'cipher-suites': 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
  'self-signed-cert-validity': '1',
  cors: '*',
  'host-whitelist': '*',
  'auth-token': 'simple',
  'bcrypt-cost': '10',
  'auth-token-ttl': '300',
  'discovery-srv': '',
  'discovery-srv-name': '',
  'discovery-token': '',
  'discovery-endpoints': '',
  'discovery-dial-timeout': '2s',
  'discovery-request-timeout': '5s',
  'discovery-keepalive-time': '2s',
  'discovery-keepalive-timeout': '6s',
  'discovery-insecure-transport': 'true',
  'discovery-insecure-skip-tls-verify': 'false',
  'discovery-cert': '/d.pem',
  'discovery-key': '/d-key.pem',
  'discovery-cacert': '/dca.pem',
  'discovery-user': 'root',
  'discovery-password': 'secret',
  metrics: 'basic',
  'listen-metrics-urls': 'http://127.0.0.1:2381',
  'enable-pprof': 'true',
  'log-level': 'info',
  'log-outputs': 'default',
  'log-format': 'json',
  'enable-log-rotation': 'true',
  'log-rotation-config-json': '{"maxsize":100}',
  'warning-apply-duration': '100ms',
  'warning-unary-request-duration': '300ms',
  'enable-distributed-tracing': 'true',
  'distributed-tracing-address': 'localhost:4317',
  'distributed-tracing-service-name': 'etcd',
  'distributed-tracing-instance-id': 'x',
  'distributed-tracing-sampling-rate': '0',
  'corrupt-check-time': '1h',
  'compact-hash-check-time': '1m',
  'watch-progress-notify-interval': '10m',
  'downgrade-check-time': '5s',
  'force-new-cluster': 'false',
  'unsafe-no-fsync': 'false',
  'v2-deprecation': 'gone',
}

describe('every flag of etcd', () => {
  const given = Object.entries(FLAGS_OF_ETCD)

  test('is taken, by itself and with all the others', () => {
    for (const [name, value] of given) expect(run([`--${name}=${value}`])).toBeDefined()
    const config = configOf(given.map(([name, value]) => `--${name}=${value}`))
    expect(config).toMatchObject({ initialCorruptCheck: true, watchProgressIntervalMs: 600_000 })
  })

  test('is a variable, too', () => {
    const env = Object.fromEntries(
      given.map(([name, value]) => [`ETCD_${name.replaceAll('-', '_').toUpperCase()}`, value]),
    )
    const { warnings } = run([], env)
    expect(warnings.filter((line) => line.includes('unrecognized'))).toEqual([])
    expect(configOf([], env).name).toBe('m')
  })

  test('is said to have no meaning if it has none, in one line with the reason', () => {
    const { warnings } = run(['--max-wals=5', '--enable-pprof', '--name=m'], {
      ETCD_MEMORY_MLOCK: 'true',
    })
    expect(warnings).toEqual([
      expect.stringMatching(/^--max-wals has no meaning here: \w/),
      expect.stringMatching(/^ETCD_MEMORY_MLOCK has no meaning here: \w/),
      expect.stringMatching(/^--enable-pprof has no meaning here: \w/),
    ])
    expect(run(['--feature-gates=LeaseCheckpoint=true']).warnings).toEqual([
      'feature gate LeaseCheckpoint has no meaning here',
    ])
  })
})

describe('names of etcd 3.5 and before', () => {
  test('stand for the new ones, and say so', () => {
    const args = ['--experimental-watch-progress-notify-interval=5s']
    const env = { ETCD_EXPERIMENTAL_INITIAL_CORRUPT_CHECK: 'true' }
    expect(configOf(args, env)).toMatchObject({
      watchProgressIntervalMs: 5_000,
      initialCorruptCheck: true,
    })
    expect(run(args, env).warnings).toEqual([
      'ETCD_EXPERIMENTAL_INITIAL_CORRUPT_CHECK is an old name: use --initial-corrupt-check',
      '--experimental-watch-progress-notify-interval is an old name: use --watch-progress-notify-interval',
    ])
  })

  test('do not win over new ones', () => {
    const config = configOf(['--max-learners=3', '--experimental-max-learners=2'])
    expect(config.maxLearners).toBe(3)
  })
})

describe('what would be another cluster is refused rather than passed over', () => {
  test.each([['--discovery=https://discovery.etcd.io/x'], ['--proxy=on']])('%s', (flag) => {
    expect(() => run([flag])).toThrow(`${flag.split('=')[0]} is not supported: `)
  })

  test('but not what asks for nothing', () => {
    expect(run(['--proxy=off', '--discovery='], { ETCD_DISCOVERY_TOKEN: '' }).warnings).toEqual([])
    expect(run(['--discovery-fallback=exit']).warnings).toEqual([
      '--discovery-fallback has no meaning here: there is no v2 API here',
    ])
  })

  test.each([['Nonsense=true'], ['InitialCorruptCheck'], ['InitialCorruptCheck=perhaps']])(
    '--feature-gates=%s',
    (gates) => {
      expect(() => run([`--feature-gates=${gates}`])).toThrow(/must (name|say)/)
    },
  )
})

describe('what people run is understood unchanged', () => {
  const KUBEADM = [
    '--advertise-client-urls=https://10.0.0.5:2379',
    '--cert-file=/etc/kubernetes/pki/etcd/server.crt',
    '--client-cert-auth=true',
    '--data-dir=/var/lib/etcd',
    '--experimental-initial-corrupt-check=true',
    '--experimental-watch-progress-notify-interval=5s',
    '--feature-gates=InitialCorruptCheck=true',
    '--initial-advertise-peer-urls=https://10.0.0.5:2380',
    '--initial-cluster=node-a=https://10.0.0.5:2380',
    '--key-file=/etc/kubernetes/pki/etcd/server.key',
    '--listen-client-urls=https://127.0.0.1:2379,https://10.0.0.5:2379',
    '--listen-metrics-urls=http://127.0.0.1:2381',
    '--listen-peer-urls=https://10.0.0.5:2380',
    '--name=node-a',
    '--peer-cert-file=/etc/kubernetes/pki/etcd/peer.crt',
    '--peer-client-cert-auth=true',
    '--peer-key-file=/etc/kubernetes/pki/etcd/peer.key',
    '--peer-trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt',
    '--snapshot-count=10000',
    '--trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt',
    '--watch-progress-notify-interval=5s',
  ]

  test("kubeadm's static pod", () => {
    expect(configOf(KUBEADM)).toMatchObject({
      listenClients: [
        { host: '127.0.0.1', port: 2379, isSecure: true },
        { host: '10.0.0.5', port: 2379, isSecure: true },
      ],
      listenMetrics: [{ host: '127.0.0.1', port: 2381, isSecure: false }],
      listenPeers: [{ host: '10.0.0.5', port: 2380, isSecure: true }],
      clientTls: { requiresCertificate: true, trustedCaFile: '/etc/kubernetes/pki/etcd/ca.crt' },
      peerTls: { requiresCertificate: true, certFile: '/etc/kubernetes/pki/etcd/peer.crt' },
      clientCertAuth: true,
      initialCorruptCheck: true,
      watchProgressIntervalMs: 5_000,
      snapshotEntries: 10_000,
      remarks: [],
    })
  })

  test('the variables of containers', () => {
    const env = {
      ETCD_NAME: 'etcd-0',
      ETCD_DATA_DIR: '/bitnami/etcd/data',
      ETCD_LISTEN_CLIENT_URLS: 'http://0.0.0.0:2379',
      ETCD_ADVERTISE_CLIENT_URLS: 'http://etcd-0.etcd:2379',
      ETCD_LISTEN_PEER_URLS: 'http://0.0.0.0:2380',
      ETCD_INITIAL_ADVERTISE_PEER_URLS: 'http://etcd-0.etcd:2380',
      ETCD_INITIAL_CLUSTER: 'etcd-0=http://etcd-0.etcd:2380,etcd-1=http://etcd-1.etcd:2380',
      ETCD_INITIAL_CLUSTER_STATE: 'new',
      ETCD_INITIAL_CLUSTER_TOKEN: 'etcd-cluster-k8s',
      ETCD_AUTO_COMPACTION_RETENTION: '1',
      ETCD_QUOTA_BACKEND_BYTES: '4294967296',
      ETCD_UNSUPPORTED_ARCH: 'arm64',
    }
    expect(configOf([], env)).toMatchObject({
      name: 'etcd-0',
      advertiseClientUrls: ['http://etcd-0.etcd:2379'],
      quotaBackendBytes: 4_294_967_296,
      autoCompaction: { mode: 'periodic', retentionMs: 3_600_000 },
    })
    expect(run([], env).warnings).toEqual([])
  })

  test('a unit of systemd, with flags in quotes gone and ports of old', () => {
    const config = configOf([
      '--name',
      'infra0',
      '--data-dir',
      '/var/lib/etcd/default.etcd',
      '--advertise-client-urls',
      'http://10.0.0.5:2379,http://10.0.0.5:4001',
      '--listen-client-urls',
      'http://0.0.0.0:2379,http://0.0.0.0:4001',
      '--initial-advertise-peer-urls',
      'http://10.0.0.5:2380',
      '--listen-peer-urls',
      'http://10.0.0.5:2380',
      '--initial-cluster',
      'infra0=http://10.0.0.5:2380',
      '--initial-cluster-state',
      'new',
      '--enable-v2',
      '--logger=zap',
    ])
    expect(config.listenClients).toMatchObject([{ port: 2379 }, { port: 4001 }])
  })
})
