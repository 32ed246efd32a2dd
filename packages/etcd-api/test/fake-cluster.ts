/**
 * Members without Raft in a time of their own: one log that all of them apply, and a leader who is
 * whoever the test says. Behind each member stands the real lease service.
 */
import { kvStateMachine, type KvResult, type KvStateMachine } from '@coracle/kv-state-machine'
import { bootstrapMembership, type Environment, type NodeStatus } from '@coracle/raft-core'
import { decodeCommand, type KvCommand } from '@coracle/kv-state-machine'
import { serviceContext } from '../src/context.ts'
import { leaseService } from '../src/lease-service.ts'
import type { EtcdNode } from '../src/index.ts'
import { FakeCall } from './fake-call.ts'

export interface FakeCluster extends AsyncDisposable {
  /** All that was committed, in order. */
  readonly log: readonly KvCommand[]
  /** The most proposals that were under way at one time. */
  readonly mostInFlight: number
  readonly now: number
  member(id: string): FakeMember
  /** Makes this member the leader of a new term, or leaves the cluster without one. */
  elect(id: string | null): void
  /** Lets time pass, and everything happen that is due in it. */
  pass(ms: number): Promise<void>
  /** Stops the world for this long: nothing happens until it is over. */
  freeze(ms: number): Promise<void>
  /** The same, but the timers that are due fire only with what happens next. */
  jump(ms: number): void
  /** From now on proposals wait, until they are released. */
  hold(): void
  release(): Promise<void>
  /** Every proposal fails with this until it is called with null. */
  failWith(error: Error | null): void
  /** Starts the member anew: from a snapshot of another member, as it is now. */
  restart(id: string, from: string): Promise<void>
}

export interface FakeMember {
  readonly stateMachine: KvStateMachine
  /** Calls a method of the lease service. */
  lease(method: string, request: object): Promise<Record<string, unknown>>
  renew(id: number): Promise<number>
  /** What happens to reads: they fail, or wait. */
  onRead: (() => Promise<void>) | null
  /** A member that has not noticed what the others know. */
  isStale: boolean
}

const STEP_MS = 10

export function fakeCluster(ids: readonly string[] = ['a']): FakeCluster {
  return new Cluster(ids)
}

type Beat = { readonly intervalMs: number; next: number; readonly beat: () => void }

class Cluster implements FakeCluster {
  readonly log: KvCommand[] = []
  mostInFlight = 0
  now = 1_000
  term = 1
  leader: string | null = null
  held: (() => void)[] | null = null
  failure: Error | null = null
  inFlight = 0
  readonly #members = new Map<string, Member>()
  readonly beats = new Set<Beat>()

  constructor(ids: readonly string[]) {
    for (const id of ids) this.#members.set(id, new Member(this, id, kvStateMachine()))
    this.elect(ids[0] ?? null)
  }

  readonly environment: Environment = {
    now: () => this.now,
    random: () => 0.5,
    schedule: (turn) => queueMicrotask(turn),
    every: (intervalMs, beat) => {
      const entry = { intervalMs, next: this.now + intervalMs, beat }
      this.beats.add(entry)
      return () => this.beats.delete(entry)
    },
  }

  member(id: string): Member {
    const member = this.#members.get(id)
    if (member === undefined) throw new Error(`no member ${id}`)
    return member
  }

  elect(id: string | null): void {
    this.leader = id
    if (id !== null) this.term += 1
    for (const member of this.#members.values()) member.learn()
  }

  async pass(ms: number): Promise<void> {
    const end = this.now + ms
    await settle()
    while (this.now < end) {
      this.now = Math.min(end, this.now + STEP_MS)
      await this.#beat()
    }
  }

  async freeze(ms: number): Promise<void> {
    await settle()
    this.now += ms
    await this.#beat()
  }

  jump(ms: number): void {
    this.now += ms
  }

  async #beat(): Promise<void> {
    for (const entry of this.beats) {
      if (entry.next > this.now) continue
      entry.next = this.now + entry.intervalMs
      entry.beat()
    }
    await settle()
  }

  async propose(data: Uint8Array): Promise<KvResult[]> {
    this.inFlight += 1
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight)
    try {
      await new Promise<void>((resolve) => {
        if (this.held === null) resolve()
        else this.held.push(resolve)
      })
      if (this.failure !== null) throw this.failure
      this.log.push(decodeCommand(data))
      const command = { index: this.log.length, term: this.term, data }
      return [...this.#members.values()].map((member) => member.apply(command))
    } finally {
      this.inFlight -= 1
    }
  }

