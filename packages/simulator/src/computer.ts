import {
  type Environment,
  type Membership,
  type NodeId,
  type NodeOptions,
  type Peer,
  RaftError,
  type RaftEvent,
  type RaftNode,
  recoverCluster,
  type Recovery,
  startNode,
  type Storage,
} from '@coracle/raft-core'
import type { Ending, Life, Observer, Request } from './observer.ts'
import type { Random } from './random.ts'
import type { VirtualClock } from './virtual-clock.ts'
import { isOfDisk } from './disk-content.ts'
import type { Disk, Network, Station } from './parts.ts'
import { WatchedMachine } from './watched-machine.ts'
import type { TestedMachine } from './workload.ts'

export interface ComputerParts {
  readonly id: NodeId
  readonly clock: VirtualClock
  readonly random: Random
  readonly disk: Disk
  readonly network: Network
  /** Who founds the cluster; null for a node that waits to be added to it. */
  readonly founders: Membership | null
  /** Where a node that waits to be added finds the others. */
  readonly contacts: readonly Peer[]
  readonly options: Partial<NodeOptions>
  /** How much longer a tick takes here than it should: 1 is exact. */
  readonly drift: number
  /** It speaks a later version of the protocol than the others. */
  readonly isLater: boolean
  /** How long a turn of the event loop takes, on average. */
  readonly turnMs: number
  /** A new state machine, for each life. */
  readonly openMachine: () => TestedMachine<unknown, unknown>
  /** How long the state machine takes for a call, on average; 0 to answer at once. */
  readonly applyMs: number
  readonly observer: Required<Observer>
  readonly sent: (message: Uint8Array) => void
  readonly ticked: () => void
  readonly traced: (event: RaftEvent) => void
  /** The cluster told the node that it was removed, and it stopped. */
  readonly removed: () => void
  /** The node stopped for a reason that nobody gave it. */
  readonly broke: (cause: unknown) => void
}

/** What runs on a computer between a start and a crash. */
interface Running extends Life {
  readonly machine: WatchedMachine
  isAlive: boolean
  node: RaftNode | null
  storage: Storage | null
  readonly open: Map<Request, (ending: Ending) => void>
}

/** One machine of the cluster: it can lose its power at any moment, stall, and start again. */
export class Computer {
  readonly id: NodeId
  readonly disk: Disk
  readonly #parts: ComputerParts
  #running: Running | null = null
  #lives = 0
  #stalledUntil = 0
  #applyMs: number
  /** As the node last said. Cheaper than its status, and asked for all the time. */
  #leads = false

  constructor(parts: ComputerParts) {
    this.id = parts.id
    this.#applyMs = parts.applyMs
    this.disk = parts.disk
    this.#parts = parts
  }

  get isOn(): boolean {
    return this.#running !== null
  }

  /** Running, and through with starting. */
  get node(): RaftNode | null {
    return this.#running?.node ?? null
  }

  /** Does it believe to lead? */
  get leads(): boolean {
    return this.#leads && this.node !== null
  }

  /** What a client that is connected to this node reads there. */
  get machine(): TestedMachine<unknown, unknown> | null {
    return this.#running?.machine.inner ?? null
  }

  get drift(): number {
    return this.#parts.drift
  }

