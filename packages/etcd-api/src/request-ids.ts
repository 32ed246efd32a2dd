/** Ids that no other member and no later request is likely to choose. */
import type { EtcdId } from './ids.ts'

export interface RequestIds {
  /** A positive number of 63 bits. */
  next(): bigint
}

const TIME_AND_COUNT_BITS = 48n
const POSITIVE = (1n << 63n) - 1n

/**
 * As in etcd: two bytes of the member's id, then six that begin anywhere and count up. etcd begins
 * with the time; chance serves as well, for an id that is taken is not granted twice anyway.
 */
export function requestIds(member: EtcdId, random: () => number): RequestIds {
  const prefix = (member & 0xffffn) << TIME_AND_COUNT_BITS
  let count = BigInt(Math.floor(random() * 2 ** 40)) << 8n
  return {
    next() {
      count = BigInt.asUintN(Number(TIME_AND_COUNT_BITS), count + 1n)
      const id = (prefix | count) & POSITIVE
      return id === 0n ? this.next() : id
    },
  }
}