  hold(): void {
    this.held ??= []
  }

  async release(): Promise<void> {
    const held = this.held ?? []
    this.held = null
    for (const resolve of held) resolve()
    await settle()
  }

  failWith(error: Error | null): void {
    this.failure = error
  }

  async restart(id: string, from: string): Promise<void> {
    await this.member(id)[Symbol.asyncDispose]()
    const stateMachine = kvStateMachine()
    await stateMachine.restore(this.member(from).stateMachine.snapshot())
    this.#members.set(id, new Member(this, id, stateMachine))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const member of this.#members.values()) await member[Symbol.asyncDispose]()
  }
}

class Member implements FakeMember, AsyncDisposable {
  readonly stateMachine: KvStateMachine
  onRead: (() => Promise<void>) | null = null
  isStale = false
  readonly #cluster: Cluster
  readonly #id: string
  readonly #context
  readonly #service
  #seen: Pick<NodeStatus, 'role' | 'term' | 'leader'> = { role: 'follower', term: 1, leader: null }
  readonly #watchers = new Set<() => void>()

  constructor(cluster: Cluster, id: string, stateMachine: KvStateMachine) {
    this.#cluster = cluster
    this.#id = id
    this.stateMachine = stateMachine
    this.learn()
    this.#context = serviceContext({
      node: this.#node(),
      stateMachine,
      cluster: { id: 1n },
      member: { id: BigInt(`0x${id}`) },
      environment: cluster.environment,
    })
    this.#service = leaseService(this.#context)
  }

  apply(command: { index: number; term: number; data: Uint8Array }): KvResult {
    const [result] = this.stateMachine.apply([command])
    if (result === undefined) throw new Error('no result')
    return result
  }

  learn(): void {
    if (this.isStale) return
    const { term, leader } = this.#cluster
    this.#seen = { role: leader === this.#id ? 'leader' : 'follower', term, leader }
    for (const wake of this.#watchers) wake()
  }

  #node(): EtcdNode {
    const status = (): NodeStatus => ({
      ...this.#seen,
      id: this.#id,
      firstIndex: 1,
      lastIndex: 1,
      commitIndex: 1,
      appliedIndex: 1,
      durableIndex: 3,
      snapshotIndex: 0,
      membership: bootstrapMembership([{ id: this.#id, address: '' }]),
      membershipIndex: 1,
      removed: false,
      peers: [],
    })
    const watchers = this.#watchers
    return {
      propose: async (data) => {
        // All members answer a command alike.
        const [result] = await this.#cluster.propose(data)
        if (result === undefined) throw new Error('no result')
        return { index: 1, term: 1, result }
      },
      read: async () => {
        await this.onRead?.()
        return 1
      },
      status,
      changeMembership: () => Promise.reject(new Error('the members stay')),
      transferLeadership: () => Promise.reject(new Error('the test says who leads')),
      async *watch({ signal } = {}) {
        for (;;) {
          yield status()
          if (signal?.aborted === true) return
          await new Promise<void>((resolve) => {
            watchers.add(resolve)
            signal?.addEventListener('abort', () => resolve())
          })
        }
      },
    }
  }

  async lease(name: string, request: object): Promise<Record<string, unknown>> {
    const method = this.#service.methods[name]
    if (method?.kind !== 'unary') throw new Error(`${name} is not unary`)
    const asked = { ID: 0, TTL: 0, keys: false, ...request } as never
    return (await method.handle(asked, { cancelled: false } as never)) as Record<string, unknown>
  }

  /** One request on a stream of its own. */
  async renew(id: number): Promise<number> {
    const method = this.#service.methods['LeaseKeepAlive']
    if (method?.kind !== 'duplex') throw new Error('no stream')
    const call = new FakeCall<object, { readonly TTL: number }>()
    method.handle(call, () => null)
    call.ask({ ID: id })
    call.askNoMore()
    await new Promise<void>((resolve) => call.onceOver(resolve))
    if (call.ended) throw call.ended
    return (call.take() as { readonly TTL: number }).TTL
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#service[Symbol.dispose]()
    await this.#context[Symbol.asyncDispose]()
  }
}

/** Whatever is only waiting for promises comes to its end. */
async function settle(): Promise<void> {
  await new Promise<void>((resolve) => {
    setImmediate(resolve)
  })
}
