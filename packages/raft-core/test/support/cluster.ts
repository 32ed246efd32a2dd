import { expect } from 'vitest'
import type { InstallSnapshot, Message } from '../../src/messages.ts'
import type { LogIndex, NodeId, Term } from '../../src/types.ts'
import { timeoutNow, voters } from './messages.ts'
import { Server, type ServerOptions } from './server.ts'

interface Stream {
  readonly message: InstallSnapshot
  readonly bytes: Uint8Array
}

type Which = (message: Message) => boolean

/** Several servers and the messages between them, moved by hand. */
export class Cluster {
  readonly servers: Map<NodeId, Server> = new Map()
  /** On the way, oldest first. */
  network: Message[] = []
  streams: Stream[] = []
  readonly #cut = new Set<string>()
  readonly #down = new Set<NodeId>()
  readonly #leaders = new Map<Term, NodeId>()
  /** The term of each entry that is known to be committed, and in which term that was noticed. */
  readonly #committed = new Map<LogIndex, { readonly term: Term; readonly noticedIn: Term }>()

  constructor(
    ids: readonly NodeId[],
    options: ServerOptions | ((id: NodeId) => ServerOptions) = {},
  ) {
    for (const [at, id] of ids.entries()) {
      const own = typeof options === 'function' ? options(id) : options
      this.servers.set(id, new Server({ membership: voters(...ids), random: dice(at), ...own, id }))
    }
  }

  at(id: NodeId): Server {
    const found = this.servers.get(id)
    if (found === undefined) throw new Error(`there is no server ${id}`)
    return found
  }

  /** Takes in what has left the servers, and checks that the whole is right. */
  collect(): void {
    for (const server of this.servers.values()) {
      const left = server.takeLeft()
      for (const message of left) {
        const lost = this.#cut.has(`${message.from}>${message.to}`) || this.#down.has(message.from)
        if (!lost) this.network.push(message)
      }
      for (const to of server.snapshotsDue.splice(0)) this.#openStream(server, to)
    }
    this.check()
  }

