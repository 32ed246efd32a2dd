/** What goes wrong between nodes: rules first, then cuts, loss and delay. Nothing does by default. */
import type { Environment, Message, NodeId } from '@coracle/raft-core'

/** Sees every message on its way: gives it back, gives another one in its place, or null to drop it. */
export type Rule = (message: Message) => Message | null

/** Uniform in [`minMs`, `maxMs`). Messages of one sender to one receiver never overtake each other. */
export interface Delay {
  readonly minMs: number
  readonly maxMs: number
}

interface Late {
  readonly message: Message
  readonly dueAt: number
}

export class Faults {
  /** False as long as nothing can go wrong, which is the path that has to be fast. */
  active = false
  readonly #environment: Environment
  readonly #maxQueued: number
  readonly #arrive: (message: Message) => void
  readonly #cuts = new Set<string>()
  readonly #rules = new Set<Rule>()
  readonly #queues = new Map<string, Late[]>()
  #loss = 0
  #delay: Delay = { minMs: 0, maxMs: 0 }

  constructor(environment: Environment, maxQueued: number, arrive: (message: Message) => void) {
    this.#environment = environment
    this.#maxQueued = maxQueued
    this.#arrive = arrive
  }

  cut(from: NodeId, to: NodeId): void {
    this.#cuts.add(line(from, to))
    this.active = true
  }

  mend(from: NodeId, to: NodeId): void {
    this.#cuts.delete(line(from, to))
    this.#refresh()
  }

  mendAll(): void {
    this.#cuts.clear()
    this.#refresh()
  }

  isCut(from: NodeId, to: NodeId): boolean {
    return this.#cuts.size > 0 && this.#cuts.has(line(from, to))
  }

  lose(probability: number): void {
    if (!(probability >= 0 && probability <= 1))
      throw new RangeError(`a probability lies between 0 and 1, not at ${probability}`)
    this.#loss = probability
    this.#refresh()
  }

  delay(delay: Delay): void {
    if (!(delay.minMs >= 0 && delay.maxMs >= delay.minMs && delay.maxMs < Infinity))
      throw new RangeError(`a delay cannot be from ${delay.minMs} to ${delay.maxMs} ms`)
    this.#delay = delay
    this.#refresh()
  }

  intercept(rule: Rule): () => void {
    this.#rules.add(rule)
    this.active = true
    return () => {
      this.#rules.delete(rule)
      this.#refresh()
    }
  }

  /** What the rules make of a message: it or another one, or null. */
  applyRules(message: Message): Message | null {
    let current: Message | null = message
    for (const rule of this.#rules) {
      if (current === null) return null
      current = rule(current)
    }
    return current
  }

  /** Takes a message through everything that can go wrong; what is left of it arrives. */
  carry(message: Message): void {
    const altered = this.applyRules(message)
    if (altered === null || this.#isLost()) return
    const key = line(altered.from, altered.to)
    const queue = this.#queues.get(key)
    const { minMs, maxMs } = this.#delay
    // Even without a delay now, a message waits behind those that left before it.
    if (queue === undefined && maxMs === 0) return this.#arrive(altered)
    const arrivesAt = this.#environment.now() + minMs + this.#environment.random() * (maxMs - minMs)
    if (queue === undefined) {
      this.#queues.set(key, [{ message: altered, dueAt: arrivesAt }])
      this.#wait(key)
    } else if (queue.length < this.#maxQueued) {
      const dueAt = Math.max(arrivesAt, queue.at(-1)?.dueAt ?? 0)
      queue.push({ message: altered, dueAt })
    }
  }

  #isLost(): boolean {
    return this.#loss > 0 && this.#environment.random() < this.#loss
  }

  #wait(key: string): void {
    const queue = this.#queues.get(key) ?? []
    const first = queue[0]
    if (first === undefined) {
      this.#queues.delete(key)
      this.#refresh()
      return
    }
    const remainingMs = Math.max(first.dueAt - this.#environment.now(), 0)
    const cancel = this.#environment.every(remainingMs, () => {
      cancel()
      this.#release(queue)
      this.#wait(key)
    })
  }

  #release(queue: Late[]): void {
    const now = this.#environment.now()
    let due = 0
    while (due < queue.length && (queue[due] as Late).dueAt <= now) due++
    for (const late of queue.splice(0, due)) this.#arrive(late.message)
  }

  #refresh(): void {
    this.active =
      this.#cuts.size > 0 ||
      this.#rules.size > 0 ||
      this.#queues.size > 0 ||
      this.#loss > 0 ||
      this.#delay.maxMs > 0
  }
}

function line(from: NodeId, to: NodeId): string {
  return `${from}\n${to}`
}
