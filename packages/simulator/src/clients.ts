import type { Operation } from '@coracle/linearizability'
import type { Consistency, LogIndex, NodeId } from '@coracle/raft-core'
import type { Cluster } from './cluster.ts'
import { didNotHappen } from './observer.ts'
import type { Plan } from './plan.ts'
import type { Random } from './random.ts'
import { stopEverything } from './stop-everything.ts'
import { numbered } from './watched-machine.ts'
import type { AnyWorkload, Load } from './workload.ts'

/** An operation of the history, and the number of its command; 0 for reads. */
export interface Recorded {
  readonly number: number
  readonly operation: Operation<unknown, unknown>
}

export interface ClientsParts {
  readonly cluster: Cluster
  readonly plan: Plan
  readonly random: Random
  readonly workload: AnyWorkload
  readonly recorded: (recorded: Recorded) => void
}

/** Nobody draws this often without getting a command. */
const MAX_DRAWS = 1_000

/** Clients that ask random nodes for random things, one after the other, and write down the answers. */
export class Clients {
  readonly #parts: ClientsParts
  readonly #load: Load
  #number = 0
  #isOver = false

  constructor(parts: ClientsParts) {
    this.#parts = parts
    const { reads, keys, maxValueLength } = parts.plan
    this.#load = { reads, keys, maxValueLength }
    for (let client = 1; client <= parts.plan.clients; client++)
      this.#work(client).catch(stopEverything)
  }

  /** Nobody asks for anything new. What was asked for is still answered. */
  stop(): void {
    this.#isOver = true
  }

  async #work(client: number): Promise<void> {
    const { cluster, plan, random } = this.#parts
    let seen: LogIndex = 0
    for (;;) {
      await cluster.clock.sleep(random.exponential(plan.thinkMs))
      if (this.#isOver) return
      const id = this.#pickNode()
      const input = this.#draw()
      if (this.#isRead(input) && random.chance(plan.weakReads))
        seen = Math.max(seen, (await this.#readLess(id, this.#drawConsistency(seen))) ?? 0)
      else if (this.#isRead(input))
        seen = Math.max(seen, (await this.#read(client, id, input)) ?? 0)
      else {
        const more = Array.from({ length: random.whole(1, plan.burst) - 1 }, () => this.#draw())
        const writes = [input, ...more].filter((other) => !this.#isRead(other))
        const written = await Promise.all(writes.map((write) => this.#write(client, id, write)))
        seen = Math.max(seen, ...written.map((index) => index ?? 0))
      }
    }
  }

  /** Mostly a member; now and then whoever has an address. */
  #pickNode(): NodeId {
    const { cluster, random } = this.#parts
    const { members, ids } = cluster
    return random.pick(members.length > 0 && random.chance(0.9) ? members : ids)
  }

  /** Has a command of any kind carried out. Answers with its index, or null if it failed. */
  write(id: NodeId): Promise<number | null> {
    for (let draws = 0; draws < MAX_DRAWS; draws++) {
      const input = this.#draw()
      if (!this.#isRead(input)) return this.#write(0, id, input)
    }
    throw new TypeError('a workload must draw commands, not only reads')
  }

  /** Has a node confirm that it may be read. Answers with the index, or null if it failed. */
  async read(id: NodeId): Promise<number | null> {
    const asked = await this.#parts.cluster.computer(id).ask(
      'read',
      0,
      (node) => node.read(),
      (index) => ({ index, term: 0 }),
    )
    return asked?.answer ?? null
  }

  /** Its own writes and what it has read, on any node; or what was there a while ago. */
  #drawConsistency(seen: LogIndex): Consistency {
    const { random, plan } = this.#parts
    if (random.chance(0.5)) return { atLeast: random.chance(0.9) ? seen : seen + 1 }
    return { maxLagMs: random.pick([0, 1, 20, plan.safetyMs / 100, plan.safetyMs / 25]) }
  }

  /** Asks a node for leave to read what need not be all. */
  async #readLess(id: NodeId, consistency: Consistency): Promise<LogIndex | null> {
    const asked = await this.#parts.cluster.computer(id).ask(
      'read',
      0,
      (node) => node.read({ consistency }),
      (index) => ({ index, term: 0 }),
      { consistency },
    )
    return asked?.answer ?? null
  }

  /** Asks a node for leave to read, and then reads there. A read that failed tells nothing. */
  async #read(client: number, id: NodeId, input: unknown): Promise<LogIndex | null> {
    const calledAt = this.#now
    const computer = this.#parts.cluster.computer(id)
    const { machine } = computer
    const asked = await computer.ask(
      'read',
      0,
      async (node) => {
        const index = await node.read()
        return { index, output: machine?.query?.(input) }
      },
      ({ index }) => ({ index, term: 0 }),
    )
    const answer = asked?.answer ?? null
    if (answer !== null) this.#record(0, { input, calledAt, output: answer.output, client })
    return answer?.index ?? null
  }

  async #write(client: number, id: NodeId, input: unknown): Promise<number | null> {
    const { cluster, workload } = this.#parts
    this.#number += 1
    const number = this.#number
    const calledAt = this.#now
    const command = numbered(number, workload.encode(input))
    const asked = await cluster.computer(id).ask(
      'propose',
      number,
      (node) => node.propose(command),
      (applied) => applied,
    )
    if (asked === null || didNotHappen(asked.ending)) return null
    this.#record(number, { input, calledAt, output: asked.answer?.result, client })
    return asked.answer?.index ?? null
  }

  #draw(): unknown {
    const { workload, random } = this.#parts
    return workload.draw(random, this.#load, this.#number + 1)
  }

  #isRead(input: unknown): boolean {
    return this.#parts.workload.isRead?.(input) ?? false
  }

  /** To the microsecond, which people can read. */
  get #now(): number {
    return Math.round(this.#parts.cluster.clock.now * 1000) / 1000
  }

  #record(number: number, operation: Omit<Operation<unknown, unknown>, 'returnedAt'>): void {
    const isAnswered = operation.output !== undefined
    const returnedAt = isAnswered ? this.#now : Number.POSITIVE_INFINITY
    this.#parts.recorded({ number, operation: { ...operation, returnedAt } })
  }
}
