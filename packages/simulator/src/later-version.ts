import { MESSAGE_VERSION } from '@coracle/raft-core/codec'
import type { Random } from './random.ts'

/**
 * A message as a node of a later version writes it: with that version's number, and fields at the end
 * that this version knows nothing of.
 */
export function asLater(bytes: Uint8Array, random: Random): Uint8Array {
  const longer = new Uint8Array(bytes.length + random.whole(0, 20))
  longer.set(bytes)
  for (let at = bytes.length; at < longer.length; at++) longer[at] = random.whole(0, 255)
  longer[0] = MESSAGE_VERSION + random.whole(1, 3)
  return longer
}

/** A message of a type that only a later version knows. */
export function unknownMessage(random: Random): Uint8Array {
  const bytes = Uint8Array.from({ length: random.whole(2, 40) }, () => random.whole(0, 255))
  bytes[0] = MESSAGE_VERSION + 1
  bytes[1] = 255
  return bytes
}
