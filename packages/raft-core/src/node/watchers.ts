import type { NodeStatus, Waiting } from './node.ts'

/** Everybody who follows the node's changes. One who is slow skips to the newest. */
export class Watchers {
  readonly #notify = new Set<() => void>()
  #isOver = false

  changed(): void {
    for (const notify of this.#notify) notify()
  }

  stop(): void {
    this.#isOver = true
    this.changed()
  }

  /** The status now and after every change, until the node stops. */
  async *watch(status: () => NodeStatus, { signal }: Waiting): AsyncGenerator<NodeStatus> {
    let isNew = true
    let wake: () => void = () => {}
    const notify = (): void => {
      isNew = true
      wake()
    }
    this.#notify.add(notify)
    signal?.addEventListener('abort', notify)
    try {
      while (!this.#isOver) {
        signal?.throwIfAborted()
        if (isNew) {
          isNew = false
          yield status()
        } else
          await new Promise<void>((resolve) => {
            wake = resolve
          })
      }
    } finally {
      this.#notify.delete(notify)
      signal?.removeEventListener('abort', notify)
    }
  }
}
