import type { StateMachine } from '../contracts/state-machine.ts'
import type { Storage } from '../contracts/storage.ts'
import type { OpenSnapshot, Transport } from '../contracts/transport.ts'
import type { Environment } from '../environment.ts'
import { RaftError } from '../errors.ts'
import type { InstallSnapshot, Message } from '../messages.ts'
import type { NodeOptions } from '../options.ts'
import type { Effects, FetchWork, Raft } from '../protocol/raft.ts'
import type { Trace } from '../trace.ts'
import type { LogIndex, NodeId, Peer, SnapshotMeta } from '../types.ts'
import { Addresses, type Introduction, isIntroduction } from './addresses.ts'
import { Applier } from './applier.ts'
import { answerForwarded, forwardProposals, handleForwardedReply } from './forwarding.ts'
import type { Applied, NodeStatus, ReadOptions, Waiting } from './node.ts'
import { Operations } from './operations.ts'
import { Proposals } from './proposals.ts'
import { checkConsistency, Reads } from './reads.ts'
import { Snapshots } from './snapshots.ts'
import { Turns } from './turns.ts'
import { Watchers } from './watchers.ts'
import { Writes } from './writes.ts'

export interface LoopParts<Result> {
  readonly raft: Raft
  readonly storage: Storage
  readonly transport: Transport
  readonly stateMachine: StateMachine<Result>
  readonly environment: Environment
  readonly options: NodeOptions
  readonly trace: Trace | null
  /** What describes the newest stored snapshot. */
  readonly snapshot: SnapshotMeta | null
  readonly contacts: readonly Peer[]
}

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
  /** One object for the life of the node, shared with its parts, and changed by `reconfigure` alone. */
  readonly #options: NodeOptions
  readonly #trace: Trace | null
  readonly #addresses: Addresses
  readonly #proposals: Proposals<Result>
  readonly #reads: Reads
  readonly #applier: Applier<Result>
  readonly #snapshots: Snapshots
  readonly #abort = new AbortController()

  readonly #turns: Turns
  /** What else is asked of a node, beside commands and reads. */
  readonly operations: Operations
  readonly #writes: Writes
  readonly #watchers = new Watchers()

  #inbox: Message[] = []
  /** Peers that messages were lost to; one that is reported again before its turn is one. */
  readonly #unreachable = new Set<NodeId>()
  #tickIsDue = false
  #ticks = 0
  #stopTicking: () => void = () => {}

  /** Work under way that the storage or the transport must outlive. */
  readonly #underWay = new Set<Promise<unknown>>()
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
    this.#addresses = new Addresses(parts.transport, parts.contacts)
    this.#turns = new Turns(parts.environment, () => this.#turnSafely())
    this.operations = new Operations({
      raft: parts.raft,
      turns: this.#turns,
      options: parts.options,
      restartTicking: () => this.#startTicking(),
    })
    this.#writes = new Writes(parts.storage, (work) => this.#spawn(work))
    const firstId = drawFirstId(parts.environment)
    this.#proposals = new Proposals(parts.options, firstId)
    this.#reads = new Reads(parts.options, firstId)
    this.#applier = new Applier({
      raft: parts.raft,
      storage: parts.storage,
      stateMachine: parts.stateMachine,
      proposals: this.#proposals,
      options: parts.options,
    })
    this.#snapshots = new Snapshots({
      raft: parts.raft,
      storage: parts.storage,
      transport: parts.transport,
      stateMachine: parts.stateMachine,
      options: parts.options,
      trace: parts.trace,
      loop: {
        enter: (job) => this.#turns.enter(job),
        eventually: (attempt) => this.#turns.eventually(attempt),
        signal: this.#abort.signal,
      },
      restorer: this.#applier,
      newest: parts.snapshot,
      nowMs: parts.environment.now(),
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
      onSnapshot: (message, open) => this.#receiveSnapshot(message, open),
      onUnreachable: (peer) => this.#lose(peer),
    })
    this.#addresses.follow(this.#raft.membership.peers)
    this.#startTicking()
    this.#turns.request()
  }

  #startTicking(): void {
    this.#stopTicking()
    this.#stopTicking = this.#environment.every(this.#options.tickMs, () => {
      // Ticks missed while the process stood still are not made up for: what arrived meanwhile is
      // taken in first, and may show that the leader is alive after all.
      this.#tickIsDue = true
      this.#turns.request()
    })
  }

  // Calls from outside, between turns.

  propose(command: Uint8Array, { signal }: Waiting): Promise<Applied<Result>> {
    if (this.#stopped) return Promise.reject(this.#stoppedError())
    if (signal?.aborted === true) return Promise.reject(signal.reason)
    if (command.length > this.#options.maxCommandBytes)
      return Promise.reject(
        new RaftError(
          'PROPOSAL_TOO_LARGE',
          `a command of ${command.length} bytes exceeds ${this.#options.maxCommandBytes}`,
        ),
      )
    this.#turns.request()
    return this.#proposals.propose(command, this.#deadline(), signal)
  }

  read({ consistency = 'linearizable', signal }: ReadOptions): Promise<LogIndex> {
    if (this.#stopped) return Promise.reject(this.#stoppedError())
    if (signal?.aborted === true) return Promise.reject(signal.reason)
    try {
      checkConsistency(consistency)
    } catch (error) {
      return Promise.reject(error)
    }
    const index =
      consistency === 'linearizable'
        ? null
        : this.#reads.sufficientIndex(consistency, this.#environment.now())
    const { appliedIndex } = this.#raft
    if (index !== null && index <= appliedIndex) return Promise.resolve(appliedIndex)
    this.#turns.request()
    return this.#reads.read(index, { deadline: this.#deadline(), signal })
  }

  snapshot(waiting: Waiting): Promise<SnapshotMeta> {
    return this.operations.count(() => this.#snapshot(waiting))
  }

  async #snapshot({ signal }: Waiting): Promise<SnapshotMeta> {
    const { taking } = await this.#turns.eventually(() => {
      if (this.#raft.appliedIndex === 0)
        throw new RaftError('UNAVAILABLE', 'there is nothing to take a snapshot of yet')
      if (!this.#applier.isIdle || !this.#snapshots.canTake) return null
      // Wrapped, for a promise to be taken is not to be awaited here.
      return { taking: this.#takeSnapshot() }
    }, signal)
    // What fails here is the node's failure first, and the caller learns of that.
    this.#spawn(taking)
    return taking.catch((error: unknown) => {
      throw error instanceof RaftError ? error : this.#stoppedError()
    })
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
      durableIndex: raft.durableIndex,
      commitIndex: raft.commitIndex,
      appliedIndex: raft.appliedIndex,
      snapshotIndex: this.#snapshots.index,
      membership: raft.membership,
      membershipIndex: raft.membershipIndex,
      removed: raft.isRemoved,
      peers: raft.peers.map((peer) => ({
        ...peer,
        snapshot: this.#snapshots.sendingTo(peer.id),
      })),
    }
  }

  watch(waiting: Waiting): AsyncIterable<NodeStatus> {
    return this.#watchers.watch(() => this.status(), waiting)
  }

  /** Ends everything; resolves when nothing uses the storage or the transport any more. */
  async stop(): Promise<void> {
    this.#end(null)
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay)
  }

  // What arrives waits for a turn.

  #receive(message: Message): void {
    if (this.#stopped || this.#inbox.length >= this.#options.maxPendingMessages) return
    this.#inbox.push(message)
    this.#turns.request()
  }

  #lose(peer: NodeId): void {
    if (this.#stopped) return
    this.#unreachable.add(peer)
    this.#turns.request()
  }

  #turnSafely(): void {
    try {
      this.#turn()
    } catch (error) {
      this.#fail(error)
    }
  }

  #turn(): void {
    this.#raft.clock(this.#environment.now())
    this.#stepMessages()
    for (const peer of this.#unreachable) this.#raft.peerUnreachable(peer)
    this.#unreachable.clear()
    this.#turns.runJobs()
    this.#tick()
    this.#noticeLeader()
    this.#handOnProposals()
    if (this.#reads.wantsTurn) this.#askReads()
    this.#carryOut(this.#raft.effects())
    this.#applyCommitted()
    this.#announceChanges()
    this.#turns.runAttempts()
    if (this.#raft.isRemoved) this.#retire()
  }

  #stepMessages(): void {
    if (this.#inbox.length === 0) return
    const messages = this.#inbox
    this.#inbox = []
    for (const message of messages) {
      if (message.type === 'propose')
        this.#transport.send(answerForwarded(this.#raft, message, this.#options))
      else if (message.type === 'propose-reply')
        handleForwardedReply(this.#raft, this.#proposals, message)
      // A snapshot is announced by the stream that carries it, never by a message alone.
      else if (message.type !== 'install-snapshot') {
        this.#raft.step(message)
        if (isIntroduction(message)) this.#hearAddress(message)
      }
    }
  }

  #hearAddress(message: Introduction): void {
    const { leader, membership } = this.#raft
    const isLeader = leader === message.from
    // Whom the protocol still answers of those who are out, it says itself.
    const isOut = membership.removed.some(({ id }) => id === message.from)
    if (isLeader || !isOut) this.#addresses.hear(message, isLeader)
  }

  #tick(): void {
    if (!this.#tickIsDue) return
    this.#tickIsDue = false
    this.#ticks += 1
    this.#raft.tick()
    const dropping = this.#snapshots.tick()
    if (dropping !== null) this.#spawn(dropping)
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

  #askReads(): void {
    const nowMs = this.#environment.now()
    this.#reads.ask(this.#raft, { tick: this.#ticks, nowMs })
    // A lease must last until the reads have come, and some may have come since the turn began.
    this.#raft.clock(nowMs)
  }

  #carryOut(effects: Effects): void {
    // Before anything is sent, or what is for a new peer is lost.
    if (effects.peers !== null) this.#addresses.follow(effects.peers)
    for (const message of effects.messages) this.#transport.send(message)
    const { append } = effects
    if (append !== null)
      this.#writes.add(async () => {
        await this.#storage.append(append)
        this.#turns.enqueue(() => this.#raft.appendDone())
      })
    for (const fetch of effects.fetches) this.#spawn(this.#fetch(fetch))
    for (const to of effects.snapshots) this.#spawn(this.#snapshots.send(to))
    for (const outcome of effects.reads) this.#reads.answered(outcome, this.#raft.appliedIndex)
  }

  async #fetch({ id, from, end, maxBytes }: FetchWork): Promise<void> {
    const entries = await this.#storage.entries(from, end, { maxBytes }).catch((error: unknown) => {
      // The log was compacted meanwhile: the follower will get a snapshot.
      if (error instanceof RaftError && error.code === 'COMPACTED') return null
      throw error
    })
    this.#turns.enqueue(() => this.#raft.entriesFetched(id, entries))
  }

  /** Applies a helping of what is committed, and comes back for more: heartbeats go in between. */
  #applyCommitted(): void {
    if (this.#applier.isBehind) {
      const working = this.#applier.applyNext()
      if (working === null) this.#afterApply()
      else
        this.#spawn(working.then((settle) => this.#turns.enqueue(settle, () => this.#afterApply())))
    }
    const { bytesApplied, isIdle } = this.#applier
    const nowMs = this.#environment.now()
    if (isIdle && this.#snapshots.isDue(bytesApplied, nowMs)) this.#spawn(this.#takeSnapshot())
  }

  #afterApply(): void {
    const { appliedIndex, id, term } = this.#raft
    this.#trace?.({ type: 'entries-applied', node: id, term, index: appliedIndex })
    this.#reads.applied(appliedIndex)
    if (this.#applier.isBehind) this.#turns.request()
  }

  async #takeSnapshot(): Promise<SnapshotMeta> {
    const nowMs = this.#environment.now()
    const meta = await this.#snapshots.take(this.#applier.bytesApplied, nowMs)
    await this.#turns.enter(() => this.#compact(meta.position.index - this.#options.keepEntries))
    return meta
  }

  /** The storage forgets what the snapshot covers, less a tail for followers a little behind. */
  #compact(index: LogIndex): void {
    const position = this.#raft.compact(index)
    if (position !== null) this.#writes.compact(position)
  }

  async #receiveSnapshot(message: InstallSnapshot, open: OpenSnapshot): Promise<void> {
    const wanted = await this.#turns.enter(() => {
      this.#raft.step(message)
      return this.#raft.wantsSnapshot(message)
    })
    if (!wanted) return
    const receiving = this.#snapshots.receive(message, open)
    this.#spawn(receiving)
    const failed = await receiving
    if (failed !== null) throw failed.failure
  }

  /** With the leader goes the hope for what was sent to it; a new one gives hope to what waits. */
  #noticeLeader(): void {
    const { term, leader } = this.#raft
    if (this.#known.term === term && this.#known.leader === leader) return
    this.#proposals.loseForwarded(leader)
    if (leader === null) return
    this.#proposals.retry()
    this.#reads.askAgain()
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
    this.#watchers.changed()
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

  /** The cluster goes on without this node, and it has nobody left to work for. */
  #retire(): void {
    if (this.#stopped) return
    const cause = new RaftError('REMOVED', 'the cluster has removed this node')
    this.#failure = { cause }
    this.#watchers.changed()
    this.#end(cause)
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
    const reason = this.#stoppedError()
    this.#abort.abort(reason)
    this.#turns.stop(reason)
    this.#proposals.stop(reason)
    this.#reads.stop(reason)
    this.#watchers.stop()
    this.#resolveStopped(cause)
  }

  #stoppedError(): RaftError {
    return this.#failure === null
      ? new RaftError('STOPPED', 'the node was disposed')
      : new RaftError('STOPPED', 'the node has stopped', this.#failure)
  }
}

/**
 * Numbers of questions are never used twice, not even after a restart: an answer to what this node
 * asked before it crashed may still be on its way, and would be taken for an answer to something
 * else. So each life of a node counts from somewhere else.
 */
function drawFirstId(environment: Environment): number {
  return Math.floor(environment.random() * 2 ** 32) * 2 ** 20
}
