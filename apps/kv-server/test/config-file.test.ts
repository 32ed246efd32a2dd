import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { resolveConfig, type ServerConfig } from '../src/config.ts'
import { parseCommandLine } from '../src/flags.ts'
import { builtProgram } from './members.ts'

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'coracle-config-'))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

function file(text: string): string {
  const path = join(directory, 'etcd.yml')
  writeFileSync(path, text)
  return path
}

function read(
  text: string,
  args: readonly string[] = [],
  env: Record<string, string> = {},
): { config: ServerConfig; warnings: readonly string[] } {
  const line = parseCommandLine([`--config-file=${file(text)}`, ...args], env)
  if (line.type !== 'run') throw new Error(line.type)
  return { config: resolveConfig(line.settings), warnings: line.warnings }
}

describe('a configuration file', () => {
  test('has the keys of etcd, with empty ones for defaults', () => {
    const { config, warnings } = read(`
# This is the configuration file for the etcd server.
name: 'infra0'
data-dir: /var/lib/etcd
wal-dir:
snapshot-count: 20000
heartbeat-interval: 50
election-timeout: 600
quota-backend-bytes: 0
listen-peer-urls: https://127.0.0.1:2380
listen-client-urls: https://127.0.0.1:2379
cors:
initial-advertise-peer-urls: https://127.0.0.1:2380
advertise-client-urls: https://127.0.0.1:2379
discovery:
initial-cluster: infra0=https://127.0.0.1:2380
initial-cluster-token: 'etcd-cluster'
initial-cluster-state: 'new'
strict-reconfig-check: false
proxy: 'off'
client-transport-security:
  cert-file: /c.pem
  key-file: /c-key.pem
  client-cert-auth: true
  trusted-ca-file: /ca.pem
  auto-tls: false
peer-transport-security:
  cert-file: /p.pem
  key-file: /p-key.pem
  client-cert-auth: true
  trusted-ca-file: /ca.pem
  allowed-cn: [member, other]
  allowed-hostname:
log-level: debug
log-outputs: [stderr]
force-new-cluster: false
auto-compaction-mode: periodic
auto-compaction-retention: "2"
cipher-suites: [
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
]
tls-min-version: 'TLS1.2'
tls-max-version: 'TLS1.3'
grpc-keepalive-timeout: 20000000000
watch-progress-notify-interval: 5s
`)
    expect(warnings).toEqual([])
    expect(config).toMatchObject({
      name: 'infra0',
      snapshotEntries: 20_000,
      heartbeatMs: 50,
      strictReconfigCheck: false,
      clientCertAuth: true,
      autoCompaction: { mode: 'periodic', retentionMs: 7_200_000 },
      keepaliveTimeoutMs: 20_000,
      watchProgressIntervalMs: 5_000,
      clientTls: {
        certFile: '/c.pem',
        requiresCertificate: true,
        ciphers: 'ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384',
      },
      peerTls: { certFile: '/p.pem', allowedCommonNames: ['member', 'other'] },
    })
  })

  test("has etcd's sections for discovery, one of them within another", () => {
    const { config } = read(`
name: infra0
discovery-config:
  token: T
  endpoints: [http://10.0.0.9:2379, http://10.0.0.8:2379]
  request-timeout: 3000000000
  secure: { cacert: /ca.pem, insecure-skip-tls-verify: true }
  auth: { username: root, password: secret }
`)
    expect(config.discovery).toMatchObject({
      token: 'T',
      requestTimeoutMs: 3_000,
      trustedCaFile: '/ca.pem',
      verifiesCertificates: false,
      user: { name: 'root', password: 'secret' },
    })
    expect(config.discovery?.endpoints).toHaveLength(2)
  })

  test('has whole nanoseconds under old names, too', () => {
    const text = 'experimental-watch-progress-notify-interval: 5000000000'
    expect(read(text).config.watchProgressIntervalMs).toBe(5_000)
  })

  test('is all that counts: flags and variables beside it are ignored, with a warning', () => {
    const { config, warnings } = read('name: in-file', ['--heartbeat-interval=50'], {
      ETCD_NAME: 'in-env',
    })
    expect(config).toMatchObject({ name: 'in-file', heartbeatMs: 100 })
    const path = join(directory, 'etcd.yml')
    expect(warnings).toEqual([
      `ETCD_NAME is ignored: the configuration is in ${path}`,
      `--heartbeat-interval is ignored: the configuration is in ${path}`,
    ])
  })

  test('is named by a variable, too', () => {
    const line = parseCommandLine([], { ETCD_CONFIG_FILE: file('name: in-file') })
    expect(line).toMatchObject({ settings: { name: 'in-file' } })
  })

  test('may be empty', () => {
    expect(read('# nothing').config.name).toBe('default')
  })

  test.each([
    ['name: a\nnmae: b', ':2: unknown key nmae'],
    ['client-transport-security:\n  cert-flie: x', ':2: unknown key cert-flie'],
    ['peer-transport-security: yes', ':1: peer-transport-security must be a mapping'],
    ['discovery-config:\n  auth: root', ':2: auth must be a mapping'],
    ['discovery-config:\n  secure:\n    crt: x', ':3: unknown key crt'],
    ['secure:\n  cert: x', ':1: unknown key secure'],
    ['name: a\nname: b', ':2: Map keys must be unique'],
    [
      '\nheartbeat-interval: soon',
      ":2: heartbeat-interval: must be a whole number from 1 to 10000, not 'soon'",
    ],
    ['name: { a: b }', ':1: name must be a value or a list of values'],
    ['name: [', ':1: '],
    ['- name', 'must be a mapping of names to values'],
    ['config-file: other.yml', 'cannot stand in a file'],
    ['discovery: https://discovery.etcd.io/x', ':1: discovery is not supported'],
  ])('%j is refused, with the line', (text, message) => {
    expect(() => read(text)).toThrow(message)
  })

  test('that cannot be read, or makes no sense, is an exit with code 1 and one line, as in etcd', () => {
    const run = (path: string): object =>
      spawnSync(process.execPath, [builtProgram('main'), `--config-file=${path}`], {
        encoding: 'utf8',
      })
    expect(run('/nowhere.yml')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(
        /^coracle: the configuration file cannot be read: .*ENOENT.*\n$/,
      ),
    })
    const path = file('nmae: x')
    expect(run(path)).toMatchObject({ status: 1, stderr: `coracle: ${path}:1: unknown key nmae\n` })
  })
})
