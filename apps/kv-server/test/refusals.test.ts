/** What keeps a member from starting or going on: one clear sentence, and the right exit code. */
import { once } from 'node:events'
import { mkdir, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { freePorts, startMember, StartError } from '../src/processes/index.ts'
import {
  builtProgram,
  createCluster,
  startCluster,
  type StartOptions,
  type TestCluster,
  type TestMember,
} from './members.ts'

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [builtProgram('main'), ...args], { encoding: 'utf8' })
}

describe('the command line', () => {
  test('--help and --version answer on stdout', () => {
    expect(run('--help')).toMatchObject({
      status: 0,
      stderr: '',
      stdout: expect.stringContaining('--initial-cluster-token'),
    })
    expect(run('--version')).toMatchObject({
      status: 0,
      stderr: '',
      stdout: expect.stringMatching(/^coracle \d+\.\d+\.\d+\netcd API 3\.\d+\.\d+\n$/),
    })
  })

  test.each([
    [['--no-such-flag'], "coracle: unknown option '--no-such-flag'\n"],
    [
      ['--election-timeout=100'],
      'coracle: --election-timeout[100ms] should be at least as 5 times as --heartbeat-interval[100ms]\n',
    ],
  ])('%j gets one line and exit code 2', (args, line) => {
    expect(run(...args)).toMatchObject({ status: 2, stdout: '', stderr: line })
  })
})

/** The sentence with which a member does not start; its exit code is 1. */
async function refusalOf(member: TestMember, options: StartOptions = {}): Promise<string> {
  const refused = await member.restart(options).then(
    () => null,
    (error: unknown) => error,
  )
  if (!(refused instanceof StartError)) throw new Error('the member started')
  expect(await member.process.exited).toMatchObject({ code: 1, signal: null })
  expect(refused.message).not.toContain('\n')
  return refused.message
}

async function startOne(): Promise<{ cluster: TestCluster; member: TestMember }> {
  const cluster = await startCluster({ size: 1 })
  const [member] = cluster.members as [TestMember]
  return { cluster, member }
}

describe('a member that cannot start says why in one sentence', () => {
  test('a client port or peer port that is taken', async () => {
    const { cluster, member } = await startOne()
    await using _ = cluster
    await member.kill()
    for (const port of [member.plan.clientPort, member.plan.peerPort]) {
      const other = createServer().listen(port, '127.0.0.1')
      await once(other, 'listening')
      expect(await refusalOf(member)).toBe(
        `port ${port} on 127.0.0.1 is taken: another program listens there`,
      )
      other.close()
      await once(other, 'close')
    }
    await member.restart()
  })

  test('a data directory that another process uses, or that is of another cluster, or damaged', async () => {
    const { cluster, member } = await startOne()
    await using _ = cluster
    const { dataDir } = member.plan
    const [client, peer] = await freePorts(2)
    await using second = startMember({
      program: builtProgram('main'),
      flags: [
        ...member.flags,
        `--listen-client-urls=http://127.0.0.1:${client}`,
        `--listen-peer-urls=http://127.0.0.1:${peer}`,
      ],
    })
    const { code, why } = await second.exited
    expect(code).toBe(1)
    expect(why).toContain(`data directory ${dataDir}`)
    expect(why).toContain('is in use by another process')
    await member.client.put('still', 'here')

    await member.kill()
    const strange = await refusalOf(member, { flags: ['--initial-cluster-token=another'] })
    expect(strange).toContain(`data directory ${dataDir} belongs to member infra1 of cluster`)

    await writeFile(join(dataDir, 'notes.txt'), '')
    await rm(join(dataDir, 'member.json'))
    expect(await refusalOf(member)).toBe(
      `data directory ${dataDir} holds something else: notes.txt`,
    )
    await rm(join(dataDir, 'notes.txt'))
    await writeFile(join(dataDir, 'member.json'), '{"format":1,')
    expect(await refusalOf(member)).toBe(
      `data directory ${dataDir} is damaged: member.json cannot be read`,
    )
  })

  test('a data directory that lost its log is not begun afresh', async () => {
    const { cluster, member } = await startOne()
    await using _ = cluster
    await member.kill()
    const { dataDir } = member.plan
    await rm(join(dataDir, 'raft'), { recursive: true })
    expect(await refusalOf(member)).toBe(`data directory ${dataDir} is damaged: raft is missing`)
  })

  test('a log with bytes missing is damaged', async () => {
    const { cluster, member } = await startOne()
    await using _ = cluster
    for (let i = 0; i < 20; i++) await member.client.put(`key/${i}`, 'x'.repeat(1_000))
    await member.kill()
    const raft = join(member.plan.dataDir, 'raft')
    const manifest = (await readdir(raft)).find((name) => name.startsWith('MANIFEST'))
    await truncate(join(raft, String(manifest)), 10)
    const refusal = await refusalOf(member)
    expect(refusal).toContain(`data directory ${raft} `)
  })

  test('a data directory that cannot be created', async () => {
    const cluster = await createCluster({ size: 1 })
    await using _ = cluster
    const [member] = cluster.members as [TestMember]
    await member.kill()
    const file = join(cluster.directory, 'file')
    await writeFile(file, '')
    const refusal = await refusalOf(member, { flags: [`--data-dir=${join(file, 'data')}`] })
    expect(refusal).toContain(`data directory ${join(file, 'data')} cannot be used: ENOTDIR`)
  })

  test('a data directory of etcd itself', async () => {
    const cluster = await createCluster({ size: 1 })
    await using _ = cluster
    const [member] = cluster.members as [TestMember]
    await member.kill()
    const theirs = join(cluster.directory, 'theirs')
    await mkdir(join(theirs, 'member', 'wal'), { recursive: true })
    const refusal = await refusalOf(member, { flags: [`--data-dir=${theirs}`] })
    expect(refusal).toBe(`data directory ${theirs} holds something else: member`)
  })
})
