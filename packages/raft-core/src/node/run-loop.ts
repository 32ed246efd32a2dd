import type { StateMachine } from '../contracts/state-machine.ts'
import type { Storage } from '../contracts/storage.ts'
import type { Transport } from '../contracts/transport.ts'
import type { Environment } from '../environment.ts'
import { RaftError } from '../errors.ts'
import type { InstallSnapshot, Message } from '../messages.ts'
import type { NodeOptions } from '../options.ts'
import type { Effects, FetchWork, Raft } from '../protocol/raft.ts'
import type { Trace } from '../trace.ts'
import type { LogIndex, NodeId, Position, SnapshotMeta } from '../types.ts'
import { Applier } from './applier.ts'
import { answerForwarded, forwardProposals, handleForwardedReply } from './forwarding.ts'
import type { Applied, NodeStatus, Waiting } from './node.ts'
import { Proposals } from './proposals.ts'
import { Reads } from './reads.ts'
import { Snapshots } from './snapshots.ts'

export interface LoopParts<Result> {
  readonly raft: Raft
  readonly storage: Storage
  readonly transport: Transport
  readonly stateMachine: StateMachine<Result>
  readonly environment: Environment
  readonly options: NodeOptions
  readonly trace: Trace | null
  readonly snapshotIndex: LogIndex
}

interface Job {
  readonly run: () => void
  /** Called instead if the node stops first. */
  readonly cancel?: () => void
}

interface Condition {
  readonly holds: () => boolean
  readonly resolve: () => void
  readonly reject: (reason: unknown) => void
}

/** Messages that may wait for a turn; more are dropped, as a network would. */
const MAX_INBOX = 65_536

/**
 * The one place that drives the protocol, one turn at a time. Whatever arrives waits for the next
 * turn; a turn takes in everything that arrived before it, then carries out what the protocol wants
 * done. So many messages become one write, and nothing ever happens in the middle of a turn.
 */
export class RunLoop<Result> {
  readonly #raft: Raft
  readonly #storage: Storage
  readonly #transport: Transport
  readonly #environment: Environment
  readonly #options: NodeOptions
  readonly #trace: Trace | null
  readonly #proposals: Proposals<Result>
  readonly #reads: Reads
  readonly #applier: Applier<Result>
  readonly #snapshots: Snapshots
  readonly #abort = new AbortController()

  #inbox: Message[] = []
  #jobs: Job[] = []
  #conditions: Condition[] = []
  #tickIsDue = false
  #ticks = 0
  #turnIsScheduled = false
  #stopTicking: () => void = () => {}

  /** Writes that wait for the one under way. */
  readonly #writes: (() => Promise<void>)[] = []
  #isWriting = false
  #toCompact: Position | null = null

  /** Work under way that the storage or the transport must outlive. */
  readonly #underWay = new Set<Promise<unknown>>()
  readonly #onChange = new Set<() => void>()
  /** What was last announced. */
  #known: Pick<NodeStatus, 'role' | 'term' | 'leader' | 'membership'>

  #failure: { readonly cause: unknown } | null = null
  #stopped = false
  readonly stopped: Promise<Error | null>
  #resolveStopped: (cause: Error | null) => void = () => {}

