/** Messages that are bytes already, for what is worth encoding by hand. */

/**
 * The bytes of a message, or the parts that make them when they stand one after the other: what many
 * messages have in common is then kept once.
 */
export type Encoded = Uint8Array | readonly Uint8Array[]

/** A message of protobuf is neither bytes nor a list. */
export function isEncoded(message: object): message is Encoded {
  return message instanceof Uint8Array || Array.isArray(message)
}

export function lengthOf(encoded: Encoded): number {
  if (encoded instanceof Uint8Array) return encoded.length
  let length = 0
  for (const part of encoded) length += part.length
  return length
}

/** For whoever needs them in one piece. */
export function joined(encoded: Encoded): Uint8Array {
  if (encoded instanceof Uint8Array) return encoded
  const whole = new Uint8Array(lengthOf(encoded))
  let at = 0
  for (const part of encoded) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
