import type { Raft } from '../protocol/raft.ts'
import type { Waiting } from './node.ts'
import type { NodeStatus } from './status.ts'

interface Watcher {
  /** There is something that it has not been told. */
  isNew: boolean
  wake: () => void
}

/** What whoever watches is told of. */
type News = Pick<NodeStatus, 'role' | 'term' | 'leader' | 'membership'>

/** Everybody who follows the node's changes. One who is slow skips to the newest. */
export class Watchers {
  readonly #watchers = new Set<Watcher>()
  #told: News
  #isOver = false

  constructor(raft: Raft) {
    this.#told = newsOf(raft)
  }

  /** Called in every turn: tells everybody if there is something new. */
  look(raft: Raft): void {
    const { role, term, leader, membership } = this.#told
    const isKnown =
      role === raft.role &&
      term === raft.term &&
      leader === raft.leader &&
      membership === raft.membership
    if (isKnown) return
    this.#told = newsOf(raft)
    this.tell()
  }

  tell(): void {
    for (const watcher of this.#watchers) {
      watcher.isNew = true
      watcher.wake()
    }
  }

  /** Nothing changes any more. What has changed before is still told. */
  stop(): void {
    this.#isOver = true
    for (const watcher of this.#watchers) watcher.wake()
  }

  /** The status now and after every change, until the node stops. */
  async *watch(status: () => NodeStatus, { signal }: Waiting): AsyncGenerator<NodeStatus> {
    const watcher: Watcher = { isNew: !this.#isOver, wake: () => {} }
    const wake = (): void => watcher.wake()
    this.#watchers.add(watcher)
    signal?.addEventListener('abort', wake)
    try {
      for (;;) {
        signal?.throwIfAborted()
        if (watcher.isNew) {
          watcher.isNew = false
          yield status()
        } else if (this.#isOver) return
        else
          await new Promise<void>((resolve) => {
            watcher.wake = resolve
          })
      }
    } finally {
      this.#watchers.delete(watcher)
      signal?.removeEventListener('abort', wake)
    }
  }
}

function newsOf({ role, term, leader, membership }: Raft): News {
  return { role, term, leader, membership }
}