  constructor(parts: LoopParts<Result>) {
    this.#raft = parts.raft
    this.#storage = parts.storage
    this.#transport = parts.transport
    this.#environment = parts.environment
    this.#options = parts.options
    this.#trace = parts.trace
    this.#proposals = new Proposals(parts.options.maxPendingProposals)
    this.#reads = new Reads(parts.options.maxPendingReads)
    this.#applier = new Applier({
      raft: parts.raft,
      storage: parts.storage,
      stateMachine: parts.stateMachine,
      proposals: this.#proposals,
      maxBytes: parts.options.maxApplyBytes,
    })
    this.#snapshots = new Snapshots({
      raft: parts.raft,
      storage: parts.storage,
      transport: parts.transport,
      stateMachine: parts.stateMachine,
      options: parts.options,
      trace: parts.trace,
      loop: { enter: (job) => this.enter(job), signal: this.#abort.signal },
      index: parts.snapshotIndex,
    })
    const { role, term, leader, membership } = parts.raft
    this.#known = { role, term, leader, membership }
    this.stopped = new Promise((resolve) => {
      this.#resolveStopped = resolve
    })
  }

  async start(): Promise<void> {
    await this.#transport.start({
      onMessage: (message) => this.#receive(message),
      onSnapshot: (message, chunks) => this.#receiveSnapshot(message, chunks),
      onUnreachable: (peer) => this.#enqueue(() => this.#raft.peerUnreachable(peer)),
    })
    this.#transport.setPeers(this.#raft.membership.peers)
    this.#stopTicking = this.#environment.every(this.#options.tickMs, () => {
      // Ticks missed while the process stood still are not made up for: what arrived meanwhile is
      // taken in first, and may show that the leader is alive after all.
      this.#tickIsDue = true
      this.#scheduleTurn()
    })
    this.#scheduleTurn()
  }

  // Calls from outside, between turns.

  propose(command: Uint8Array, { signal }: Waiting): Promise<Applied<Result>> {
    if (this.#stopped) return Promise.reject(this.#stoppedError())
    if (command.length > this.#options.maxCommandBytes)
      return Promise.reject(
        new RaftError(
          'PROPOSAL_TOO_LARGE',
          `a command of ${command.length} bytes exceeds ${this.#options.maxCommandBytes}`,
        ),
      )
    this.#scheduleTurn()
    return this.#proposals.propose(command, this.#deadline(), signal)
  }

  read({ signal }: Waiting): Promise<LogIndex> {
    if (this.#stopped) return Promise.reject(this.#stoppedError())
    this.#scheduleTurn()
    return this.#reads.read(this.#deadline(), signal)
  }

  async transferLeadership(to: NodeId | null, { signal }: Waiting): Promise<void> {
    const heir = await this.enter(() => {
      const { role, leader } = this.#raft
      if (role !== 'leader')
        throw new RaftError('NOT_LEADER', 'only a leader hands over', { leader })
      return this.#raft.transferLeadership(to)
    })
    if (heir === null) throw new RaftError('UNAVAILABLE', 'no other voter can take over')
    await this.#until(() => this.#raft.role !== 'leader' || !this.#raft.transferring, signal)
    if (this.#raft.role === 'leader')
      throw new RaftError('UNAVAILABLE', `${heir} did not take over within an election timeout`)
  }

  async snapshot({ signal }: Waiting): Promise<SnapshotMeta> {
    await this.#until(() => this.#applier.isIdle && this.#snapshots.canTake, signal)
    return this.#takeSnapshot()
  }

  status(): NodeStatus {
    const raft = this.#raft
    return {
      id: raft.id,
      role: raft.role,
      term: raft.term,
      leader: raft.leader,
      firstIndex: raft.firstIndex,
      lastIndex: raft.lastIndex,
      commitIndex: raft.commitIndex,
      appliedIndex: raft.appliedIndex,
      snapshotIndex: this.#snapshots.index,
      membership: raft.membership,
      peers: raft.peers,
    }
  }

  async *watch({ signal }: Waiting): AsyncGenerator<NodeStatus> {
    let changed = true
    let wake: () => void = () => {}
    const notify = (): void => {
      changed = true
      wake()
    }
    this.#onChange.add(notify)
    signal?.addEventListener('abort', notify)
    try {
      while (!this.#stopped) {
        signal?.throwIfAborted()
        if (changed) {
          changed = false
          yield this.status()
        } else
          await new Promise<void>((resolve) => {
            wake = resolve
          })
      }
    } finally {
      this.#onChange.delete(notify)
      signal?.removeEventListener('abort', notify)
    }
  }

  /** Runs `job` in the next turn and answers with what it returns. */
  enter<Value>(job: () => Value): Promise<Value> {
    if (this.#stopped) return Promise.reject(this.#stoppedError())
    return new Promise((resolve, reject) => {
      const run = (): void => {
        try {
          resolve(job())
        } catch (error) {
          reject(error)
          if (!(error instanceof RaftError)) throw error
        }
      }
      this.#jobs.push({ run, cancel: () => reject(this.#stoppedError()) })
      this.#scheduleTurn()
    })
  }

  /** Ends everything; resolves when nothing uses the storage or the transport any more. */
  async stop(): Promise<void> {
    this.#end(null)
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay)
  }

  // What arrives waits for a turn.

  #receive(message: Message): void {
    if (this.#stopped || this.#inbox.length >= MAX_INBOX) return
    this.#inbox.push(message)
    this.#scheduleTurn()
  }

  /** These run in the next turn, before anything new is done. */
  #enqueue(...jobs: readonly (() => void)[]): void {
    for (const run of jobs) this.#jobs.push({ run })
    this.#scheduleTurn()
  }

  #scheduleTurn(): void {
    if (this.#turnIsScheduled || this.#stopped) return
    this.#turnIsScheduled = true
    this.#environment.schedule(() => {
      this.#turnIsScheduled = false
      if (this.#stopped) return
      try {
        this.#turn()
      } catch (error) {
        this.#fail(error)
      }
    })
  }

  #turn(): void {
    this.#stepMessages()
    this.#runJobs()
    this.#tick()
    this.#noticeLeader()
    this.#handOnProposals()
    this.#reads.ask(this.#raft, this.#ticks)
    this.#carryOut(this.#raft.effects())
    this.#applyCommitted()
    this.#announceChanges()
    this.#checkConditions()
  }

  #stepMessages(): void {
    if (this.#inbox.length === 0) return
    const messages = this.#inbox
    this.#inbox = []
    for (const message of messages) {
      if (message.type === 'propose') this.#transport.send(answerForwarded(this.#raft, message))
      else if (message.type === 'propose-reply')
        handleForwardedReply(this.#raft, this.#proposals, message)
      // A snapshot is announced by the stream that carries it, never by a message alone.
      else if (message.type !== 'install-snapshot') this.#raft.step(message)
    }
  }

  #runJobs(): void {
    if (this.#jobs.length === 0) return
    const jobs = this.#jobs
    this.#jobs = []
    for (const job of jobs) job.run()
  }

  #tick(): void {
    if (!this.#tickIsDue) return
    this.#tickIsDue = false
    this.#ticks += 1
    this.#raft.tick()
    this.#proposals.expire(this.#ticks, this.#raft.leader)
    this.#proposals.retry()
    this.#reads.expire(this.#ticks, this.#raft.leader)
  }

  /** A leader appends its proposals; a follower sends them to the leader; without one they wait. */
  #handOnProposals(): void {
    const raft = this.#raft
    if (!this.#proposals.wantsLeader || raft.transferring) return
    if (raft.role === 'leader') {
      const queue = this.#proposals.takeQueue()
      const { accepted, first } = raft.propose(queue.map((proposal) => proposal.command))
      this.#proposals.place(accepted === queue.length ? queue : queue.slice(0, accepted), first)
      if (accepted < queue.length) this.#proposals.putBack(queue.slice(accepted))
    } else if (raft.leader !== null)
      forwardProposals(raft, this.#proposals, raft.leader, (message) =>
        this.#transport.send(message),
      )
  }

  #carryOut(effects: Effects): void {
    for (const message of effects.messages) this.#transport.send(message)
    const { append } = effects
    if (append !== null)
      this.#write(
        () => this.#storage.append(append),
        () => this.#raft.appendDone(),
      )
    for (const fetch of effects.fetches) this.#spawn(this.#fetch(fetch))
    for (const to of effects.snapshots) this.#spawn(this.#snapshots.send(to))
    for (const outcome of effects.reads) this.#reads.answered(outcome, this.#raft.appliedIndex)
  }

  /** One write at a time, in the order they were asked for. A failed one is the end of the node. */
  #write(write: () => Promise<void>, done: () => void): void {
    this.#writes.push(async () => {
      await write()
      this.#isWriting = false
      this.#enqueue(done)
      this.#startNextWrite()
    })
    this.#startNextWrite()
  }

  #startNextWrite(): void {
    if (this.#isWriting || this.#stopped) return
    const next = this.#writes.shift()
    if (next === undefined) return
    this.#isWriting = true
    this.#spawn(next())
  }

  async #fetch({ id, from, end, maxBytes }: FetchWork): Promise<void> {
    const entries = await this.#storage.entries(from, end, { maxBytes }).catch((error: unknown) => {
      // The log was compacted meanwhile: the follower will get a snapshot.
      if (error instanceof RaftError && error.code === 'COMPACTED') return null
      throw error
    })
    this.#enqueue(() => this.#raft.entriesFetched(id, entries))
  }

  /** Applies a helping of what is committed, and comes back for more: heartbeats go in between. */
  #applyCommitted(): void {
    if (this.#applier.isBehind) {
      const working = this.#applier.applyNext()
      if (working === null) this.#afterApply()
      else this.#spawn(working.then((settle) => this.#enqueue(settle, () => this.#afterApply())))
    }
    const { bytesApplied, isIdle } = this.#applier
    if (isIdle && this.#snapshots.isDue(bytesApplied)) this.#spawn(this.#takeSnapshot())
  }

  #afterApply(): void {
    const { appliedIndex, id, term } = this.#raft
    this.#trace?.({ type: 'entries-applied', node: id, term, index: appliedIndex })
    this.#reads.applied(appliedIndex)
    if (this.#applier.isBehind) this.#scheduleTurn()
  }

  async #takeSnapshot(): Promise<SnapshotMeta> {
    const meta = await this.#snapshots.take(this.#applier.bytesApplied)
    await this.enter(() => this.#compact(meta.position.index - this.#options.keepEntries))
    return meta
  }

  /** The storage forgets what the snapshot covers, less a tail for followers a little behind. */
  #compact(index: LogIndex): void {
    const position = this.#raft.compact(index)
    if (position === null) return
    // If one is waiting already, it takes this one along.
    const isWaiting = this.#toCompact !== null
    this.#toCompact = position
    if (isWaiting) return
    this.#write(
      () => {
        const upTo = this.#toCompact ?? position
        this.#toCompact = null
        return this.#storage.compact(upTo)
      },
      () => {},
    )
  }

  async #receiveSnapshot(
    message: InstallSnapshot,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    const wanted = await this.enter(() => {
      this.#raft.step(message)
      return this.#raft.wantsSnapshot(message)
    })
    if (!wanted) return
    const receiving = this.#snapshots.receive(message, chunks)
    this.#spawn(receiving)
    const failed = await receiving
    if (failed !== null) throw failed.failure
    await this.enter(() => {
      if (this.#raft.installSnapshot(message))
        this.#applier.restoreUpTo(message.meta.position.index)
    })
  }

  /** With the leader goes the hope for what was sent to it; a new one gives hope to what waits. */
  #noticeLeader(): void {
    const { term, leader } = this.#raft
    if (this.#known.term === term && this.#known.leader === leader) return
    this.#proposals.loseForwarded(leader)
    if (leader === null) return
    this.#proposals.retry()
    this.#reads.retry()
  }

  #announceChanges(): void {
    const { role, term, leader, membership } = this.#raft
    const known = this.#known
    const isKnown =
      known.role === role &&
      known.term === term &&
      known.leader === leader &&
      known.membership === membership
    if (isKnown) return
    this.#known = { role, term, leader, membership }
    if (known.membership !== membership) this.#transport.setPeers(membership.peers)
    for (const notify of this.#onChange) notify()
  }

  #checkConditions(): void {
    if (this.#conditions.length === 0) return
    const waiting = this.#conditions
    this.#conditions = []
    for (const condition of waiting)
      if (condition.holds()) condition.resolve()
      else this.#conditions.push(condition)
  }

  /** Resolves after the first turn that leaves `holds` true. */
  #until(holds: () => boolean, signal?: AbortSignal): Promise<void> {
    if (this.#stopped) return Promise.reject(this.#stoppedError())
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.#conditions = this.#conditions.filter((waiting) => waiting !== condition)
        reject(signal?.reason)
      }
      const finish = (settle: () => void): void => {
        signal?.removeEventListener('abort', abort)
        settle()
      }
      const condition: Condition = {
        holds,
        resolve: () => finish(resolve),
        reject: (reason) => finish(() => reject(reason)),
      }
      if (signal?.aborted === true) return reject(signal.reason)
      signal?.addEventListener('abort', abort)
      this.#conditions.push(condition)
      this.#scheduleTurn()
    })
  }

  #deadline(): number {
    return this.#ticks + this.#options.requestTimeoutTicks
  }

  /** The only place where work is left to itself: its failure is the node's. */
  #spawn(work: Promise<unknown>): void {
    const watched = work
      .catch((error: unknown) => {
        if (!this.#stopped) this.#fail(error)
      })
      .finally(() => this.#underWay.delete(watched))
    this.#underWay.add(watched)
  }

  /** Fail-stop: a node that cannot trust its disk or itself says so and does nothing more. */
  #fail(cause: unknown): void {
    if (this.#stopped) return
    this.#failure = { cause }
    this.#trace?.({ type: 'node-failed', node: this.#raft.id, term: this.#raft.term, cause })
    this.#end(cause instanceof Error ? cause : new Error(String(cause)))
  }

  #end(cause: Error | null): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#stopTicking()
    this.#abort.abort(this.#stoppedError())
    this.#proposals.stop(cause ?? undefined)
    this.#reads.stop(cause ?? undefined)
    for (const job of this.#jobs) job.cancel?.()
    for (const condition of this.#conditions) condition.reject(this.#stoppedError())
    this.#jobs = []
    this.#conditions = []
    for (const notify of this.#onChange) notify()
    this.#resolveStopped(cause)
  }

  #stoppedError(): RaftError {
    return this.#failure === null
      ? new RaftError('STOPPED', 'the node was disposed')
      : new RaftError('STOPPED', 'the node has failed', this.#failure)
  }
}
