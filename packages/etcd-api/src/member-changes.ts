/**
 * What etcd asks before it lets the membership change. Only the leader can tell, for it alone knows
 * who is there and how far each has come; the change itself is raft-core's, which checks what must
 * hold whatever is asked here.
 */
import {
  type Membership,
  type MembershipChange,
  type NodeId,
  type NodeStatus,
  RaftError,
} from '@coracle/raft-core'
import type { ServiceContext } from './context.ts'
import * as errors from './errors.ts'
import { memberId, nodeIdOf } from './ids.ts'
import { pause } from './pause.ts'

/** Each resolves with the membership once it is committed, and rejects with an EtcdError or RaftError. */
export interface MemberChanges {
  add(
    peerUrls: readonly string[],
    isLearner: boolean,
  ): Promise<{ readonly id: NodeId; readonly membership: Membership }>
  remove(id: NodeId): Promise<Membership>
  update(id: NodeId, peerUrls: readonly string[]): Promise<Membership>
  promote(id: NodeId): Promise<Membership>
}

export function memberChanges(context: ServiceContext): MemberChanges {
  return new Changes(context)
}

/** Looks at the cluster as it is, and answers with what to ask of it. Throws what etcd refuses with. */
type Decide = (status: NodeStatus) => MembershipChange | Promise<MembershipChange>

const RETRY_MS = 20
/** As in etcd: so much of the leader's log must be in a learner's. */
const READY_SHARE = 0.9

class Changes implements MemberChanges {
  readonly #context: ServiceContext

  constructor(context: ServiceContext) {
    this.#context = context
  }

