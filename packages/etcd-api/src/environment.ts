/** What passwords and tokens need of the world beyond what every part of a node needs. */
import { getRandomValues } from 'node:crypto'

export interface AuthEnvironment {
  /** Milliseconds since 1970, by the clock on the wall: what is signed says until when it is good. */
  timeOfDay(): number
  /** Bytes that nobody can guess. */
  randomBytes(length: number): Uint8Array
}

export function systemAuthEnvironment(): AuthEnvironment {
  return {
    timeOfDay: () => Date.now(),
    randomBytes: (length) => getRandomValues(new Uint8Array(length)),
  }
}
