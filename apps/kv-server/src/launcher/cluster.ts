/** The members of a cluster on this machine, kept running until they are told to stop. */
import { createWriteStream, mkdirSync, type WriteStream } from 'node:fs'
import { join } from 'node:path'
import {
  type ClusterPlan,
  describeExit,
  flagsOf,
  type LogLine,
  type MemberPlan,
  type MemberProcess,
  startMember,
  StartError,
} from '../processes/index.ts'

export interface ClusterEvents {
  onLine(member: MemberPlan, line: LogLine): void
  /** A member ended that was not told to. It is started again. */
  onDied(member: MemberPlan, why: string): void
  /** A member could not be started again. It stays down. */
  onLost(member: MemberPlan, why: string): void
}

export interface ClusterOptions {
  readonly program: string
  /** Holds a log for each member. */
  readonly directory: string
  readonly plan: ClusterPlan
  readonly events: ClusterEvents
  /** Stops the members, also while they start. */
  readonly signal: AbortSignal
}

/** A little time to see that a member is missing, before it is back. */
const RESTART_DELAY_MS = 2_000

/** Disposal stops all members, each in good order. */
export interface LocalCluster extends AsyncDisposable {
  readonly pidOf: (member: MemberPlan) => number | null
}

/** Starts all members. Rejects with a {@link StartError} that names the first one that cannot start. */
export async function startLocalCluster(options: ClusterOptions): Promise<LocalCluster> {
  mkdirSync(options.directory, { recursive: true })
  const keepers = options.plan.members.map((member) => new Keeper(options, member))
  const cluster: LocalCluster = {
    pidOf: (member) => keepers.find((keeper) => keeper.member === member)?.pid ?? null,
    async [Symbol.asyncDispose]() {
      await Promise.all(keepers.map((keeper) => keeper[Symbol.asyncDispose]()))
    },
  }
  const { signal } = options
  const stopEarly = (): void => keepers.forEach((keeper) => keeper.stopEarly())
  signal.addEventListener('abort', stopEarly, { once: true })
  try {
    await Promise.all(keepers.map((keeper) => keeper.start()))
  } catch (error) {
    await cluster[Symbol.asyncDispose]()
    signal.throwIfAborted()
    throw error
  } finally {
    signal.removeEventListener('abort', stopEarly)
  }
  return cluster
}

/** Keeps one member running. */
class Keeper implements AsyncDisposable {
  readonly member: MemberPlan
  readonly #options: ClusterOptions
  readonly #log: WriteStream
  #process: MemberProcess | null = null
  #restart: NodeJS.Timeout | null = null
  #isStopping = false

  constructor(options: ClusterOptions, member: MemberPlan) {
    this.member = member
    this.#options = options
    this.#log = createWriteStream(join(options.directory, `${member.name}.log`), { flags: 'a' })
    // The log is for reading afterwards; the member does not depend on it.
    this.#log.on('error', () => {})
  }

  get pid(): number | null {
    return this.#process?.pid ?? null
  }

  async start(): Promise<void> {
    const { program, plan, events } = this.#options
    const started = startMember({
      program,
      flags: flagsOf(plan, this.member),
      onLine: (line) => {
        this.#log.write(`${line.text}\n`)
        events.onLine(this.member, line)
      },
    })
    this.#process = started
    try {
      await started.ready
    } catch (error) {
      this.#process = null
      throw error instanceof StartError
        ? new StartError(`${this.member.name}: ${error.message}`)
        : error
    }
    this.#watch(started).catch((error: unknown) => this.#lose(error))
  }

  /** A member that is not ready yet is told to stop; that it ends is awaited elsewhere. */
  stopEarly(): void {
    this.#process?.kill('SIGTERM')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true
    if (this.#restart !== null) clearTimeout(this.#restart)
    await this.#process?.[Symbol.asyncDispose]()
    await new Promise<void>((resolve) => this.#log.end(() => resolve()))
  }

  async #watch(running: MemberProcess): Promise<void> {
    const exit = await running.exited
    if (this.#isStopping) return
    this.#process = null
    this.#options.events.onDied(this.member, describeExit(exit))
    this.#restart = setTimeout(() => this.#startAgain(), RESTART_DELAY_MS)
  }

  #startAgain(): void {
    this.start().catch((error: unknown) => this.#lose(error))
  }

  #lose(error: unknown): void {
    const why = error instanceof Error ? error.message : String(error)
    if (!this.#isStopping) this.#options.events.onLost(this.member, why)
  }
}
