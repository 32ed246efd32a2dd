/** Numbers below `limit`, the same in every run. */
export type Random = (limit: number) => number

/** xorshift. */
export function random(seed: number): Random {
  let state = Math.imul(seed, 0x9e37_79b1) | 1
  return (limit) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % limit
  }
}
