import type { Membership, MembershipChange, NodeId } from '@coracle/raft-core'
import type { Cluster } from './cluster.ts'
import type { Fault } from './faults.ts'
import { didNotHappen } from './observer.ts'
import type { Plan } from './plan.ts'
import type { Random } from './random.ts'

interface Wish {
  readonly fault: Fault
  readonly changes: readonly MembershipChange[]
  /** New computers, which nobody knows yet. */
  readonly newcomers: readonly NodeId[]
  /** The old member that a newcomer takes the place of, once it has caught up. */
  readonly replaced?: NodeId
}

/**
 * Changes who takes part: adds, promotes, demotes, removes and replaces, one or several at once,
 * and now and then asks for what makes no sense. A node that was removed is never added again.
 */
export class Administrator {
  readonly #cluster: Cluster
  readonly #plan: Plan
  readonly #random: Random
  #isOver = false

  constructor(cluster: Cluster, plan: Plan, random: Random) {
    this.#cluster = cluster
    this.#plan = plan
    this.#random = random
  }

  /** The trouble is over: whatever comes of what it asked for, it leaves all computers as they are. */
  stop(): void {
    this.#isOver = true
  }

  /** Asks whoever seems to lead, or now and then somebody else, for one change. */
  async change(): Promise<void> {
    const random = this.#random
    const cluster = this.#cluster
    const { leaders } = cluster
    const id = leaders.length > 0 && random.chance(0.9) ? random.pick(leaders) : null
    const asked = id ?? random.pick(cluster.ids)
    const status = cluster.statusOf(asked)
    if (status === null) return
    const { membership, membershipIndex } = status
    const wish = this.#draw(membership)
    if (wish === null) return
    cluster.befell(wish.fault)
    if (wish.replaced !== undefined) return this.#replaceBy(asked, wish.replaced, wish.newcomers)
    cluster.tell(`${asked} is asked to change the membership: ${JSON.stringify(wish.changes)}`)
    if (random.chance(0.5)) for (const newcomer of wish.newcomers) cluster.start(newcomer)
    const expected = this.#drawExpected(membershipIndex)
    const answer = await cluster.computer(asked).ask(
      'change',
      0,
      (node) => node.changeMembership(wish.changes, expected),
      () => ({ index: 0, term: 0 }),
      { newcomers: wish.newcomers, expectedIndex: expected.expectedIndex ?? null },
    )
    if (this.#isOver) return
    if (answer === null || didNotHappen(answer.ending))
      for (const newcomer of wish.newcomers) cluster.retire(newcomer)
    else for (const newcomer of wish.newcomers) cluster.start(newcomer)
    if (answer?.ending.type === 'done') this.#leaveBehind(membership, answer.answer)
  }

  /** All in one: the newcomer learns first. It may be a learner for ever if the wait ends early. */
  async #replaceBy(asked: NodeId, old: NodeId, newcomers: readonly NodeId[]): Promise<void> {
    const cluster = this.#cluster
    for (const id of newcomers) {
      cluster.tell(`${asked} is asked to replace ${old} by ${id}`)
      if (this.#random.chance(0.9)) cluster.start(id)
      await cluster.computer(asked).ask(
        'replacement',
        0,
        (node) => node.replaceMember({ old, replacement: peerOf(id) }),
        () => ({ index: 0, term: 0 }),
        { newcomers },
      )
      if (this.#isOver) return
      cluster.start(id)
    }
  }

  #drawExpected(index: number): { readonly expectedIndex?: number } {
    const random = this.#random
    if (random.chance(0.5)) return {}
    if (random.chance(0.8)) return { expectedIndex: index }
    this.#cluster.befell('change expecting another membership')
    return { expectedIndex: random.whole(0, index + 2) }
  }

  /** Those who are out for good are turned off, or forgotten in their corner. */
  #leaveBehind(before: Membership, after: Membership | null): void {
    for (const { id } of before.peers) {
      if (after === null || after.peers.some((peer) => peer.id === id)) continue
      const isTurnedOff = this.#random.chance(0.5)
      this.#cluster.befell(isTurnedOff ? 'removed node turned off' : 'removed node left running')
      if (isTurnedOff) this.#cluster.retire(id)
    }
  }

  #draw(membership: Membership): Wish | null {
    const { voters, learners } = membership
    const random = this.#random
    const one = (fault: Fault, change: MembershipChange): Wish => ({
      fault,
      changes: [change],
      newcomers: [],
    })
    const someone = random.pick(voters.length > 0 ? [...voters, ...learners] : ['a'])
    switch (random.whole(1, 10)) {
      case 1:
      case 2:
        return this.#add('learner added', 'add-learner')
      case 3:
        return this.#add('voter added', 'add-voter')
      case 4:
      case 5:
        return learners.length === 0
          ? null
          : one('learner promoted', { type: 'promote-learner', id: random.pick(learners) })
      case 6:
        return voters.length < 2
          ? null
          : one('voter demoted', { type: 'demote-voter', id: random.pick(voters) })
      case 7:
        return voters.length + learners.length < 3
          ? null
          : one('member removed', { type: 'remove', id: someone })
      case 8:
        return this.#replace(someone)
      case 9:
        return this.#several(membership)
      default:
        return random.chance(0.5)
          ? one('member moved', { type: 'move', peer: peerOf(someone) })
          : one('change that makes no sense', this.#nonsense(membership))
    }
  }

  #newcomer(): NodeId | null {
    return this.#cluster.ids.length < this.#plan.mostNodes ? this.#cluster.add() : null
  }

  #add(fault: Fault, type: 'add-learner' | 'add-voter'): Wish | null {
    const id = this.#newcomer()
    if (id === null) return null
    return { fault, changes: [{ type, peer: peerOf(id) }], newcomers: [id] }
  }

  #replace(old: NodeId): Wish | null {
    const id = this.#newcomer()
    if (id === null) return null
    if (this.#random.chance(0.5)) {
      const fault = 'member replaced when the other has caught up'
      return { fault, changes: [], newcomers: [id], replaced: old }
    }
    const changes: readonly MembershipChange[] = [
      { type: 'add-voter', peer: peerOf(id) },
      { type: 'remove', id: old },
    ]
    return { fault: 'member replaced', changes, newcomers: [id] }
  }

  /** Each member may get another part to play, and some new ones may come. */
  #several({ voters, learners }: Membership): Wish | null {
    const random = this.#random
    const newcomers = [this.#newcomer(), random.chance(0.5) ? this.#newcomer() : null].flatMap(
      (id) => id ?? [],
    )
    const changes: MembershipChange[] = newcomers.map((id) => ({
      type: random.chance(0.7) ? 'add-voter' : 'add-learner',
      peer: peerOf(id),
    }))
    for (const id of voters.slice(1))
      if (random.chance(0.4))
        changes.push({ type: random.chance(0.5) ? 'remove' : 'demote-voter', id })
    for (const id of learners) if (random.chance(0.4)) changes.push({ type: 'promote-learner', id })
    if (changes.length === 0) return null
    return { fault: 'several members changed at once', changes, newcomers }
  }

  #nonsense({ voters, learners }: Membership): MembershipChange {
    const random = this.#random
    return random.pick<MembershipChange>([
      { type: 'remove', id: 'nobody' },
      { type: 'promote-learner', id: random.pick(voters.length > 0 ? voters : ['nobody']) },
      { type: 'demote-voter', id: random.pick(learners.length > 0 ? learners : ['nobody']) },
    ])
  }
}

function peerOf(id: NodeId): { readonly id: NodeId; readonly address: string } {
  return { id, address: id }
}
