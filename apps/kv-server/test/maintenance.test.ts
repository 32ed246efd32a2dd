/** Snapshots and what can be made of them, alarms, leaders that move: at members that really run. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Etcd3 } from 'etcd3'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { flagsOf, freePorts, planCluster } from '../src/processes/index.ts'
import { adminOf } from './admin.ts'
import { etcdctl, etcdctlIsInstalled } from './etcdctl.ts'
import {
  builtProgram,
  concurrently,
  expectAllHold,
  startCluster,
  type TestCluster,
  TestMember,
  until,
} from './members.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'coracle-test-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

let cluster: TestCluster
beforeAll(async () => {
  cluster = await startCluster({ flags: ['--quota-backend-bytes=4000000'] })
})
afterAll(() => cluster[Symbol.asyncDispose]())

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [builtProgram('main'), 'snapshot', ...args], {
    encoding: 'utf8',
  })
}

function member(place: number): TestMember {
  return cluster.members[place] as TestMember
}

async function savedSnapshot(): Promise<string> {
  using admin = adminOf(member(1).address)
  const file = join(directory, 'snapshot.db')
  await writeFile(file, await admin.snapshot())
  return file
}

describe('a snapshot', () => {
  test('is restored into a new cluster of three, at a higher revision, and loses nothing', async () => {
    const wanted = new Map<string, string>()
    await concurrently(100, 10, async (i) => {
      await member(i % 3).client.put(`kept/${i}`, `value ${i}`)
      wanted.set(`kept/${i}`, `value ${i}`)
    })
    const { revision } = await member(1).client.status()
    const file = await savedSnapshot()
    const status = JSON.parse(run('status', file, '-w', 'json').stdout) as Record<string, unknown>
    expect(status).toMatchObject({ version: '3.6.0', totalSize: (await readFile(file)).length })
    expect(status['revision']).toBeGreaterThanOrEqual(revision)
    expect(run('status', file).stdout).toMatch(/^[0-9a-f]+, \d+, \d+, [\d.]+ \w+\n$/)

    const ports = await freePorts(6)
    const plan = planCluster({
      directory,
      clientPorts: ports.slice(0, 3),
      peerPorts: ports.slice(3),
      flags: ['--initial-cluster-token=restored'],
    })
    const wantedFlags =
      /^--(name|data-dir|initial-cluster|initial-cluster-token|initial-advertise-peer-urls)=/
    for (const each of plan.members) {
      const flags = flagsOf(plan, each).filter((flag) => wantedFlags.test(flag))
      const answer = run('restore', file, ...flags, '--bump-revision=1000000', '--mark-compacted')
      expect(answer).toMatchObject({ status: 0 })
      expect(answer.stderr).toContain('restored snapshot')
      // A directory that holds something is left alone.
      expect(run('restore', file, ...flags).stderr).toContain('not empty')
    }
    const members = plan.members.map((each) => new TestMember(plan, each))
    try {
      await Promise.all(members.map(({ process }) => process.ready))
      await expectAllHold(members, 'kept/', wanted)
      const [first] = members as [TestMember]
      expect(await first.client.put('kept/new', 'x')).toBeGreaterThan(revision + 1_000_000)
      // Who watched the old cluster is told, rather than sent back in time.
      using admin = adminOf(first.address)
      await expect(admin.compact(revision + 1)).rejects.toThrow('has been compacted')
      expect((await admin.members()).map(({ name }) => name).sort()).toEqual(
        plan.members.map(({ name }) => name),
      )
    } finally {
      await Promise.all(members.map((each) => each[Symbol.asyncDispose]()))
    }
  })

  test('that is damaged, cut short or something else is refused with the reason', async () => {
    const file = await savedSnapshot()
    const good = await readFile(file)
    const target = `--data-dir=${join(directory, 'target')}`
    const refusalOf = async (bytes: Uint8Array, ...flags: string[]): Promise<string> => {
      await writeFile(file, bytes)
      const { status, stderr } = run('restore', file, target, ...flags)
      expect(status).toBe(1)
      return stderr
    }
    const damaged = Buffer.from(good)
    damaged[700] = (damaged[700] ?? 0) ^ 1
    const found = createHash('sha256').update(damaged.subarray(0, -32)).digest('hex')
    expect(await refusalOf(damaged)).toContain(`got [${found}]`)
    expect(await refusalOf(damaged, '--skip-hash-check')).toContain('is damaged')
    expect(await refusalOf(good.subarray(0, -32))).toContain(
      'snapshot missing hash but --skip-hash-check=false',
    )
    expect(await refusalOf(good.subarray(0, 600))).toContain('is cut short')
    expect(await refusalOf(Buffer.alloc(1_056))).toContain('not a snapshot')
    expect(run('restore', join(directory, 'none')).stderr).toContain('ENOENT')
    expect(run('restore', file, '--bump-revision=5')).toMatchObject({
      status: 2,
      stderr: 'coracle: --mark-compacted required if --bump-revision > 0, and only then\n',
    })
  })
})

test('a member that is full says so to all, until there is room and somebody clears the alarm', async () => {
  using admin = adminOf(member(0).address)
  const fill = concurrently(1_000, 10, (i) => member(2).client.put(`fill/${i}`, 'x'.repeat(20_000)))
  await expect(fill).rejects.toThrow('etcdserver: mvcc: database space exceeded')
  const [alarm] = await until('the alarm is raised', async () => {
    const alarms = await admin.alarms()
    return alarms.length > 0 ? alarms : null
  })
  expect(alarm?.alarm).toBe(1)
  await expect(member(1).client.put('small', 'x')).rejects.toThrow('database space exceeded')
  if (etcdctlIsInstalled()) await etcdctl(member(1).address, ['del', 'fill/', '--prefix'])
  const { revision } = await member(1).client.status()
  if (etcdctlIsInstalled()) await admin.compact(revision)
  for (const each of await admin.alarms()) await admin.disarm(each)
  expect(await admin.alarms()).toEqual([])
  if (etcdctlIsInstalled()) await member(1).client.put('small', 'x')
  await admin.defragment()
})

test('leadership goes to whom it is moved, at the leader only', async () => {
  const leader = await cluster.leader()
  const other = cluster.members.find((each) => each !== leader) as TestMember
  using atLeader = adminOf(leader.address)
  using atOther = adminOf(other.address)
  const { id } = await other.client.status()
  await expect(atOther.moveLeader(id)).rejects.toThrow('etcdserver: not leader')
  await atLeader.moveLeader(id)
  expect(await cluster.leader()).toBe(other)
})

test('a lock is waited for at one member and given back at another', async () => {
  using first = adminOf(member(0).address)
  using second = adminOf(member(1).address)
  const key = await first.lock('both')
  const next = second.lock('both')
  await first.unlock(key)
  const other = await next
  expect(other).not.toBe(key)
  await second.unlock(other)
})

describe.each([0, 1, 2])('the npm client etcd3 at member %i', (place) => {
  let client: Etcd3
  beforeEach(() => {
    client = new Etcd3({ hosts: `http://${member(place).address}` })
  })
  afterEach(() => client.close())

  test('holds a lock that nobody else gets meanwhile', async () => {
    const lock = await client.lock(`npm/${place}`).acquire()
    await expect(client.lock(`npm/${place}`).acquire()).rejects.toThrow()
    await lock.release()
    await client.lock(`npm/${place}`).do(() => Promise.resolve())
  })

  test('elects a leader, whom others see', async () => {
    const election = client.election(`npm/${place}`, 10)
    const campaign = election.campaign('me')
    await campaign.wait()
    expect(await election.leader()).toBe('me')
    const observer = await election.observe()
    expect(observer.leader()).toBe('me')
    await observer.cancel()
    await campaign.resign()
    expect(await election.leader()).toBeUndefined()
  })
})

describe.runIf(etcdctlIsInstalled())('etcdctl', () => {
  const at = (place: number, ...args: string[]) => etcdctl(member(place).address, args)

  test('member add, list, update, promote and remove', async () => {
    const added = await at(
      1,
      'member',
      'add',
      'more',
      '--peer-urls=http://127.0.0.1:9',
      '--learner',
    )
    const [, id = ''] = /Member\s+([0-9a-f]+) added/.exec(added) ?? []
    expect(added).toContain('ETCD_INITIAL_CLUSTER_STATE="existing"')
    expect(await at(0, 'member', 'list')).toContain(
      `${id}, unstarted, , http://127.0.0.1:9, , true`,
    )
    await at(2, 'member', 'update', id, '--peer-urls=http://127.0.0.1:10')
    expect(await at(0, 'member', 'list')).toContain('http://127.0.0.1:10')
    await expect(at(1, 'member', 'promote', id)).rejects.toThrow('in sync with leader')
    // It prints an id that begins with a zero, as one of sixteen does, without it and as wide.
    const wide = id.padStart(16)
    expect(await at(1, 'member', 'remove', id)).toContain(`Member ${wide} removed from cluster`)
    await expect(at(1, 'member', 'remove', id)).rejects.toThrow('etcdserver: member not found')
  })

  test('snapshot save, defrag, alarm list and disarm', async () => {
    const file = join(directory, 'saved.db')
    await at(2, 'snapshot', 'save', file)
    expect(run('status', file)).toMatchObject({ status: 0 })
    expect(await at(0, 'defrag')).toContain('Finished defragmenting etcd member')
    const { id } = await member(0).client.status()
    using admin = adminOf(member(0).address)
    await admin.raise(id, 2)
    expect(await at(1, 'alarm', 'list')).toContain('alarm:CORRUPT')
    expect(await at(1, 'endpoint', 'status', '-w', 'json')).toContain('alarm:CORRUPT')
    await expect(at(1, 'put', 'a', 'b')).rejects.toThrow('etcdserver: corrupt cluster')
    await at(2, 'alarm', 'disarm')
    expect(await at(1, 'alarm', 'list')).toBe('')
    expect(await at(1, 'put', 'a', 'b')).toBe('OK\n')
  })

  test('move-leader, lock and elect', async () => {
    const all = cluster.members.map(({ address }) => address).join(',')
    const leader = await cluster.leader()
    const other = cluster.members.find((each) => each !== leader) as TestMember
    const { id } = await other.client.status()
    expect(await etcdctl(all, ['move-leader', id])).toContain('Leadership transferred')
    expect(await at(0, 'lock', 'l', 'echo', 'held')).toContain('held')
  })
})