  #openStream(server: Server, to: NodeId): void {
    const { snapshot } = server.disk
    const message =
      snapshot === null ? null : server.input((raft) => raft.announceSnapshot(to, snapshot.meta))
    if (snapshot === null || message === null) server.input((raft) => raft.snapshotSent(to, false))
    else this.streams.push({ message, bytes: snapshot.bytes })
  }

  /** Delivers the messages that are on the way now and fit, in order. Answers with how many. */
  deliver(which: Which = () => true): number {
    this.collect()
    const due = this.network.filter(which)
    this.network = this.network.filter((message) => !which(message))
    for (const message of due) {
      const { to } = message
      const server = this.servers.get(to)
      if (server === undefined || this.#down.has(to)) continue
      if (this.#cut.has(`${message.from}>${to}`)) continue
      server.input((raft) => raft.step(message as Parameters<typeof raft.step>[0]))
    }
    this.collect()
    return due.length
  }

  drop(which: Which = () => true): number {
    this.collect()
    const before = this.network.length
    this.network = this.network.filter((message) => !which(message))
    return before - this.network.length
  }

  /** Delivers snapshots on the way to `to`, or loses them. */
  deliverSnapshots(received = true): void {
    this.collect()
    for (const { message, bytes } of this.streams.splice(0)) {
      const { from, to } = message
      const arrives = received && !this.#cut.has(`${from}>${to}`) && !this.#down.has(to)
      if (arrives) this.at(to).receiveSnapshot(message, bytes)
      this.at(from).input((raft) => raft.snapshotSent(to, arrives))
    }
    this.collect()
  }

  /** Delivers everything, and what follows from it, until nothing moves any more. */
  stabilize(): void {
    for (let i = 0; i < 1000; i++) {
      this.collect()
      if (this.network.length === 0 && this.streams.length === 0) return
      this.deliver()
      this.deliverSnapshots()
    }
    throw new Error('the servers talk for ever')
  }

  /** Time passes everywhere, with all messages delivered after each tick. */
  tick(times = 1, ids: readonly NodeId[] = [...this.servers.keys()]): void {
    for (let i = 0; i < times; i++) {
      for (const id of ids) if (!this.#down.has(id)) this.at(id).input((raft) => raft.tick())
      this.stabilize()
    }
  }

  campaign(id: NodeId): void {
    this.at(id).input((raft) => raft.campaign())
    this.collect()
  }

  /** `id` campaigns in the next term, whoever leads, and wins. */
  elect(id: NodeId): void {
    const { term } = this.at(id).raft
    this.at(id).input((raft) => raft.step(timeoutNow({ from: '?', to: id, term })))
    this.stabilize()
    expect(this.at(id).raft.role).toBe('leader')
  }

  propose(id: NodeId, ...words: readonly string[]): void {
    expect(this.at(id).propose(...words).why).toBe(null)
    this.collect()
  }

  /** Nothing goes from one to the other, nor back, and what is on the way is lost. */
  cut(...pairs: readonly (readonly [NodeId, NodeId])[]): void {
    for (const [from, to] of pairs) {
      this.cutOneWay(from, to)
      this.cutOneWay(to, from)
    }
  }

  cutOneWay(from: NodeId, to: NodeId): void {
    this.#cut.add(`${from}>${to}`)
    this.drop((message) => message.from === from && message.to === to)
  }

  isolate(id: NodeId): void {
    for (const other of this.servers.keys()) if (other !== id) this.cut([id, other])
  }

  heal(): void {
    this.#cut.clear()
  }

  crash(...ids: readonly NodeId[]): void {
    this.collect()
    for (const id of ids) this.#down.add(id)
    this.drop((message) => ids.includes(message.to))
  }

  restart(...ids: readonly NodeId[]): void {
    for (const id of ids) {
      this.#down.delete(id)
      this.at(id).crash()
    }
    this.collect()
  }

  /** Election Safety, Leader Completeness, Log Matching and State Machine Safety (Fig. 3). */
  check(): void {
    const servers = [...this.servers.values()]
    const leaders = servers.filter(({ id, raft }) => raft.role === 'leader' && !this.#down.has(id))
    for (const server of servers) this.#notice(server, leaders)
    for (const leader of leaders) {
      const { id, raft } = leader
      const known = this.#leaders.get(raft.term)
      if (known !== undefined && known !== id)
        throw new Error(`${known} and ${id} both lead term ${raft.term}`)
      if (known === undefined)
        for (const index of this.#committed.keys()) this.#requireEntry(leader, index)
      this.#leaders.set(raft.term, id)
    }
    for (const a of servers)
      for (const b of servers) {
        if (a.id >= b.id) continue
        checkLogMatching(a, b)
        checkSameHistory(a, b)
      }
  }

  /** What is committed from now on, leaders of later terms must have. */
  #notice({ raft }: Server, leaders: readonly Server[]): void {
    for (let index = raft.commitIndex; index >= raft.firstIndex; index--) {
      if (this.#committed.has(index)) return
      this.#committed.set(index, { term: raft.termAt(index), noticedIn: raft.term })
      for (const leader of leaders) this.#requireEntry(leader, index)
    }
  }

  #requireEntry({ id, raft }: Server, index: LogIndex): void {
    const entry = this.#committed.get(index)
    if (entry === undefined || raft.term <= entry.noticedIn || index < raft.firstIndex) return
    if (index > raft.lastIndex || raft.termAt(index) !== entry.term)
      throw new Error(`${id} leads term ${raft.term} without ${entry.term}/${index}`)
  }
}

/** Different for every server, and the same in every run: with equal dice no election ever ends. */
function dice(seed: number): () => number {
  let state = seed * 7919 + 1
  return () => {
    state = (state * 48_271) % 2_147_483_647
    return state / 2_147_483_647
  }
}

/** What one has applied, the other has applied as well, or will (State Machine Safety). */
function checkSameHistory(a: Server, b: Server): void {
  const both = Math.min(a.state.length, b.state.length)
  for (let at = 0; at < both; at++)
    if (a.state[at] !== b.state[at])
      throw new Error(`${a.id} applied ${a.state[at]} where ${b.id} applied ${b.state[at]}`)
}

/** If two logs agree on the term at an index, they agree on everything before it (§5.3). */
function checkLogMatching({ raft: a }: Server, { raft: b }: Server): void {
  let agreed = false
  const first = Math.max(a.firstIndex, b.firstIndex)
  for (let index = Math.min(a.lastIndex, b.lastIndex); index >= first; index--) {
    const same = a.termAt(index) === b.termAt(index)
    if (agreed && !same) throw new Error(`logs differ at ${index} and agree after it`)
    agreed = same
  }
}

export const from =
  (...ids: readonly NodeId[]): Which =>
  (message) =>
    ids.includes(message.from)

export const to =
  (...ids: readonly NodeId[]): Which =>
  (message) =>
    ids.includes(message.to)

export const ofType =
  (...types: readonly Message['type'][]): Which =>
  (message) =>
    types.includes(message.type)
