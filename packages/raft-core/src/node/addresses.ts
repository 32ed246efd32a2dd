import type { Transport } from '../contracts/transport.ts'
import type { Heartbeat, Message, PreVote, RequestVote } from '../messages.ts'
import type { Raft } from '../protocol/raft.ts'
import type { NodeId, Peer } from '../types.ts'

/** Told by strangers; more replace the oldest. A cluster has fewer members. */
const MAX_TOLD = 64

/** Whoever sends these says where it is found. */
export type Introduction = Heartbeat | PreVote | RequestVote

export function isIntroduction(message: Message): message is Introduction {
  const { type } = message
  return type === 'heartbeat' || type === 'pre-vote' || type === 'request-vote'
}

/**
 * Where one node finds its peers. Its membership says so, as far as its log reaches; but a node that
 * was away while others joined may be led by one that it has never heard of, and could not answer it.
 * Its leader would then send the same again for ever. So those who ask for answers say where they are.
 */
export class Addresses {
  readonly #transport: Transport
  #known: readonly Peer[]
  readonly #told = new Map<NodeId, string>()

  constructor(transport: Transport, contacts: readonly Peer[]) {
    this.#transport = transport
    this.#known = contacts
  }

  /** Whom the protocol wants to reach, and where. A node that knows of nobody keeps its contacts. */
  follow(peers: readonly Peer[]): void {
    if (peers.length > 0) this.#known = peers
    for (const { id } of peers) this.#told.delete(id)
    this.#announce()
  }

  /**
   * Somebody says where it is. The leader's membership is the newest there is, so it is right about
   * itself; of others the own membership knows better.
   */
  hear({ from, address }: Introduction, { leader, membership }: Raft): void {
    const isLeader = leader === from
    // Whom the protocol still answers of those who are out, it says itself.
    if (!isLeader && membership.removed.some(({ id }) => id === from)) return
    const known = this.#told.get(from) ?? this.#known.find(({ id }) => id === from)?.address
    if (address === '' || address === known || (known !== undefined && !isLeader)) return
    this.#told.delete(from)
    this.#told.set(from, address)
    const [oldest] = this.#told.keys()
    if (this.#told.size > MAX_TOLD && oldest !== undefined) this.#told.delete(oldest)
    this.#announce()
  }

  #announce(): void {
    const known = this.#known.filter(({ id }) => !this.#told.has(id))
    const told = [...this.#told].map(([id, address]) => ({ id, address }))
    this.#transport.setPeers([...known, ...told])
  }
}
