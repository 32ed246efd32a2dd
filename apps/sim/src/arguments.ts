import { parseArgs } from 'node:util'

const MACHINES = ['kv', 'simple'] as const
export type Machine = (typeof MACHINES)[number]

/** Which seeds to run, on what, and how much to tell. */
export interface Arguments {
  readonly from: number
  /** How many; infinite if only time ends the run. */
  readonly count: number
  /** No seed begins after this much time. */
  readonly seconds: number
  readonly workers: number
  /** The last lines of the story of a seed that fails. */
  readonly lines: number
  /** Goes on after a seed that fails. */
  readonly keepGoing: boolean
  /** Which state machine: the server's, or the simplest one. */
  readonly machine: Machine
  /** On storage-memory in the place of virtual disks. */
  readonly memoryStorage: boolean
  /** On transport-memory in the place of a virtual network. */
  readonly memoryTransport: boolean
  /** Ends with a table of all that happened. */
  readonly coverage: boolean
}

export const USAGE = `Runs a cluster of real nodes through all kinds of trouble, decided by a seed.

  pnpm sim --seed 3053              one seed
  pnpm sim --seeds 1000             as many, from 1 on, until one fails
  pnpm sim --seeds 1000 --from 5001
  pnpm sim --seconds 600            as many as there is time for

  --workers 2                       threads to run them on (one for each core)
  --machine simple                  the simplest store there is, not the server's (kv)
  --storage memory                  on storage-memory, not on virtual disks (virtual)
  --transport memory                on transport-memory, not on a virtual network (virtual)
  --coverage                        end with a table of all that was done and happened
  --keep-going                      count the seeds that fail, and go on
  --lines 500                       how much of the story to tell if one fails (60)`

/** Throws a TypeError that says what is wrong. */
export function parseArguments(args: readonly string[], cores: number): Arguments {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string' },
      from: { type: 'string' },
      seconds: { type: 'string' },
      workers: { type: 'string' },
      lines: { type: 'string' },
      'keep-going': { type: 'boolean' },
      machine: { type: 'string' },
      storage: { type: 'string' },
      transport: { type: 'string' },
      coverage: { type: 'boolean' },
    },
  })
  const shared = {
    workers: Math.max(1, wholeNumber('workers', values.workers ?? `${cores}`)),
    lines: wholeNumber('lines', values.lines ?? '60'),
    keepGoing: values['keep-going'] ?? false,
    machine: machineOf(values.machine ?? 'kv'),
    memoryStorage: isMemory('storage', values.storage ?? 'virtual'),
    memoryTransport: isMemory('transport', values.transport ?? 'virtual'),
    coverage: values.coverage ?? false,
  }
  if (values.seed !== undefined) {
    const isMore = [values.seeds, values.from, values.seconds].some((value) => value !== undefined)
    if (isMore) throw new TypeError('--seed is for one; --seeds, --seconds and --from are for many')
    const from = wholeNumber('seed', values.seed)
    return { ...shared, from, count: 1, seconds: Number.POSITIVE_INFINITY }
  }
  if (values.seeds === undefined && values.seconds === undefined)
    throw new TypeError('which seed, how many, or for how long?')
  return {
    ...shared,
    from: wholeNumber('from', values.from ?? '1'),
    count: wholeNumberOrNone('seeds', values.seeds),
    seconds: wholeNumberOrNone('seconds', values.seconds),
  }
}

function machineOf(name: string): Machine {
  const machine = MACHINES.find((other) => other === name)
  if (machine === undefined)
    throw new TypeError(`--machine is ${MACHINES.join(' or ')}, not ${name}`)
  return machine
}

function isMemory(name: string, kind: string): boolean {
  if (kind !== 'memory' && kind !== 'virtual')
    throw new TypeError(`--${name} is virtual or memory, not ${kind}`)
  return kind === 'memory'
}

function wholeNumberOrNone(name: string, text: string | undefined): number {
  return text === undefined ? Number.POSITIVE_INFINITY : wholeNumber(name, text)
}

function wholeNumber(name: string, text: string): number {
  const number = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(number))
    throw new TypeError(`--${name} is a whole number, not ${text}`)
  return number
}
