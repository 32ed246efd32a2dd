/** One member as a process: how it is told what to do, and what it says. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { memberClient } from '../src/client.ts'
import { freePorts, type LogLine, startMember } from '../src/processes/index.ts'
import { builtProgram, expectAllHold, startCluster, until } from './members.ts'

let directory: string
let env: Record<string, string | undefined>
let address: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'coracle-test-'))
  const [client, peer] = await freePorts(2)
  address = `127.0.0.1:${client}`
  // The environment of a container of etcd.
  env = {
    ...process.env,
    ETCD_NAME: 'solo',
    ETCD_DATA_DIR: join(directory, 'data'),
    ETCD_LISTEN_CLIENT_URLS: `http://${address}`,
    ETCD_ADVERTISE_CLIENT_URLS: `http://${address}`,
    ETCD_LISTEN_PEER_URLS: `http://127.0.0.1:${peer}`,
    ETCD_INITIAL_ADVERTISE_PEER_URLS: `http://127.0.0.1:${peer}`,
    ETCD_INITIAL_CLUSTER: `solo=http://127.0.0.1:${peer}`,
    ETCD_INITIAL_CLUSTER_STATE: 'new',
    ETCD_INITIAL_CLUSTER_TOKEN: 'solo-cluster',
    ETCD_SOMETHING_NEW: '1',
  }
})
afterEach(() => rm(directory, { recursive: true, force: true }))

test('a member runs by its environment alone, logs JSON, and stops on SIGTERM', async () => {
  const lines: LogLine[] = []
  await using member = startMember({
    program: builtProgram('main'),
    flags: [],
    env,
    onLine: (line) => lines.push(line),
  })
  await member.ready
  using client = memberClient(address)
  await client.put('a', 'b')
  member.kill('SIGTERM')
  expect(await member.exited).toEqual({ code: 0, signal: null, why: null })
  for (const { fields } of lines)
    expect(fields).toMatchObject({ level: expect.any(String), ts: expect.any(String) })
  const messages = lines.map(({ msg }) => msg)
  expect(messages).toContain('unrecognized environment variable ETCD_SOMETHING_NEW')
  const leads = messages.indexOf('became leader')
  expect(leads).toBeGreaterThan(-1)
  expect(messages.indexOf('ready to serve client requests')).toBeGreaterThan(leads)
  expect(messages.at(-1)).toBe('stopped')
})

test('a log that nobody reads holds up nobody', async () => {
  // Each of them is warned of: half a megabyte, of which what lies in between takes less than half.
  for (let i = 0; i < 1_500; i++) env[`ETCD_${'X'.repeat(300)}${i}`] = '1'
  const stdio = ['ignore', 'ignore', 'pipe'] as const
  const member = spawn(process.execPath, [builtProgram('main')], { env, stdio: [...stdio] })
  const exited = once(member, 'exit')
  try {
    using client = memberClient(address)
    await until('it serves', () => client.put('a', 'b').catch(() => null))
    for (let i = 0; i < 100; i++) await client.put(`key/${i}`, 'x', { timeoutMs: 1_000 })
    expect(member.stderr.readableFlowing).toBeNull()
  } finally {
    member.kill('SIGKILL')
    await exited
  }
})

test.each(['before it runs', 'while it runs'])(
  'it ends when the program that started it is gone %s',
  async (when) => {
    const member = spawn(process.execPath, [builtProgram('main')], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env,
    })
    const exited = new Promise((resolve) => {
      member.once('exit', resolve)
    })
    if (when === 'while it runs')
      await new Promise((resolve) => member.stderr?.once('data', resolve))
    member.stderr?.resume()
    member.disconnect()
    expect(await exited).toBe(0)
  },
)

test('lines for people, on request, down to a level', async () => {
  const member = spawn(
    process.execPath,
    [builtProgram('main'), '--log-format=console', '--log-level=warn'],
    { stdio: ['ignore', 'ignore', 'pipe'], env },
  )
  let text = ''
  member.stderr.on('data', (chunk: Buffer) => {
    text += chunk.toString()
    member.kill('SIGINT')
  })
  const code = await new Promise((resolve) => {
    member.once('close', resolve)
  })
  expect(code).toBe(0)
  expect(text).toMatch(/^\S+Z WARN {2}unrecognized environment variable ETCD_SOMETHING_NEW\n$/)
})

test('members talk over gRPC just as well, and survive a kill', async () => {
  await using cluster = await startCluster({ flags: ['--peer-transport=grpc'] })
  const { members } = cluster
  const wanted = new Map<string, string>()
  for (const { client, plan } of members) {
    await client.put(`grpc/${plan.name}`, plan.name)
    wanted.set(`grpc/${plan.name}`, plan.name)
  }
  const leader = await cluster.leader()
  await leader.kill()
  expect(await cluster.leader()).not.toBe(leader)
  await leader.restart()
  await expectAllHold(members, 'grpc/', wanted)
})
