import type { StateMachine } from '../contracts/state-machine.ts'
import type { Storage } from '../contracts/storage.ts'
import type { Transport } from '../contracts/transport.ts'
import type { Environment } from '../environment.ts'
import { RaftError } from '../errors.ts'
import type { NodeOptions } from '../options.ts'
import type { Effects, FetchWork, Raft } from '../protocol/raft.ts'
import type { Trace } from '../trace.ts'
import type { LogIndex, NodeId, Peer, SnapshotMeta, Term } from '../types.ts'
import { Addresses, isIntroduction } from './addresses.ts'
import { Applier } from './applier.ts'
import { faultOf } from './consistency.ts'
import { answerForwarded, forwardProposals, handleForwardedReply } from './forwarding.ts'
import { Inbox } from './inbox.ts'
import { Lifetime } from './lifetime.ts'
import type { Applied, ReadOptions, Waiting } from './node.ts'
import { Operations } from './operations.ts'
import { Proposals } from './proposals.ts'
import { Reads } from './reads.ts'
import { Snapshots } from './snapshots.ts'
import { type NodeStatus, statusOf } from './status.ts'
import { Ticking } from './ticking.ts'
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

  readonly lifetime: Lifetime
  readonly #turns: Turns
  readonly #ticking: Ticking
  readonly #inbox: Inbox
  readonly #addresses: Addresses
  readonly #proposals: Proposals<Result>
  readonly #reads: Reads
  /** What else is asked of a node, beside commands and reads. */
  readonly operations: Operations
  readonly #writes: Writes
  readonly #applier: Applier<Result>
  readonly #snapshots: Snapshots
  readonly #watchers: Watchers

  /** Who leads, as of the last turn. */
  #known: { readonly term: Term; readonly leader: NodeId | null }

  constructor(parts: LoopParts<Result>) {
    const { raft, storage, transport, environment, options, trace } = parts
    this.#raft = raft
    this.#storage = storage
    this.#transport = transport
    this.#environment = environment
    this.#options = options
    this.#trace = trace
    this.#known = { term: raft.term, leader: raft.leader }
    const lifetime = new Lifetime({
      end: (refusal) => this.#end(refusal),
      failure: (cause) => trace?.({ type: 'node-failed', node: raft.id, term: raft.term, cause }),
    })
    this.lifetime = lifetime
    const turns = new Turns(environment, () => this.#turnSafely())
    const ticking = new Ticking(environment, turns, options)
    this.#turns = turns
    this.#ticking = ticking
    this.#inbox = new Inbox(turns, options)
    this.#addresses = new Addresses(transport, parts.contacts)
    const firstId = drawFirstId(environment)
    this.#proposals = new Proposals(options, firstId)
    this.#reads = new Reads(options, firstId)
    this.operations = new Operations({ raft, turns, ticking, options })
    const writes = new Writes(storage, (work) => lifetime.spawn(work))
    this.#writes = writes
    const applier = new Applier({ ...parts, proposals: this.#proposals })
    this.#applier = applier
    const newest = parts.snapshot
    this.#snapshots = new Snapshots({ ...parts, turns, ticking, lifetime, writes, applier, newest })
    this.#watchers = new Watchers(raft)
  }

  async start(): Promise<void> {
    await this.#transport.start({
      onMessage: (message) => this.#inbox.receive(message),
      onSnapshot: (message, open) => this.#snapshots.receive(message, open),
      onUnreachable: (peer) => this.#inbox.lose(peer),
    })
    this.#addresses.follow(this.#raft.membership.peers)
    this.#ticking.start()
    this.#turns.request()
  }

  // Calls from outside, between turns.

  propose(command: Uint8Array, { signal }: Waiting): Promise<Applied<Result>> {
    const refused = this.#refused(signal)
    if (refused !== null) return refused
    this.#turns.request()
    return this.#proposals.propose(command, this.#ticking.deadline, signal)
  }

  read({ consistency = 'linearizable', signal }: ReadOptions): Promise<LogIndex> {
    const refused = this.#refused(signal)
    if (refused !== null) return refused
    const fault = faultOf(consistency)
    if (fault !== null) return Promise.reject(fault)
    const index = this.#reads.indexFor(consistency, this.#environment.now())
    const { appliedIndex } = this.#raft
    if (index !== null && index <= appliedIndex) return Promise.resolve(appliedIndex)
    this.#turns.request()
    return this.#reads.read(index, { deadline: this.#ticking.deadline, signal })
  }

  /** What nothing is asked for after: the node's end, or the signal. */
  #refused(signal: AbortSignal | undefined): Promise<never> | null {
    if (this.lifetime.isOver) return Promise.reject(this.lifetime.refusal())
    return signal?.aborted === true ? Promise.reject(signal.reason) : null
  }

  snapshot(waiting: Waiting): Promise<SnapshotMeta> {
    return this.operations.count(() => this.#snapshots.takeSoon(waiting))
  }

  status(): NodeStatus {
    return statusOf(this.#raft, this.#snapshots)
  }

  watch(waiting: Waiting): AsyncIterable<NodeStatus> {
    return this.#watchers.watch(() => this.status(), waiting)
  }

  /** Ends everything; resolves when nothing uses the storage or the transport any more. */
  async stop(): Promise<void> {
    this.lifetime.end(null)
    await this.lifetime.settled()
  }

  #end(refusal: RaftError): void {
    this.#ticking.stop()
    this.#turns.stop(refusal)
    this.#proposals.stop(refusal)
    this.#reads.stop(refusal)
    this.#watchers.stop()
  }

  #turnSafely(): void {
    try {
      this.#turn()
    } catch (error) {
      this.lifetime.fail(error)
    }
  }

  #turn(): void {
    this.#raft.clock(this.#environment.now())
    this.#stepMessages()
    for (const peer of this.#inbox.takeUnreachable()) this.#raft.peerUnreachable(peer)
    this.#turns.runJobs()
    this.#tick()
    this.#noticeLeader()
    this.#handOnProposals()
    if (this.#reads.wantsTurn) this.#askReads()
    this.#carryOut(this.#raft.effects())
    this.#applyCommitted()
    this.#watchers.look(this.#raft)
    this.#turns.runAttempts()
    if (this.#raft.isRemoved) this.#retire()
  }

  #stepMessages(): void {
    for (const message of this.#inbox.takeMessages()) {
      if (message.type === 'propose')
        this.#transport.send(answerForwarded(this.#raft, message, this.#options))
      else if (message.type === 'propose-reply')
        handleForwardedReply(this.#raft, this.#proposals, message)
      // A snapshot is announced by the stream that carries it, never by a message alone.
      else if (message.type !== 'install-snapshot') {
        this.#raft.step(message)
        if (isIntroduction(message)) this.#addresses.hear(message, this.#raft)
      }
    }
  }

  #tick(): void {
    if (!this.#ticking.take()) return
    this.#raft.tick()
    this.#snapshots.tick()
    const { leader } = this.#raft
    this.#proposals.expire(this.#ticking.now, leader)
    this.#proposals.retry()
    this.#reads.expire(this.#ticking.now, leader)
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
    this.#reads.ask(this.#raft, { tick: this.#ticking.now, nowMs })
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
        // What was sent is on its way before this machine turns to its own disk (thesis 10.2.1).
        await Promise.resolve()
        await this.#storage.append(append)
        this.#turns.enqueue(() => this.#raft.appendDone())
      })
    for (const fetch of effects.fetches) this.lifetime.spawn(this.#fetch(fetch))
    for (const to of effects.snapshots) this.#snapshots.send(to)
    for (const outcome of effects.reads) this.#reads.answered(outcome, this.#raft.appliedIndex)
    if (effects.more) this.#turns.request()
  }

  async #fetch({ id, from, end, maxBytes }: FetchWork): Promise<void> {
    const entries = await this.#storage.entries(from, end, { maxBytes }).catch((error: unknown) => {
      // The log was compacted meanwhile: the follower will get a snapshot.
      if (error instanceof RaftError && error.code === 'COMPACTED') return null
      // Another leader replaced them meanwhile: a leader's own log only grows (§5.3).
      if (error instanceof RangeError && !this.#raft.awaitsFetch(id)) return null
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
        this.lifetime.spawn(
          working.then((settle) => this.#turns.enqueue(settle, () => this.#afterApply())),
        )
    }
    this.#snapshots.takeIfDue()
  }

  #afterApply(): void {
    const { appliedIndex, id, term } = this.#raft
    this.#trace?.({ type: 'entries-applied', node: id, term, index: appliedIndex })
    this.#reads.applied(appliedIndex)
    if (this.#applier.isBehind) this.#turns.request()
  }

  /** With the leader goes the hope for what was sent to it; a new one gives hope to what waits. */
  #noticeLeader(): void {
    const { term, leader } = this.#raft
    if (this.#known.term === term && this.#known.leader === leader) return
    this.#known = { term, leader }
    this.#proposals.loseForwarded(leader)
    if (leader === null) return
    this.#proposals.retry()
    this.#reads.askAgain()
  }

  /** The cluster goes on without this node, and it has nobody left to work for. */
  #retire(): void {
    if (this.lifetime.isOver) return
    this.#watchers.tell()
    this.lifetime.end({ cause: new RaftError('REMOVED', 'the cluster has removed this node') })
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
