/** A message that is to be sent, before it has its prefix. */

/**
 * Its bytes, or the parts that make them when they stand one after the other. Parts may be shared
 * between messages: what many clients are told alike is kept once, however many have yet to take it.
 */
export type OutgoingMessage = Uint8Array | readonly Uint8Array[]

export function lengthOf(message: OutgoingMessage): number {
  if (message instanceof Uint8Array) return message.length
  let length = 0
  for (const part of message) length += part.length
  return length
}
