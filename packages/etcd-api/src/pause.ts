/** Waiting by the clock that was handed in. */
import type { Environment } from '@coracle/raft-core'

export function pause(environment: Environment, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const stop = environment.every(ms, () => {
      stop()
      resolve()
    })
  })
}

/** Lets everything that has arrived have its turn first. */
export function turn(environment: Environment): Promise<void> {
  return new Promise((resolve) => environment.schedule(resolve))
}
