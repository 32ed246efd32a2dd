/** Who the members are changes while clients write, and nothing that was acknowledged is lost. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { freePorts } from '../src/processes/index.ts'
import { adminOf, type Member } from './admin.ts'
import {
  concurrently,
  expectAllHold,
  putSomewhere,
  startCluster,
  type StartOptions,
  type TestCluster,
  TestMember,
  until,
} from './members.ts'

function peerUrlOf({ plan }: TestMember): string {
  return `http://127.0.0.1:${plan.peerPort}`
}

/** A cluster whose members come and go. */
class Growing implements AsyncDisposable {
  readonly members: TestMember[]
  readonly #founded: TestCluster
  readonly #all: TestMember[]
  #count: number

  constructor(founded: TestCluster) {
    this.#founded = founded
    this.members = [...founded.members]
    this.#all = [...founded.members]
    this.#count = founded.members.length
  }

  /** Adds a member through one that is there, and starts it. */
  async grow(options: { readonly isLearner?: boolean } = {}): Promise<TestMember> {
    const { member } = await this.add(options)
    await member.process.ready
    return member
  }

  async add(
    options: { readonly isLearner?: boolean; readonly start?: StartOptions } = {},
  ): Promise<{ readonly member: TestMember; readonly id: string }> {
    const [clientPort = 0, peerPort = 0] = await freePorts(2)
    this.#count += 1
    const name = `infra${this.#count}`
    const dataDir = join(this.#founded.directory, name)
    const via = this.members[this.#count % this.members.length] as TestMember
    using admin = adminOf(via.address)
    const { id } = await admin.add(`http://127.0.0.1:${peerPort}`, options)
    const plan = { name, clientPort, peerPort, dataDir }
    const cluster = { members: [...this.members.map((each) => each.plan), plan], flags: EXISTING }
    const member = new TestMember(cluster, plan, options.start)
    this.members.push(member)
    this.#all.push(member)
    return { member, id }
  }

  async shrink(gone: TestMember): Promise<void> {
    const at = this.members.indexOf(gone)
    this.members.splice(at, 1)
    const via = this.members[at % this.members.length] as TestMember
    using admin = adminOf(via.address)
    const found = (await admin.members()).find(({ name }) => name === gone.plan.name)
    await admin.remove(found?.id ?? '1')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const member of this.#all.slice(this.#founded.members.length))
      await member[Symbol.asyncDispose]()
    await this.#founded[Symbol.asyncDispose]()
  }
}

const EXISTING = ['--initial-cluster-state=existing']
const REMOVED = 'the member has been permanently removed from the cluster'

async function growing(size: number, flags: readonly string[] = []): Promise<Growing> {
  return new Growing(await startCluster({ size, flags }))
}

async function membersOf(member: TestMember): Promise<readonly Member[]> {
  using admin = adminOf(member.address)
  return await admin.members()
}

async function leaderOf(members: readonly TestMember[]): Promise<TestMember> {
  return until('there is a leader', async () => {
    const { id, leader } = await (members[0] as TestMember).client.status()
    if (leader === null) return null
    if (leader === id) return members[0] ?? null
    const statuses = await Promise.all(members.map(({ client }) => client.status()))
    return members[statuses.findIndex((status) => status.id === leader)] ?? null
  })
}

interface Load {
  /** Answers with what was acknowledged. */
  stop(): Promise<ReadonlyMap<string, string>>
}

/** Clients that write all the time, through whoever is a member. */
function startLoad(members: readonly TestMember[]): Load {
  const acknowledged = new Map<string, string>()
  const over = new AbortController()
  let next = 0
  const write = async (): Promise<void> => {
    while (!over.signal.aborted) {
      const key = `load/${next++}`
      await putSomewhere(members, key, `value of ${key}`)
      acknowledged.set(key, `value of ${key}`)
    }
  }
  const writing = Promise.all(Array.from({ length: 4 }, write))
  // Told when it is stopped.
  writing.catch(() => {})
  return {
    async stop() {
      over.abort()
      await writing
      return acknowledged
    },
  }
}

function loggedRemoval(member: TestMember): boolean {
  return member.log.some(({ msg }) => msg === REMOVED)
}

describe('members come and go while clients write', () => {
  test('one becomes five, then three of those that came, and nothing acknowledged is lost', async () => {
    await using cluster = await growing(1)
    const { members } = cluster
    const load = startLoad(members)
    for (let size = 2; size <= 5; size++) {
      const member = await cluster.grow()
      expect((await membersOf(member)).filter(({ name }) => name !== '')).toHaveLength(size)
    }
    for (const gone of members.slice(0, 2)) {
      await cluster.shrink(gone)
      expect(await gone.process.exited).toEqual({ code: 0, signal: null, why: null })
      expect(loggedRemoval(gone)).toBe(true)
    }
    const acknowledged = await load.stop()
    expect(acknowledged.size).toBeGreaterThan(50)
    await expectAllHold(members, 'load/', acknowledged)
    const names = (await membersOf(members[0] as TestMember)).map(({ name }) => name)
    expect(names.sort()).toEqual(['infra3', 'infra4', 'infra5'])
  })

  test('a member that is dead does not keep another from taking its place, and never comes back', async () => {
    await using cluster = await growing(3)
    const { members } = cluster
    const load = startLoad(members)
    const [dead] = members as [TestMember]
    await dead.kill()
    // One that is down does not keep another from being added, as long as there is a majority.
    await cluster.grow()
    await cluster.shrink(dead)
    const acknowledged = await load.stop()
    await expectAllHold(members, 'load/', acknowledged)

    // It was away when it was removed, so nobody told it. It may serve for a moment, and goes.
    await dead.restart().catch(() => {})
    expect(await dead.process.exited).toMatchObject({ code: 0 })
    const told = dead.log.map(({ msg }) => msg)
    expect(told).toContain(REMOVED)
    expect(told).toContain('data-dir used by this member must be removed')
    // From then on it knows by itself.
    for (const { process } of members) process.kill('SIGSTOP')
    const seen = dead.log.length
    await expect(dead.restart()).rejects.toThrow()
    expect(await dead.process.exited).toMatchObject({ code: 0 })
    expect(dead.log.slice(seen).map(({ msg }) => msg)).toContain(REMOVED)
    for (const { process } of members) process.kill('SIGCONT')

    // Nor does it come back without its data.
    await rm(dead.plan.dataDir, { recursive: true })
    await expect(dead.restart()).rejects.toThrow('has already been removed from the cluster')
    await expect(dead.restart({ flags: EXISTING })).rejects.toThrow(
      'unmatched member while checking PeerURLs',
    )
  })

  test('the leader removes itself, and the others go on', async () => {
    await using cluster = await growing(3)
    const { members } = cluster
    const leader = await leaderOf(members)
    const others = members.filter((member) => member !== leader)
    using admin = adminOf(leader.address)
    const found = (await admin.members()).find(({ name }) => name === leader.plan.name)
    expect(await admin.remove(found?.id ?? '')).toHaveLength(2)
    expect(await leader.process.exited).toMatchObject({ code: 0 })
    await putSomewhere(others, 'after', 'the leader went')
    await expectAllHold(others, 'after', new Map([['after', 'the leader went']]))
  })
})

describe('a learner', () => {
  test('does not vote, is promoted once it has caught up, and there is one at a time', async () => {
    await using cluster = await growing(3, ['--snapshot-count=50', '--snapshot-catchup-entries=5'])
    const { members } = cluster
    const [first, second] = members as [TestMember, TestMember]
    await concurrently(200, 20, (i) => first.client.put(`old/${i}`, 'x'.repeat(100)))
    const { member, id } = await cluster.add({ isLearner: true })
    using admin = adminOf(second.address)
    await expect(admin.add('http://127.0.0.1:9', { isLearner: true })).rejects.toThrow(
      'etcdserver: too many learner members in cluster',
    )
    await member.process.ready
    expect((await admin.members()).find((each) => each.id === id)).toMatchObject({
      isLearner: true,
      name: 'infra4',
    })
    await expect(member.client.put('a', 'b')).rejects.toThrow('rpc not supported for learner')
    expect(await member.client.list('old/', { serializable: true })).toHaveProperty('size')
    const others = await membersOf(first)
    const voter = others.find(({ isLearner }) => !isLearner)
    await expect(admin.promote(voter?.id ?? '')).rejects.toThrow(
      'etcdserver: can only promote a learner member',
    )
    await admin.promote(id)
    await member.client.put('a', 'b')
    await expectAllHold(members, 'a', new Map([['a', 'b']]))
  })

  test('that has not started is not promoted, and goes as it came', async () => {
    await using cluster = await growing(1)
    const [first] = cluster.members as [TestMember]
    await concurrently(50, 10, (i) => first.client.put(`old/${i}`, 'x'))
    using admin = adminOf(first.address)
    const { id } = await admin.add('http://127.0.0.1:9', { isLearner: true })
    await expect(admin.promote(id)).rejects.toThrow(
      'etcdserver: can only promote a learner member which is in sync with leader',
    )
    expect(await admin.remove(id)).toHaveLength(1)
  })
})

describe('what etcd refuses is refused in its words, at a follower as at the leader', () => {
  test('members that are not there, URLs that make no sense, and changes that would cost the majority', async () => {
    await using cluster = await growing(3)
    const { members } = cluster
    const leader = await leaderOf(members)
    const follower = members.find((member) => member !== leader) as TestMember
    for (const member of [leader, follower]) {
      using admin = adminOf(member.address)
      await expect(admin.remove('1234')).rejects.toThrow(
        '5 NOT_FOUND: etcdserver: member not found',
      )
      await expect(admin.promote('1234')).rejects.toThrow('etcdserver: member not found')
      await expect(admin.update('1234', 'http://h:1')).rejects.toThrow(
        'etcdserver: member not found',
      )
      await expect(admin.update('1234', 'nonsense')).rejects.toThrow('etcdserver: member not found')
      await expect(admin.add('nonsense')).rejects.toThrow(
        'etcdserver: given member URLs are invalid',
      )
      await expect(admin.add(peerUrlOf(leader))).rejects.toThrow(
        'etcdserver: Peer URLs already exists',
      )
      const other = (await admin.members()).find(({ name }) => name === follower.plan.name)
      await expect(admin.update(other?.id ?? '', peerUrlOf(leader))).rejects.toThrow(
        'etcdserver: Peer URLs already exists',
      )
    }
    using admin = adminOf(follower.address)
    // The fourth and fifth do not start: a sixth that does not start either would cost the majority.
    const { id } = await admin.add('http://127.0.0.1:9')
    await admin.add('http://127.0.0.1:10')
    await expect(admin.add('http://127.0.0.1:11')).rejects.toThrow(
      'etcdserver: re-configuration failed due to not enough started members',
    )
    expect(await admin.members()).toHaveLength(5)
    expect(await admin.remove(id)).toHaveLength(4)
  })

  test('the last member stays', async () => {
    await using cluster = await growing(1)
    using admin = adminOf((cluster.members[0] as TestMember).address)
    const [only] = await admin.members()
    await expect(admin.remove(only?.id ?? '')).rejects.toThrow(
      'etcdserver: re-configuration failed due to not enough started members',
    )
  })
})

describe('a member that starts without data asks the others who it is', () => {
  test('one that lost its data may not found the cluster again, nor join it with its old id', async () => {
    await using cluster = await growing(3)
    const [lost] = cluster.members as [TestMember]
    await lost.kill()
    await rm(lost.plan.dataDir, { recursive: true })
    await expect(lost.restart()).rejects.toThrow(/^member [0-9a-f]+ has already been bootstrapped$/)
    await expect(lost.restart({ flags: EXISTING })).rejects.toThrow('has already been bootstrapped')
  })

  test('one that was not added, or counts others than there are, is refused', async () => {
    await using cluster = await growing(1)
    const [founder] = cluster.members as [TestMember]
    const [clientPort = 0, peerPort = 0] = await freePorts(2)
    const plan = { name: 'stranger', clientPort, peerPort, dataDir: `${founder.plan.dataDir}-x` }
    const flags = { members: [founder.plan, plan], flags: EXISTING }
    await using stranger = new TestMember(flags, plan)
    await expect(stranger.process.ready).rejects.toThrow(
      'error validating peerURLs: member count is unequal',
    )
    await founder.kill()
    await expect(stranger.restart()).rejects.toThrow(
      'could not retrieve cluster information from the given URLs',
    )
  })

  test('one that joined keeps its place when it starts again, whatever its flags say by then', async () => {
    await using cluster = await growing(1)
    const member = await cluster.grow()
    await member.client.put('a', '1')
    await member.kill()
    await member.restart({ flags: ['--initial-cluster-state=new'] })
    await expectAllHold(cluster.members, 'a', new Map([['a', '1']]))
  })
})

test('a learner stays a learner when its address changes', async () => {
  await using cluster = await growing(1)
  const [founder] = cluster.members as [TestMember]
  using admin = adminOf(founder.address)
  const added = await admin.add('http://127.0.0.1:9', { isLearner: true })
  await admin.update(added.id, 'http://127.0.0.1:10')
  const found = (await admin.members()).find(({ id }) => id === added.id)
  expect(found).toEqual({ ...added, peerURLs: ['http://127.0.0.1:10'], isLearner: true })
})

test('a member that moves keeps its data, its id and all else that is known of it', async () => {
  await using cluster = await growing(3)
  const { members } = cluster
  const [first, moved] = members as [TestMember, TestMember]
  const { id } = (await membersOf(first)).find(({ name }) => name === moved.plan.name) as Member
  const [port = 0] = await freePorts(1)
  const url = `http://127.0.0.1:${port}`
  using admin = adminOf(first.address)
  const before = (await admin.members()).find((each) => each.id === id)
  await admin.update(id, url)
  expect((await admin.members()).find((each) => each.id === id)).toEqual({
    ...before,
    peerURLs: [url],
  })
  await moved.kill()
  await moved.restart({
    flags: [`--listen-peer-urls=${url}`, `--initial-advertise-peer-urls=${url}`],
  })
  await moved.client.put('moved', 'yes')
  await expectAllHold(members, 'moved', new Map([['moved', 'yes']]))
})