  /** Makes a new cluster of what is on the disk, of this node alone. It does not run meanwhile. */
  async recover(): Promise<Recovery> {
    const { observer } = this.#parts
    const life: Life = { id: this.id, number: this.#lives, disk: this.disk }
    await using storage = this.disk.open({
      persisted: (batch) => observer.persisted(life, batch),
      corrupted: () => {},
    })
    const members = [{ id: this.id, address: this.id }]
    return await recoverCluster(storage, { id: this.id, members, commitUncertain: true })
  }

  turnOn(): void {
    if (this.#running !== null) return
    const { observer, random } = this.#parts
    this.#lives += 1
    this.#leads = false
    const life: Running = {
      id: this.id,
      number: this.#lives,
      disk: this.disk,
      isAlive: true,
      node: null,
      storage: null,
      open: new Map(),
      machine: new WatchedMachine(
        this.#parts.openMachine(),
        {
          applied: (command) => life.isAlive && observer.applied(life, command),
          reached: (index, print) => life.isAlive && observer.reached(life, index, print),
          digested: (index, digest) => life.isAlive && observer.digested(life, index, digest),
          restored: (index, print) => life.isAlive && observer.restored(life, index, print),
          work: () => this.#work(life),
        },
        random,
      ),
    }
    this.#running = life
    observer.started(life)
    this.#start(life).catch((error: unknown) => this.#stopped(life, error))
  }

  /** The power is cut. */
  turnOff(): void {
    const life = this.#running
    if (life === null) return
    this.#running = null
    life.isAlive = false
    this.#parts.network.leave(this.id)
    this.disk.crash()
    for (const settle of life.open.values()) settle({ type: 'lost' })
  }

  /** Shuts down in good order, then turns off. Whatever was asked for is answered before. */
  async shutDown(): Promise<void> {
    const life = this.#running
    if (life === null || life.node === null) return
    await life.node[Symbol.asyncDispose]()
    try {
      await life.storage?.[Symbol.asyncDispose]()
    } catch (cause) {
      this.#parts.broke(cause)
    }
    if (life.isAlive) this.turnOff()
  }

  /** Its event loop does nothing for a while. */
  stall(timeMs: number): void {
    this.#stalledUntil = Math.max(this.#stalledUntil, this.#parts.clock.now + timeMs)
  }

  /** Whatever held it up is over, and its state machine is quick. */
  wake(): void {
    this.#stalledUntil = 0
    this.#applyMs = Math.min(this.#applyMs, 0.1)
  }

  /** Has somebody asked this node for something of the kind, without an answer yet? */
  isAsked(kind: Request['kind']): boolean {
    return [...(this.#running?.open.keys() ?? [])].some((request) => request.kind === kind)
  }

  /** Asks the node that runs here, and follows the request to its end; null if none runs. */
  ask<Answer>(
    kind: Request['kind'],
    number: number,
    ask: (node: RaftNode) => Promise<Answer>,
    positionOf: (answer: Answer) => { readonly index: number; readonly term: number },
    about: Partial<Pick<Request, 'newcomers' | 'expectedIndex' | 'consistency'>> = {},
  ): Promise<{ readonly ending: Ending; readonly answer: Answer | null }> | null {
    const life = this.#running
    if (life === null || life.node === null) return null
    const { observer, clock } = this.#parts
    const request: Request = {
      kind,
      life,
      number,
      newcomers: [],
      expectedIndex: null,
      consistency: 'linearizable',
      calledAt: clock.now,
      ...about,
    }
    observer.asked(request)
    return new Promise((resolve) => {
      const settle = (ending: Ending, answer: Answer | null): void => {
        if (!life.open.delete(request)) return
        observer.answered(request, ending)
        resolve({ ending, answer })
      }
      life.open.set(request, (ending) => settle(ending, null))
      ask(life.node as RaftNode).then(
        (answer) => settle({ type: 'done', ...positionOf(answer) }, answer),
        (error: unknown) => settle({ type: 'failed', code: codeOf(error) }, null),
      )
    })
  }

  /** A call to the state machine takes time; for ever, if the power is cut meanwhile. */
  #work(life: { readonly isAlive: boolean }): Promise<void> | null {
    if (this.#applyMs === 0) return null
    const { clock, random } = this.#parts
    const time = random.exponential(this.#applyMs)
    return new Promise((resolve) => clock.after(time, () => life.isAlive && resolve()))
  }

  async #start(life: Running): Promise<void> {
    const { founders, contacts, options, network, observer, traced } = this.#parts
    const station: Station = {
      id: this.id,
      isLater: this.#parts.isLater,
      isAlive: () => life.isAlive,
      stalledUntil: () => this.#stalledUntil,
      sent: (message, bytes) => {
        this.#parts.sent(bytes)
        observer.sent(life, message)
      },
    }
    const storage = this.disk.open({
      persisted: (batch) => observer.persisted(life, batch),
      corrupted: () => this.#mustStop(life),
    })
    life.storage = storage
    const node = await startNode({
      ...options,
      id: this.id,
      ...(founders === null ? { contacts } : { membership: founders }),
      storage,
      transport: network.attach(station),
      stateMachine: life.machine,
      environment: this.#environment(life),
      checkInvariants: true,
      trace: (event) => {
        if (!life.isAlive) return
        if (event.type === 'role-changed') this.#leads = event.role === 'leader'
        traced(event)
        observer.happened(life, event)
      },
    })
    life.node = node
    const cause = await node.stopped
    if (cause !== null) this.#stopped(life, cause)
  }

  /** A disk that fails takes its node down, as it should, and so does its removal. Nothing else may. */
  #stopped(life: Running, cause: unknown): void {
    if (!life.isAlive) return
    const isRemoved = cause instanceof RaftError && cause.code === 'REMOVED'
    if (!isOfDisk(cause) && !isRemoved) this.#parts.broke(cause)
    this.turnOff()
    if (isRemoved) this.#parts.removed()
  }

  /** A node that has read what was never written stops, and serves nobody any more. */
  #mustStop(life: Running): void {
    this.#parts.clock.after(0, () => {
      if (life.isAlive) this.#parts.broke(new Error('a node went on after its disk was corrupt'))
    })
  }

  #environment(life: Running): Environment {
    const { clock, random, drift, turnMs } = this.#parts
    const whenFree = (run: () => void): void => {
      const wait = this.#stalledUntil - clock.now
      if (!life.isAlive) return
      if (wait > 0) clock.after(wait, () => whenFree(run))
      else run()
    }
    return {
      now: () => clock.now / drift,
      random: () => random.next(),
      schedule: (turn) =>
        clock.after(turnMs === 0 ? 0 : random.exponential(turnMs), () => whenFree(turn)),
      every: (intervalMs, beat) => {
        let isOver = false
        const next = (delayMs: number): void =>
          clock.afterQuietly(delayMs, () => {
            if (isOver || !life.isAlive) return
            // A timer that was due while the loop stood still is due once, afterwards.
            const wait = this.#stalledUntil - clock.now
            if (wait > 0) return next(wait)
            this.#parts.ticked()
            beat()
            next(intervalMs * drift)
          })
        next(intervalMs * drift * random.next())
        return () => {
          isOver = true
        }
      },
    }
  }
}

function codeOf(error: unknown): string {
  if (error instanceof RaftError) return error.code
  return error instanceof Error ? error.name : String(error)
}
