import type { KeyValueInput, KeyValueOutput, Operation } from '@coracle/linearizability'
import type { NodeId } from '@coracle/raft-core'
import type { Cluster } from './cluster.ts'
import { encodeCommand, type NumberedInput } from './key-value-machine.ts'
import { didNotHappen } from './observer.ts'
import type { Plan } from './plan.ts'
import type { Random } from './random.ts'

export type KeyValueOperation = Operation<KeyValueInput, KeyValueOutput>

/** An operation of the history, and the number of its command; 0 for reads. */
export interface Recorded {
  readonly number: number
  readonly operation: KeyValueOperation
}

/** Clients that ask random nodes for random things, one after the other, and write down the answers. */
export class Clients {
  readonly #cluster: Cluster
  readonly #plan: Plan
  readonly #random: Random
  readonly #recorded: (recorded: Recorded) => void
  #number = 0
  #isOver = false

  constructor(
    cluster: Cluster,
    plan: Plan,
    random: Random,
    recorded: (recorded: Recorded) => void,
  ) {
    this.#cluster = cluster
    this.#plan = plan
    this.#random = random
    this.#recorded = recorded
    for (let client = 1; client <= plan.clients; client++) this.#work(client).catch(stopEverything)
    if (plan.options.reads === 'lease') this.#askLeaders().catch(stopEverything)
  }

  /** Nobody asks for anything new. What was asked for is still answered. */
  stop(): void {
    this.#isOver = true
  }

  async #work(client: number): Promise<void> {
    for (;;) {
      await this.#cluster.clock.sleep(this.#random.exponential(this.#plan.thinkMs))
      if (this.#isOver) return
      const id = this.#pickNode()
      if (this.#random.chance(this.#plan.reads)) await this.#read(client, id)
      else {
        const count = this.#random.whole(1, this.#plan.burst)
        await Promise.all(Array.from({ length: count }, () => this.#write(client, id)))
      }
    }
  }

  /**
   * Leases are wrong in the short time in which two nodes believe that they lead, if ever: all that
   * believe so are asked again and again, and none may know less than another has told.
   */
  async #askLeaders(): Promise<void> {
    const cluster = this.#cluster
    const meanMs = this.#plan.safetyMs / 1_000
    while (!this.#isOver) {
      await cluster.clock.sleep(this.#random.exponential(meanMs))
      for (const id of cluster.leaders) {
        const asked = cluster.computer(id).ask(
          'read',
          0,
          (node) => node.read(),
          (index) => ({ index, term: 0 }),
        )
        asked?.catch(stopEverything)
      }
    }
  }

  /** Mostly a member; now and then whoever has an address. */
  #pickNode(): NodeId {
    const { members, ids } = this.#cluster
    return this.#random.pick(members.length > 0 && this.#random.chance(0.9) ? members : ids)
  }

  /** Asks a node for leave to read, and then reads there. A read that failed tells nothing. */
  async #read(client: number, id: NodeId): Promise<void> {
    const key = this.#drawKey()
    const calledAt = this.#now
    const computer = this.#cluster.computer(id)
    const { machine } = computer
    const asked = await computer.ask(
      'read',
      0,
      async (node) => {
        const index = await node.read()
        return { index, value: machine?.get(key) ?? null }
      },
      ({ index }) => ({ index, term: 0 }),
    )
    const answer = asked?.answer ?? null
    if (answer !== null) this.#record(0, client, { type: 'get', key }, calledAt, answer.value)
  }

  async #write(client: number, id: NodeId): Promise<void> {
    this.#number += 1
    const number = this.#number
    const input = this.#drawWrite(number)
    const calledAt = this.#now
    const command = encodeCommand({ number, input })
    const asked = await this.#cluster.computer(id).ask(
      'propose',
      number,
      (node) => node.propose(command),
      (applied) => applied,
    )
    if (asked === null || didNotHappen(asked.ending)) return
    this.#record(number, client, input, calledAt, asked.answer?.result)
  }

  #drawKey(): string {
    return `k${this.#random.whole(1, this.#plan.keys)}`
  }

  #drawWrite(number: number): NumberedInput['input'] {
    const random = this.#random
    const key = this.#drawKey()
    const value = `${number}`.padEnd(random.whole(1, this.#plan.maxValueLength), '.')
    switch (random.whole(1, 6)) {
      case 1:
        return { type: 'append', key, value: `${number},` }
      case 2:
        return { type: 'delete', key }
      case 3:
        return { type: 'compare-and-set', key, from: null, to: value }
      default:
        return { type: 'put', key, value }
    }
  }

  /** To the microsecond, which people can read. */
  get #now(): number {
    return Math.round(this.#cluster.clock.now * 1000) / 1000
  }

  #record(
    number: number,
    client: number,
    input: KeyValueInput,
    calledAt: number,
    output: KeyValueOutput | undefined,
  ): void {
    const returnedAt = output === undefined ? Number.POSITIVE_INFINITY : this.#now
    this.#recorded({ number, operation: { input, calledAt, returnedAt, output, client } })
  }
}

/** A client that fails is a mistake in the simulation: nobody may overlook it. */
function stopEverything(error: unknown): never {
  throw error
}
