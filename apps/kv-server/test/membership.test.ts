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
  return admin.members()
}

function loggedRemoval(member: TestMember): boolean {
  return member.log.some(({ msg }) => msg === REMOVED)
}

test('one member becomes three, then five, then three others, under load, and loses nothing', async () => {
  await using cluster = await growing(1)
  const { members } = cluster
  const acknowledged = new Map<string, string>()
  let isOver = false
  const writing = concurrently(Infinity, 4, async (i) => {
    if (isOver) return
    await putSomewhere(members, `grow/${i}`, `value ${i}`)
    acknowledged.set(`grow/${i}`, `value ${i}`)
  }).catch((error: unknown) => error)
  void writing
  for (let size = 2; size <= 5; size++) {
    const member = await cluster.grow()
    expect((await membersOf(member)).filter(({ name }) => name !== '')).toHaveLength(size)
  }
  for (const gone of members.slice(0, 2)) {
    await cluster.shrink(gone)
    expect(await gone.process.exited).toMatchObject({ code: 0, signal: null })
    expect(loggedRemoval(gone)).toBe(true)
  }
  isOver = true
  await until('the load has come to its end', () => Promise.resolve(acknowledged.size > 50 || null))
  await expectAllHold(members, 'grow/', new Map(acknowledged))
  expect((await membersOf(members[0] as TestMember)).map(({ name }) => name).sort()).toEqual([
    'infra3',
    'infra4',
    'infra5',
  ])
})