  async add(
    peerUrls: readonly string[],
    isLearner: boolean,
  ): Promise<{ readonly id: NodeId; readonly membership: Membership }> {
    const urls = checkUrls(peerUrls)
    let id = ''
    const membership = await this.#change(async (status) => {
      await this.#mayAdd(status, isLearner)
      this.#checkUnused(urls, status.membership, null)
      const { learners } = status.membership
      if (isLearner && learners.length >= this.#context.options.maxLearners)
        throw errors.tooManyLearners
      id = this.#newId(urls, status.membership)
      const peer = { id, address: urls.join(',') }
      return { type: isLearner ? 'add-learner' : 'add-voter', peer }
    })
    return { id, membership }
  }

  remove(id: NodeId): Promise<Membership> {
    return this.#change(async (status) => {
      await this.#mayRemove(status, id)
      checkMember(status.membership, id)
      return { type: 'remove', id }
    })
  }

  update(id: NodeId, peerUrls: readonly string[]): Promise<Membership> {
    return this.#change(async ({ membership, id: leader }) => {
      checkMember(membership, id)
      const urls = checkUrls(peerUrls)
      this.#checkUnused(urls, membership, id)
      if (id === leader && membership.voters.length > 1) await this.#handOver()
      return { type: 'move', peer: { id, address: urls.join(',') } }
    })
  }

  promote(id: NodeId): Promise<Membership> {
    return this.#change((status) => {
      checkMember(status.membership, id)
      const match = status.peers.find((peer) => peer.id === id)?.matchIndex ?? status.lastIndex
      if (match < READY_SHARE * status.lastIndex) throw errors.learnerNotReady
      if (this.#context.options.strictReconfigCheck)
        this.#checkStarted(status.membership, { plus: 1 })
      if (!status.membership.learners.includes(id)) throw errors.notLearner
      return { type: 'promote-learner', id }
    })
  }

  /** What was decided on a membership holds for that one only: if another came first, all is asked anew. */
  async #change(decide: Decide): Promise<Membership> {
    const { node, environment, limits } = this.#context.options
    const deadline = environment.now() + limits.requestTimeoutMs
    for (;;) {
      const status = node.status()
      const { role, membershipIndex: expectedIndex } = status
      if (role !== 'leader')
        throw new RaftError('NOT_LEADER', 'only a leader changes the membership')
      const change = await decide(status)
      try {
        const changed = node.changeMembership([change], { expectedIndex })
        return await (change.type === 'add-voter' ? this.#agreedBefore(status, changed) : changed)
      } catch (error) {
        if (!(error instanceof RaftError)) throw error
        const isOpen = error.code === 'OUTCOME_UNKNOWN' || error.code === 'STOPPED'
        if (isOpen) return await this.#outcome(change, error)
        const wasFirst = node.status().membershipIndex === expectedIndex
        if (error.code === 'MEMBERSHIP_CHANGE_REFUSED' && wasFirst) throw refusalOf(change, error)
        const mayPass =
          error.code === 'MEMBERSHIP_CHANGE_PENDING' || error.code === 'MEMBERSHIP_CHANGE_REFUSED'
        if (!mayPass || environment.now() >= deadline) throw error
      }
      await pause(environment, RETRY_MS)
    }
  }

  /**
   * A leader that removes itself, or loses its place, hears no more of what it asked for than any
   * other member does: soon, if it was done.
   */
  async #outcome(change: MembershipChange, error: RaftError): Promise<Membership> {
    const { node, environment, electionTimeoutMs } = this.#context.options
    const deadline = environment.now() + 2 * electionTimeoutMs
    for (;;) {
      const { membership, membershipIndex, commitIndex } = node.status()
      if (membershipIndex <= commitIndex && isDone(change, membership)) return membership
      if (environment.now() >= deadline) throw error
      await pause(environment, RETRY_MS)
    }
  }

  /**
   * A change is in effect as soon as it is in the log (§6), so a new voter may be needed for the very
   * majority that commits it; and nobody starts a member before it was told that it was added. So
   * this is answered, as in etcd, when a majority of those that were there have it on their disks:
   * whoever leads from now on has it, too.
   */
  #agreedBefore(before: NodeStatus, changed: Promise<Membership>): Promise<Membership> {
    const { node, environment } = this.#context.options
    const { voters } = before.membership
    return new Promise((resolve, reject) => {
      const stop = environment.every(RETRY_MS, () => {
        const { id, term, membership, membershipIndex, durableIndex, peers } = node.status()
        if (term !== before.term || membershipIndex <= before.membershipIndex) return
        const matches = [{ id, matchIndex: durableIndex }, ...peers]
        const agreed = matches.filter(
          (each) => voters.includes(each.id) && each.matchIndex >= membershipIndex,
        )
        if (agreed.length > voters.length / 2) resolve(membership)
      })
      changed.then(resolve, reject).finally(stop)
    })
  }

  /** A leader that moves is not found where it still is: somebody else has to see the move through. */
  async #handOver(): Promise<never> {
    const { node } = this.#context.options
    await node.transferLeadership().catch(() => {})
    throw new RaftError('NOT_LEADER', 'a leader that moves hands over first')
  }

  async #mayAdd(status: NodeStatus, isLearner: boolean): Promise<void> {
    if (!this.#context.options.strictReconfigCheck) return
    const { voters } = status.membership
    // One member alone may always get a second one: there is no other way to begin.
    const isFirst = voters.length === 1 && this.#startedAmong(voters) === 1
    if (!isLearner && !isFirst)
      this.#checkStarted(status.membership, { plus: 1, startedToo: false })
    const quorum = Math.floor(voters.length / 2) + 1
    const isHealthy = await this.#eventually((active) => active.size >= quorum)
    if (!isHealthy) throw errors.unhealthy
  }

  async #mayRemove(status: NodeStatus, id: NodeId): Promise<void> {
    const { voters, learners } = status.membership
    if (!this.#context.options.strictReconfigCheck || learners.includes(id)) return
    this.#checkStarted({ ...status.membership, voters: voters.filter((each) => each !== id) }, {})
    if (id !== status.id && !voters.includes(id)) return
    const quorum = Math.floor((voters.length - 1) / 2) + 1
    let last: ReadonlySet<NodeId> = new Set()
    const isHealthy = await this.#eventually((active) => {
      last = active
      return active.size - 1 >= quorum
    })
    // Whoever is down is no part of the majority that there is.
    if (!isHealthy && last.has(id)) throw errors.unhealthy
  }

  /** Enough voters must have started for a majority of those that there will be. */
  #checkStarted(
    { voters }: Membership,
    { plus = 0, startedToo = true }: { readonly plus?: number; readonly startedToo?: boolean },
  ): void {
    const started = this.#startedAmong(voters) + (startedToo ? plus : 0)
    const quorum = Math.floor((voters.length + plus) / 2) + 1
    if (started < quorum) throw errors.notEnoughStarted
  }

  #startedAmong(voters: readonly NodeId[]): number {
    const attributes = this.#context.options.stateMachine.members()
    return voters.filter((id) => attributes.some((each) => each.id === id && each.name !== ''))
      .length
  }

  /**
   * Whether it comes true within an election timeout, in which every voter that is there is heard
   * from. The leader forgets now and then whom it heard, so what was seen adds up.
   */
  async #eventually(isTrue: (active: ReadonlySet<NodeId>) => boolean): Promise<boolean> {
    const { node, environment, electionTimeoutMs } = this.#context.options
    const deadline = environment.now() + electionTimeoutMs
    const active = new Set<NodeId>()
    for (;;) {
      const { id, peers, membership } = node.status()
      for (const peer of [{ id, active: true }, ...peers])
        if (peer.active && membership.voters.includes(peer.id)) active.add(peer.id)
      if (isTrue(active)) return true
      if (environment.now() >= deadline) return false
      await pause(environment, RETRY_MS)
    }
  }

  #checkUnused(urls: readonly string[], membership: Membership, except: NodeId | null): void {
    const { peerUrls } = this.#context.options
    const others = membership.peers.filter(({ id }) => id !== except)
    if (others.some((peer) => peerUrls(peer).some((url) => urls.includes(url))))
      throw errors.peerUrlExists
  }

  /** As in etcd, but with chance for the time of day: no two members ever get the same id. */
  #newId(urls: readonly string[], { peers, removed }: Membership): NodeId {
    const { environment } = this.#context.options
    const taken = new Set([...peers, ...removed].map(({ id }) => id))
    for (;;) {
      const salt = Math.floor(environment.random() * Number.MAX_SAFE_INTEGER)
      const id = memberId(urls, String(salt))
      if (id !== 0n && !taken.has(nodeIdOf(id))) return nodeIdOf(id)
    }
  }
}

