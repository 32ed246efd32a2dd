/** Real processes for tests: started on free ports, and gone with their data when a test ends. */
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type ClientTls, type MemberClient, memberClient } from '../src/client.ts'
import {
  addressOf,
  agreedLeader,
  type ClusterPlan,
  flagsOf,
  freePorts,
  type LogLine,
  type MemberPlan,
  type MemberProcess,
  planCluster,
  type Secure,
  startMember,
  StartError,
} from '../src/processes/index.ts'

export function builtProgram(name: 'main' | 'local-cluster'): string {
  const path = fileURLToPath(new URL(`../dist/${name}.js`, import.meta.url))
  if (!existsSync(path)) throw new Error(`${path} is missing: run pnpm build before these tests`)
  return path
}

/** One member, over all the processes that it is during a test. */
export class TestMember implements AsyncDisposable {
  readonly plan: MemberPlan
  readonly address: string
  readonly client: MemberClient
  /** All that it logged. */
  readonly log: LogLine[] = []
  /** What it is started with. */
  readonly flags: readonly string[]
  process: MemberProcess

  constructor(cluster: ClusterPlan, plan: MemberPlan, options: StartOptions = {}) {
    this.plan = plan
    this.address = addressOf(plan)
    this.client = memberClient(this.address, options.tls ?? null)
    this.flags = flagsOf(cluster, plan)
    this.process = this.#start(options)
  }

  /** A new process with the same data. */
  async restart(options: StartOptions = {}): Promise<void> {
    await this.process.exited
    this.process = this.#start(options)
    await this.process.ready
  }

  async kill(): Promise<void> {
    this.process.kill('SIGKILL')
    await this.process.exited
  }

  /** Waits for a line of the log; earlier ones count. */
  logged(wanted: (line: LogLine) => boolean): Promise<LogLine> {
    return until(`${this.plan.name} logs what is expected; its log:\n${this.logText()}`, () =>
      Promise.resolve(this.log.find(wanted) ?? null),
    )
  }

  logText(): string {
    return this.log.map(({ text }) => text).join('\n')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client[Symbol.dispose]()
    // How members stop is a test of its own, and takes its time.
    await this.kill()
  }

  #start({ flags = [], through = [] }: StartOptions): MemberProcess {
    return startMember({
      program: builtProgram('main'),
      flags: [...this.flags, ...flags],
      onLine: (line) => this.log.push(line),
      through,
    })
  }
}

export interface StartOptions {
  readonly flags?: readonly string[]
  /** How the test itself connects. Default: without TLS. */
  readonly tls?: ClientTls
  readonly through?: readonly string[]
}

/** Disposal stops the members and removes their data. */
export interface TestCluster extends AsyncDisposable {
  readonly directory: string
  readonly members: readonly TestMember[]
  /** Who leads, once all who answer agree on it. */
  leader(): Promise<TestMember>
}

export interface ClusterOptions {
  /** Default 3. */
  readonly size?: number
  /** Flags of all members. */
  readonly flags?: readonly string[]
  readonly secure?: Partial<Secure>
  /** What one of them is started with besides. */
  readonly options?: (place: number) => StartOptions
}

/** Starts a cluster, on other ports if somebody was faster. Resolves when all members are ready. */
export async function startCluster(options: ClusterOptions = {}): Promise<TestCluster> {
  for (;;) {
    const cluster = await createCluster(options)
    try {
      await Promise.all(cluster.members.map((member) => member.process.ready))
      return cluster
    } catch (error) {
      await cluster[Symbol.asyncDispose]()
      if (!(error instanceof StartError && error.message.includes('is taken'))) throw error
    }
  }
}

/** Starts a cluster whose members need not all become ready. */
export async function createCluster(options: ClusterOptions = {}): Promise<TestCluster> {
  const { size = 3, flags = [], secure = {}, options: optionsOf = () => ({}) } = options
  const directory = await mkdtemp(join(tmpdir(), 'coracle-test-'))
  const ports = await freePorts(2 * size)
  const plan = planCluster({
    directory,
    clientPorts: ports.slice(0, size),
    peerPorts: ports.slice(size),
    flags,
    secure,
  })
  const members = plan.members.map((each, i) => new TestMember(plan, each, optionsOf(i)))
  return {
    directory,
    members,
    leader: () => until('the members that answer agree on a leader', () => agreedLeader(members)),
    async [Symbol.asyncDispose]() {
      await Promise.all(members.map((member) => member[Symbol.asyncDispose]()))
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** Asks again and again; a wait that is in vain fails and says for what. */
export async function until<Value>(what: string, ask: () => Promise<Value | null>): Promise<Value> {
  const giveUp = performance.now() + 20_000
  for (;;) {
    const answer = await ask()
    if (answer !== null) return answer
    if (performance.now() > giveUp) throw new Error(`waited in vain until ${what}`)
    await setTimeout(20)
  }
}

/** Puts through one member after the other until one acknowledges it. */
export async function putSomewhere(
  members: readonly TestMember[],
  key: string,
  value: string,
): Promise<void> {
  let turn = Math.floor(Math.random() * members.length)
  await until(`${key} is acknowledged`, async () => {
    const member = members[turn++ % members.length] as TestMember
    return member.client.put(key, value, { timeoutMs: 1_000 }).catch(() => null)
  })
}

/** All members hold the same, and all of this. */
export async function expectAllHold(
  members: readonly TestMember[],
  prefix: string,
  wanted: ReadonlyMap<string, string>,
): Promise<void> {
  const revisions = await Promise.all(
    members.map(async ({ client, plan }) => {
      const found = await client.list(prefix, { timeoutMs: 10_000 })
      for (const [key, value] of wanted)
        if (found.get(key) !== value)
          throw new Error(`${plan.name} has ${found.get(key)} for ${key}, not ${value}`)
      return (await client.status()).revision
    }),
  )
  const revision = Math.min(...revisions)
  const hashes = await Promise.all(members.map(({ client }) => client.hashKv(revision)))
  const [first] = hashes
  for (const { hash } of hashes)
    if (hash !== first?.hash) throw new Error(`members differ at revision ${revision}`)
}

export async function concurrently(
  count: number,
  atATime: number,
  work: (i: number) => Promise<unknown>,
): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: atATime }, worker))
}
