import type { AppendBatch } from '../../src/contracts/storage.ts'
import { InvariantError } from '../../src/errors.ts'
import type { InstallSnapshot, Message } from '../../src/messages.ts'
import { type ProtocolOptions, resolveOptions } from '../../src/options.ts'
import type { Progress } from '../../src/protocol/progress.ts'
import {
  CheckedRaft,
  type Effects,
  type FetchWork,
  type ProposeOutcome,
  type ProtocolMessage,
  type Raft,
  type ReadOutcome,
  stateOf,
} from '../../src/protocol/index.ts'
import type { RaftState } from '../../src/protocol/state.ts'
import type { RaftEvent } from '../../src/trace.ts'
import type {
  Entry,
  LogIndex,
  Membership,
  NodeId,
  Peer,
  SnapshotMeta,
  Term,
} from '../../src/types.ts'
import { Disk } from './disk.ts'
import { membershipEntry, read, text, voters } from './messages.ts'

export interface ServerOptions extends Partial<ProtocolOptions> {
  readonly id?: NodeId
  readonly membership?: Membership
  readonly disk?: Disk
  /** What its clock says at the start. */
  readonly now?: number
  /** Constant 0 unless given: every election timeout is then exactly `electionTicks`. */
  readonly random?: () => number
  /** Writes wait for `persist`. */
  readonly slowDisk?: boolean
  /** Committed entries wait for `apply`. */
  readonly slowMachine?: boolean
  /** Fetches wait for `answerFetch`. */
  readonly slowReads?: boolean
}

/**
 * One protocol and what it needs of the world, driven by hand. Every input is followed by taking
 * the effects. The protocol checks itself: whatever a test does, the rules of one node hold.
 */
export class Server {
  readonly id: NodeId
  readonly disk: Disk
  readonly options: ServerOptions
  raft: Raft
  now: number
  slowDisk: boolean
  slowMachine: boolean
  slowReads: boolean

  /** The write that was asked for and is not durable yet. */
  writing: AppendBatch | null = null
  fetches: FetchWork[] = []
  /** Followers that are to get a snapshot. */
  snapshotsDue: NodeId[] = []
  /** What the state machine was fed, in order; a snapshot restores it. */
  state: string[] = []
  readonly reads: ReadOutcome[] = []
  /** Who must be reachable, as it was said last. */
  peers: readonly Peer[] | null = null
  readonly events: RaftEvent[] = []
  /** Everything that has left since the test last looked. */
  #left: Message[] = []

  constructor(options: ServerOptions = {}) {
    this.id = options.id ?? 'a'
    this.options = options
    this.disk = options.disk ?? new Disk()
    this.now = options.now ?? 0
    this.slowDisk = options.slowDisk ?? false
    this.slowMachine = options.slowMachine ?? false
    this.slowReads = options.slowReads ?? false
    this.raft = this.#start()
  }