/** All that is checked here and can still be refused there is how far a learner has come. */
function refusalOf(change: MembershipChange, error: RaftError): Error {
  return change.type === 'promote-learner' ? errors.learnerNotReady : error
}

function isDone(change: MembershipChange, { voters, learners, peers }: Membership): boolean {
  switch (change.type) {
    case 'add-voter':
    case 'add-learner':
    case 'move':
      return peers.some(
        ({ id, address }) => id === change.peer.id && address === change.peer.address,
      )
    case 'promote-learner':
      return voters.includes(change.id)
    case 'demote-voter':
      return learners.includes(change.id)
    case 'remove':
      return !voters.includes(change.id) && !learners.includes(change.id)
  }
}

function checkMember({ voters, learners }: Membership, id: NodeId): void {
  if (!voters.includes(id) && !learners.includes(id)) throw errors.memberNotFound
}

const URL_FORM = /^https?:\/\/(?:\[[^\]]+\]|[^\s:/?#[\]@,]+):(\d{1,5})$/
/** The path of a socket may be anything, but for what stands between URLs. */
const SOCKET_FORM = /^unixs?:\/\/[^\s,]+$/

/** In the order in which etcd keeps them. */
function checkUrls(given: readonly string[]): readonly string[] {
  const urls = given.map((url) => url.trim()).sort()
  const isGood = (url: string): boolean => {
    const port = URL_FORM.exec(url)?.[1]
    return SOCKET_FORM.test(url) || (port !== undefined && Number(port) <= 65_535)
  }
  if (urls.length === 0 || !urls.every(isGood)) throw errors.badMemberUrls
  return urls
}
