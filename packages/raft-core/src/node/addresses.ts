import type { Transport } from '../contracts/transport.ts'
import type { Heartbeat, Message, PreVote, RequestVote } from '../messages.ts'
import type { NodeId, Peer } from '../types.ts'

/** Told by strangers; more replace the oldest. A cluster has fewer members. */
const MAX_TOLD = 64

/** Whoever sends these says where it is found. */
type Introduction = Heartbeat | PreVote | RequestVote

export function isIntroduction(message: Message): message is Introduction {
  const { type } = message
  return type === 'heartbeat' || type === 'pre-vote' || type === 'request-vote'
}

/**
 * Where one node finds its peers. Its membership says so, as far as its log reaches; but a node that
 * was away while others joined may be led by one that it has never heard of, and could not answer it.
 * Its leader would then send the same again for ever. So those who ask for answers say where they are.
 *
 * Nor may those be forgotten at once who are no members any more: a leader that removes itself needs
 * the answers that commit its removal, and one that removes others tells them.
 */
export class Addresses {
  readonly #transport: Transport
  #members: readonly Peer[]
  readonly #told = new Map<NodeId, string>()
  /** No members any more, but still spoken with. */
  readonly #leaving = new Map<NodeId, string>()

  constructor(transport: Transport, contacts: readonly Peer[]) {
    this.#transport = transport
    this.#members = contacts
  }

  /** The membership names these. One that names nobody changes nothing. */
  follow(members: readonly Peer[]): void {
    if (members.length > 0) {
      for (const { id, address } of this.#members) this.#leaving.set(id, address)
      this.#members = members
    }
    for (const { id } of members) {
      this.#told.delete(id)
      this.#leaving.delete(id)
    }
    this.#announce()
  }

  /** Those who are no members any more are forgotten when there is nothing to say to them. */
  tick(isWanted: (id: NodeId) => boolean): void {
    if (this.#leaving.size === 0) return
    const gone = [...this.#leaving.keys()].filter((id) => !isWanted(id))
    for (const id of gone) this.#leaving.delete(id)
    if (gone.length > 0) this.#announce()
  }

  /**
   * Somebody says where it is. The leader's membership is the newest there is, so it is right about
   * itself; of others the own membership knows better.
   */
  hear({ from, address }: Introduction, isLeader: boolean): void {
    const known = this.#told.get(from) ?? this.#members.find(({ id }) => id === from)?.address
    if (address === '' || address === known || (known !== undefined && !isLeader)) return
    this.#told.delete(from)
    this.#told.set(from, address)
    const [oldest] = this.#told.keys()
    if (this.#told.size > MAX_TOLD && oldest !== undefined) this.#told.delete(oldest)
    this.#announce()
  }

  #announce(): void {
    const addresses = new Map(this.#leaving)
    for (const { id, address } of this.#members) addresses.set(id, address)
    for (const [id, address] of this.#told) addresses.set(id, address)
    this.#transport.setPeers([...addresses].map(([id, address]) => ({ id, address })))
  }
}
