/** Who leads, as this member knows it: kept at hand, so that no request has to ask for it. */
import type { NodeId, NodeStatus, Term } from '@coracle/raft-core'
import type { EtcdNode } from './options.ts'

export interface Leadership extends AsyncDisposable {
  readonly term: Term
  readonly leader: NodeId | null
  /** This member receives the log but does not vote. */
  readonly learner: boolean
  /** Grows whenever somebody else begins to lead, or the same member anew. */
  readonly changes: number
  /** Takes in a status that was just asked for, so that answers never tell of a term gone by. */
  observe(status: NodeStatus): void
}

/** Follows `node` until it is disposed or the node stops. */
export function followLeadership(node: EtcdNode): Leadership {
  return new Follower(node)
}

class Follower implements Leadership {
  term: Term = 0
  leader: NodeId | null = null
  learner = false
  changes = 0
  /** The last reign that was seen, which a time without a leader does not end. */
  #reign = ''
  readonly #stop = new AbortController()
  readonly #following: Promise<void>

  constructor(node: EtcdNode) {
    this.observe(node.status())
    this.#following = this.#follow(node)
  }

  observe(status: NodeStatus): void {
    if (status.term < this.term) return
    this.term = status.term
    this.leader = status.leader
    this.learner = status.membership.learners.includes(status.id)
    if (status.leader === null) return
    const reign = `${status.leader} ${status.term}`
    if (reign === this.#reign) return
    this.#reign = reign
    this.changes += 1
  }

  /** A watch that ends or fails is a node that stopped: whatever is asked of it says so itself. */
  async #follow(node: EtcdNode): Promise<void> {
    try {
      for await (const status of node.watch({ signal: this.#stop.signal })) this.observe(status)
    } catch {
      // Told by the requests that fail.
    }
    this.leader = null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#following
  }
}