  #start(): Raft {
    const stored = this.disk.load()
    const snapshot = this.disk.snapshot
    this.state = snapshot === null ? [] : (JSON.parse(read(snapshot.bytes)) as string[])
    const raft = new CheckedRaft({
      id: this.id,
      options: resolveOptions(this.options),
      stored,
      bootstrap: this.options.membership ?? null,
      appliedIndex: snapshot?.meta.position.index ?? 0,
      random: this.options.random ?? (() => 0),
      now: this.now,
      trace: (event) => this.events.push(event),
    })
    this.raft = raft
    this.#carryOut()
    return raft
  }

  /** Loses everything that was not durable, and takes up from what was. */
  crash(): void {
    this.writing = null
    this.fetches = []
    this.snapshotsDue = []
    this.#left = []
    this.#start()
  }

  /** Runs an input and everything that follows from it at once. Answers with what left. */
  input<Value>(run: (raft: Raft) => Value): Value {
    const value = run(this.raft)
    this.#carryOut()
    return value
  }

  #carryOut(): void {
    const effects: Effects = this.raft.effects()
    this.#left.push(...effects.messages)
    this.reads.push(...effects.reads)
    if (effects.peers !== null) this.peers = effects.peers
    this.fetches.push(...effects.fetches)
    this.snapshotsDue.push(...effects.snapshots)
    if (effects.append !== null) {
      if (this.writing !== null) throw new InvariantError('one write at a time')
      this.writing = effects.append
    }
    if (this.writing !== null && !this.slowDisk) this.#persist()
    if (this.fetches.length > 0 && !this.slowReads) this.answerFetch()
    if (!this.slowMachine) this.apply()
    if (effects.more) this.#carryOut()
  }

  #persist(): void {
    const batch = this.writing
    if (batch === null) throw new Error('no write is under way')
    this.writing = null
    this.disk.append(batch)
    this.input((raft) => raft.appendDone())
  }

  /** The write under way becomes durable. Answers with what left because of it. */
  persist(): readonly Message[] {
    this.#left = []
    this.#persist()
    return this.takeLeft()
  }

  answerFetch(entries?: readonly Entry[] | null): void {
    const fetch = this.fetches.shift()
    if (fetch === undefined) throw new Error('nothing is to be fetched')
    const found =
      entries === undefined ? this.disk.read(fetch.from, fetch.end, fetch.maxBytes) : entries
    this.input((raft) => raft.entriesFetched(fetch.id, found))
  }

  /** Applies everything that may be applied. */
  apply(): void {
    while (this.raft.appliedIndex < this.raft.applicableIndex) {
      const from = this.raft.appliedIndex + 1
      const end = this.raft.applicableIndex + 1
      const entries =
        this.raft.committedEntries(from, 1 << 20) ?? this.disk.read(from, end, 1 << 20)
      for (const entry of entries) if (entry.type === 'command') this.state.push(read(entry.data))
      const last = entries.at(-1) as Entry
      this.input((raft) => raft.applied(last.index))
    }
  }

  tick(times = 1): readonly Message[] {
    this.#left = []
    for (let i = 0; i < times; i++) this.input((raft) => raft.tick())
    return this.takeLeft()
  }

  /** The clock says `now`. Answers with what left because of it. */
  clock(now: number): readonly Message[] {
    this.#left = []
    this.now = now
    this.input((raft) => raft.clock(now))
    return this.takeLeft()
  }

  receive(...messages: readonly Message[]): readonly Message[] {
    this.#left = []
    for (const message of messages) this.input((raft) => raft.step(message as ProtocolMessage))
    return this.takeLeft()
  }

  propose(...words: readonly string[]): ProposeOutcome {
    return this.input((raft) => raft.propose(words.map(text)))
  }

  readIndex(id: number): void {
    this.input((raft) => raft.readIndex(id))
  }

  /** Stores a snapshot of what is applied, and forgets the log up to `keep` entries before it. */
  takeSnapshot(keep = 0): SnapshotMeta {
    const meta = this.raft.snapshotMeta
    this.disk.snapshot = { meta, bytes: text(JSON.stringify(this.state)) }
    const compacted = this.input((raft) => raft.compact(meta.position.index - keep))
    if (compacted !== null) this.disk.compact(compacted)
    return meta
  }

  /** Receives a snapshot's stream to its end. Answers whether it was wanted. */
  receiveSnapshot(message: InstallSnapshot, bytes: Uint8Array): boolean {
    const wanted = this.input((raft) => {
      raft.step(message)
      return raft.wantsSnapshot(message)
    })
    if (!wanted) return false
    this.disk.snapshot = { meta: message.meta, bytes }
    this.input((raft) => {
      if (!raft.installSnapshot(message)) return
      this.state = JSON.parse(read(bytes)) as string[]
      raft.applied(message.meta.position.index)
    })
    return true
  }

  /** What has left since anybody asked. */
  takeLeft(): readonly Message[] {
    const left = this.#left
    this.#left = []
    return left
  }

  /** Becomes leader of the next term with the votes of the others. Answers with what left last. */
  lead(): readonly Message[] {
    this.input((raft) => raft.campaign())
    const { term } = this.raft
    const others = this.raft.membership.voters.filter((id) => id !== this.id)
    for (const from of others)
      if (this.raft.role === 'pre-candidate')
        this.receive({ type: 'pre-vote-reply', from, to: this.id, term, granted: true })
    this.#left = []
    for (const from of others)
      if (this.raft.role === 'candidate')
        this.input((raft) =>
          raft.step({
            type: 'request-vote-reply',
            from,
            to: this.id,
            term: this.raft.term,
            granted: true,
          }),
        )
    if (this.raft.role !== 'leader') throw new Error(`${this.id} was not elected`)
    return this.takeLeft()
  }

  /** The terms of the whole log, as the protocol sees it, after the compacted position. */
  get terms(): readonly Term[] {
    const terms: Term[] = []
    for (let index = this.raft.firstIndex; index <= this.raft.lastIndex; index++)
      terms.push(this.raft.termAt(index))
    return terms
  }

  get votedFor(): NodeId | null {
    return this.#state.votedFor
  }

  get #state(): Readonly<RaftState> {
    return stateOf(this.raft)
  }

  peer(id: NodeId): Readonly<Progress> {
    const peer = this.#state.peers.find((candidate) => candidate.id === id)
    if (peer === undefined) throw new Error(`${id} is no peer`)
    return peer
  }

  /** Why messages were ignored, oldest first. */
  get ignored(): readonly string[] {
    return this.events.flatMap((event) => (event.type === 'message-ignored' ? [event.why] : []))
  }
}

/** A disk with a log of one command per term given, after a first entry that names the voters. */
export function diskWith({
  term,
  votedFor = null,
  commit = 1,
  terms = [],
  members = voters('a', 'b', 'c'),
}: {
  readonly term?: Term
  readonly votedFor?: NodeId | null
  readonly commit?: LogIndex
  /** Of the entries from index 2 on. */
  readonly terms?: readonly Term[]
  readonly members?: Membership
}): Disk {
  const disk = new Disk()
  const entries = [
    membershipEntry(1, 1, members),
    ...terms.map((of, at): Entry => ({
      index: at + 2,
      term: of,
      type: 'command',
      data: text(`${of}/${at + 2}`),
    })),
  ]
  const hardState = { term: term ?? terms.at(-1) ?? 1, votedFor, commitIndex: commit }
  disk.append({ reset: null, entries, hardState })
  return disk
}

/** A member of {a, b, c} whose disk holds what {@link diskWith} says. */
export function server(
  stored: Parameters<typeof diskWith>[0] = {},
  options: ServerOptions = {},
): Server {
  return new Server({ ...options, disk: diskWith(stored) })
}
