/**
 * Where 64-bit numbers of the wire meet those of the language.
 *
 * The codec decodes 64-bit fields into two halves, which is exact and the fastest it can do, and
 * encodes numbers as well as halves. Revisions and counts become safe integers; ids, which use all
 * bits, become bigint.
 */

/** A 64-bit number as the codec takes and gives it. */
export type Int64 = number | Halves

export interface Halves {
  readonly low: number
  readonly high: number
}

/** The nearest safe integer. No revision, version or count comes near the limits, so comparing stays right. */
export function toSafeInteger(value: Int64): number {
  if (typeof value === 'number') return value
  const number = value.high * 0x1_0000_0000 + (value.low >>> 0)
  if (number > Number.MAX_SAFE_INTEGER) return Number.MAX_SAFE_INTEGER
  return number < Number.MIN_SAFE_INTEGER ? Number.MIN_SAFE_INTEGER : number
}

/** All 64 bits, signed. */
export function toBigInt(value: Int64): bigint {
  if (typeof value === 'number') return BigInt(value)
  if (value.low === 0 && value.high === 0) return 0n
  return (BigInt(value.high | 0) << 32n) | BigInt(value.low >>> 0)
}

/** All 64 bits, unsigned. */
export function toUnsigned(value: Int64): bigint {
  return BigInt.asUintN(64, toBigInt(value))
}

/** For the wire, from a signed or unsigned number of 64 bits. */
export function fromBigInt(value: bigint): Int64 {
  if (value === 0n) return 0
  return { low: Number(BigInt.asIntN(32, value)), high: Number(BigInt.asIntN(32, value >> 32n)) }
}
