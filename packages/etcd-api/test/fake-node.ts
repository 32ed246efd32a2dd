/** A RaftNode without Raft: proposals go straight to the state machine. What happens to them can be staged. */
import type {
  Applied,
  Membership,
  NodeId,
  NodeStatus,
  StateMachine,
  Waiting,
} from '@coracle/raft-core'
import type { KvResult } from '@coracle/kv-state-machine'
import type { EtcdNode } from '../src/index.ts'

export interface FakeNode extends EtcdNode {
  /** The commands that were proposed, in order. */
  readonly commands: readonly Uint8Array[]
  /** How many proposals and reads are held. */
  readonly held: number
  /** From now on nothing is answered until it is released. */
  hold(): void
  /** Everything that is held is answered, or fails with `error`; what follows is answered. */
  release(error?: Error): void
  /** From now on every proposal and read fails with this. */
  failWith(error: Error): void
  /** Resolves when `count` proposals and reads are held. */
  holding(count: number): Promise<void>
  changeStatus(change: Partial<NodeStatus>): void
  /** Ends every watch with this error. */
  failWatches(error: Error): void
  /** What becomes of handing over leadership. */
  onTransfer: (to: NodeId | undefined) => Promise<void>
}

export function fakeNode(
  stateMachine: StateMachine<KvResult>,
  id: NodeId,
  membership: Membership,
): FakeNode {
  return new Fake(stateMachine, id, membership)
}

class Fake implements FakeNode {
  readonly commands: Uint8Array[] = []
  readonly #stateMachine: StateMachine<KvResult>
  #status: NodeStatus
  #mode: 'answer' | 'hold' | Error = 'answer'
  #watchError: Error | null = null
  readonly #listeners = new Set<() => void>()
  readonly #held = new Set<(error?: Error) => void>()
  readonly #holders = new Set<() => void>()

  constructor(stateMachine: StateMachine<KvResult>, id: NodeId, membership: Membership) {
    this.#stateMachine = stateMachine
    this.#status = {
      id,
      role: 'leader',
      term: 2,
      leader: id,
      firstIndex: 1,
      lastIndex: 3,
      commitIndex: 3,
      appliedIndex: 3,
      durableIndex: 3,
      snapshotIndex: 0,
      membership,
      membershipIndex: 1,
      removed: false,
      peers: [],
    }
  }

  async propose(data: Uint8Array): Promise<Applied<KvResult>> {
    this.commands.push(data)
    await this.#obstacle()
    const index = this.#status.lastIndex + 1
    const { term } = this.#status
    this.#status = { ...this.#status, lastIndex: index, commitIndex: index, appliedIndex: index }
    const [result] = await this.#stateMachine.apply([{ index, term, data }])
    if (result === undefined) throw new Error('the state machine gave no result')
    return { index, term, result }
  }

  async read(): Promise<number> {
    await this.#obstacle()
    return this.#status.appliedIndex
  }

  async #obstacle(): Promise<void> {
    if (this.#mode instanceof Error) throw this.#mode
    if (this.#mode === 'answer') return
    await new Promise<void>((resolve, reject) => {
      this.#held.add((error) => (error === undefined ? resolve() : reject(error)))
      for (const check of this.#holders) check()
    })
  }

  get held(): number {
    return this.#held.size
  }

  release(error?: Error): void {
    this.#mode = 'answer'
    for (const settle of this.#held) settle(error)
    this.#held.clear()
  }

  hold(): void {
    this.#mode = 'hold'
  }

  failWith(error: Error): void {
    this.#mode = error
  }

  holding(count: number): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (this.held !== count) return
        this.#holders.delete(check)
        resolve()
      }
      this.#holders.add(check)
      check()
    })
  }

  changeStatus(change: Partial<NodeStatus>): void {
    this.#status = { ...this.#status, ...change }
    for (const listener of this.#listeners) listener()
  }

  failWatches(error: Error): void {
    this.#watchError = error
    for (const listener of this.#listeners) listener()
  }

  status(): NodeStatus {
    return this.#status
  }

  async *watch({ signal }: Waiting = {}): AsyncGenerator<NodeStatus> {
    let wake = (): void => {}
    const listener = (): void => wake()
    this.#listeners.add(listener)
    signal?.addEventListener('abort', listener)
    try {
      for (;;) {
        const shown = this.#status
        yield shown
        if (signal?.aborted) return
        if (this.#watchError !== null) throw this.#watchError
        if (shown === this.#status) {
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        }
      }
    } finally {
      this.#listeners.delete(listener)
    }
  }

  changeMembership(): Promise<Membership> {
    return Promise.reject(new Error('the fake has no members to change'))
  }

  onTransfer: (to: NodeId | undefined) => Promise<void> = () =>
    Promise.reject(new Error('the fake has nobody to hand over to'))

  transferLeadership(to?: NodeId): Promise<void> {
    return this.onTransfer(to)
  }
}
