/** Three members on free ports, in a directory that is gone afterwards. */
import { type MemberClient, memberClient } from '@coracle/kv-server/client'
import {
  addressOf,
  agreedLeader,
  flagsOf,
  freePorts,
  type MemberPlan,
  type MemberProcess,
  planCluster,
  startMember,
} from '@coracle/kv-server/processes'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

export interface DemoMember {
  readonly name: string
  readonly client: MemberClient
  readonly process: MemberProcess
  /** Starts it anew after it was killed. */
  restart(): Promise<void>
}

/** Disposal stops all members and removes their data. */
export interface DemoCluster extends AsyncDisposable {
  readonly members: readonly DemoMember[]
  /** Resolves when all members serve clients. */
  readonly ready: Promise<unknown>
  /** Who leads, once all who answer agree on it. */
  leader(): Promise<DemoMember>
}

const WAIT_MS = 20_000
const POLL_MS = 20

export async function startCluster(): Promise<DemoCluster> {
  const directory = await mkdtemp(join(tmpdir(), 'coracle-demo-'))
  const [clientPorts, peerPorts] = halves(await freePorts(6))
  const plan = planCluster({ directory, clientPorts, peerPorts })
  const start = (member: MemberPlan): MemberProcess =>
    startMember({ program: memberProgram(), flags: flagsOf(plan, member) })
  const members = plan.members.map((member) => new Member(member, start))
  return {
    members,
    ready: Promise.all(members.map((member) => member.process.ready)),
    leader: () => until('the members that answer agree on a leader', () => agreedLeader(members)),
    async [Symbol.asyncDispose]() {
      await Promise.all(members.map((member) => member[Symbol.asyncDispose]()))
      await rm(directory, { recursive: true, force: true })
    },
  }
}

class Member implements DemoMember, AsyncDisposable {
  readonly name: string
  readonly client: MemberClient
  process: MemberProcess
  readonly #plan: MemberPlan
  readonly #start: (plan: MemberPlan) => MemberProcess

  constructor(plan: MemberPlan, start: (plan: MemberPlan) => MemberProcess) {
    this.name = plan.name
    this.client = memberClient(addressOf(plan))
    this.process = start(plan)
    this.#plan = plan
    this.#start = start
  }

  async restart(): Promise<void> {
    await this.process.exited
    this.process = this.#start(this.#plan)
    await this.process.ready
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client[Symbol.dispose]()
    await this.process[Symbol.asyncDispose]()
  }
}

/** Asks again and again for something that comes true, and says what it was if it does not. */
export async function until<Value>(what: string, ask: () => Promise<Value | null>): Promise<Value> {
  const giveUp = performance.now() + WAIT_MS
  for (;;) {
    const answer = await ask()
    if (answer !== null) return answer
    if (performance.now() > giveUp)
      throw new Error(`waited ${WAIT_MS / 1000} s in vain until ${what}`)
    await setTimeout(POLL_MS)
  }
}

function memberProgram(): string {
  const server = new URL(import.meta.resolve('@coracle/kv-server/processes'))
  return fileURLToPath(new URL('main.js', server))
}

function halves(ports: readonly number[]): readonly [readonly number[], readonly number[]] {
  return [ports.slice(0, ports.length / 2), ports.slice(ports.length / 2)]
}
