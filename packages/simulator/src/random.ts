/** Chance that a seed replays, the same on every platform. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number
  /** True with this probability. */
  chance(probability: number): boolean
  /** A whole number from `least` to `most`, both included. */
  whole(least: number, most: number): number
  /** From 0 up, `mean` on average: mostly less, now and then a multiple. */
  exponential(mean: number): number
  /** One of a list that is not empty. */
  pick<Value>(values: readonly Value[]): Value
  /** A new list in another order. */
  shuffle<Value>(values: readonly Value[]): Value[]
  /**
   * A stream of its own that depends on the seed and the name alone: what one part of a simulation
   * draws changes nothing for the others.
   */
  derive(name: string): Random
}

export function createRandom(seed: string): Random {
  return new Xoshiro(seed)
}

/** xoshiro128** of Blackman and Vigna: 128 bits of state, and no pattern that a simulation meets. */
class Xoshiro implements Random {
  readonly #seed: string
  readonly #state: Uint32Array

  constructor(seed: string) {
    this.#seed = seed
    this.#state = spread(seed)
  }

  #bits(): number {
    const s = this.#state
    const [s0, s1, s2, s3] = s as unknown as [number, number, number, number]
    const result = Math.imul(rotate(Math.imul(s1, 5), 7), 9) >>> 0
    const t2 = s2 ^ s0
    const t3 = s3 ^ s1
    s[1] = s1 ^ t2
    s[0] = s0 ^ t3
    s[2] = t2 ^ (s1 << 9)
    s[3] = rotate(t3, 11)
    return result
  }

  next(): number {
    return this.#bits() / 2 ** 32
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  whole(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1))
  }

  exponential(mean: number): number {
    return -Math.log(1 - this.next()) * mean
  }

  pick<Value>(values: readonly Value[]): Value {
    if (values.length === 0) throw new RangeError('there is nothing to pick from')
    return values[this.whole(0, values.length - 1)] as Value
  }

  shuffle<Value>(values: readonly Value[]): Value[] {
    const shuffled = [...values]
    for (let last = shuffled.length - 1; last > 0; last--) {
      const other = this.whole(0, last)
      const value = shuffled[last] as Value
      shuffled[last] = shuffled[other] as Value
      shuffled[other] = value
    }
    return shuffled
  }

  derive(name: string): Random {
    return new Xoshiro(`${this.#seed}/${name}`)
  }
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by))
}

/** Fills the state from a text: any two differ in about half of the bits (splitmix32 of its hash). */
function spread(seed: string): Uint32Array {
  let hash = 0x811c9dc5
  for (let at = 0; at < seed.length; at++)
    hash = Math.imul(hash ^ seed.charCodeAt(at), 0x01000193) >>> 0
  return Uint32Array.from({ length: 4 }, (_, lane) => {
    let word = (hash + Math.imul(lane + 1, 0x9e3779b9)) >>> 0
    word = Math.imul(word ^ (word >>> 16), 0x21f0aaad)
    word = Math.imul(word ^ (word >>> 15), 0x735a2d97)
    return (word ^ (word >>> 15)) >>> 0
  })
}
