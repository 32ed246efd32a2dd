/**
 * A member that starts with nothing.
 *
 * Until it has heard from the others it knows of no keys and no leases, and of the members only what
 * it was started with. What it answered at once would be of a time before anybody could ask, and
 * whoever watches from now on would be told all of history. etcd serves nobody until then.
 */
import type { Cancellable } from './call.ts'
import type { EtcdNode } from './options.ts'

export interface Arrival {
  /** This member knows what was acknowledged before it started, or has known something since. */
  readonly isOver: boolean
  /** Resolves when it is over. Rejects with an EtcdError when a request may not wait any longer. */
  wait(call: Cancellable): Promise<void>
}

/** A member that comes back with what it knew before has arrived: it may be behind, as any may. */
export function arrivalOf(
  node: EtcdNode,
  readBarrier: (call: Cancellable) => Promise<unknown>,
): Arrival {
  let isOver = node.status().appliedIndex > 0
  return {
    get isOver() {
      return isOver
    },
    async wait(call) {
      await readBarrier(call)
      isOver = true
    },
  }
}
