import { parseArgs } from 'node:util'

/** Which seeds to run, and how much to tell of one that fails. */
export interface Arguments {
  readonly from: number
  readonly count: number
  /** The last lines of the story. */
  readonly lines: number
}

export const USAGE = `Runs a cluster of real nodes through all kinds of trouble, decided by a seed.

  pnpm sim --seed 3053           one seed
  pnpm sim --seeds 1000          as many, from 1 on, until one fails
  pnpm sim --seeds 1000 --from 5001

  --lines 500                    how much of the story to tell if it fails (60)`

/** Throws a TypeError that says what is wrong. */
export function parseArguments(args: readonly string[]): Arguments {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string' },
      from: { type: 'string' },
      lines: { type: 'string' },
    },
  })
  const lines = wholeNumber('lines', values.lines ?? '60')
  if (values.seed !== undefined) {
    if (values.seeds !== undefined || values.from !== undefined)
      throw new TypeError('--seed is for one, --seeds and --from are for many')
    return { from: wholeNumber('seed', values.seed), count: 1, lines }
  }
  if (values.seeds === undefined) throw new TypeError('which seed, or how many?')
  const from = wholeNumber('from', values.from ?? '1')
  return { from, count: wholeNumber('seeds', values.seeds), lines }
}

function wholeNumber(name: string, text: string): number {
  const number = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(number))
    throw new TypeError(`--${name} is a whole number, not ${text}`)
  return number
}
