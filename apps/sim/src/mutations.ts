#!/usr/bin/env node
/**
 * Is the simulation any good? Takes the fixes of known bugs out of the project, one at a time, and
 * counts the seeds until the simulation notices.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type Hunt, hunt } from './hunt.ts'
import { breed, type Mutation, mutations } from './mutant.ts'
import { TABLE_HEAD, tableOf } from './mutation-table.ts'

const USAGE = `Brings back known bugs, one at a time, and counts the seeds until the simulation notices.

  pnpm mutations                    every one of them
  pnpm mutations T5.1 T6            those whose name begins so

  --seeds 2000                      when to give up on one
  --workers 2                       threads for each (one for each core)
  --table FILE                      write what came of it at the end of this page`

process.exitCode = await main()

async function main(): Promise<number> {
  if (process.argv.includes('--help')) {
    console.log(USAGE)
    return 0
  }
  let args: ReturnType<typeof parse>
  try {
    args = parse()
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`)
    return 2
  }
  const chosen = (await mutations()).filter(
    ({ name }) => args.names.length === 0 || args.names.some((prefix) => name.startsWith(prefix)),
  )
  if (chosen.length === 0) {
    console.error(`no mutation is called ${args.names.join(' or ')}`)
    return 2
  }
  const hunts: Hunt[] = []
  for (const mutation of chosen) {
    const result = await huntOne(mutation, args)
    hunts.push(result)
    console.log(tell(result))
  }
  if (args.table !== undefined) await rewriteTable(args.table, hunts)
  const escaped = hunts.filter(({ found }) => found === null).length
  console.log(`${hunts.length - escaped} of ${hunts.length} found`)
  return escaped === 0 ? 0 : 1
}

/** The table is the end of the page. */
async function rewriteTable(file: string, hunts: readonly Hunt[]): Promise<void> {
  const [before = ''] = (await readFile(file, 'utf8')).split(TABLE_HEAD)
  await writeFile(file, before + tableOf(hunts))
}

function parse(): {
  readonly names: readonly string[]
  readonly seeds: number
  readonly workers: number
  readonly table: string | undefined
} {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seeds: { type: 'string', default: '2000' },
      workers: { type: 'string', default: `${availableParallelism()}` },
      table: { type: 'string' },
    },
  })
  const table = values.table === undefined ? undefined : resolve(values.table)
  return {
    names: positionals,
    seeds: atLeastOne('seeds', values.seeds),
    workers: atLeastOne('workers', values.workers),
    table,
  }
}

function atLeastOne(name: string, text: string): number {
  const number = Number(text)
  if (!Number.isSafeInteger(number) || number < 1)
    throw new TypeError(`--${name} is a whole number from 1, not ${text}`)
  return number
}

async function huntOne(
  mutation: Mutation,
  how: { readonly seeds: number; readonly workers: number },
): Promise<Hunt> {
  await using mutant = await breed(mutation)
  return await hunt(mutation, mutant, how)
}

function tell({ mutation, found, seeds, seconds }: Hunt): string {
  const outcome = found === null ? `ESCAPED ${seeds} seeds` : `seed ${found.seed}: ${found.rule}`
  return `${mutation.name.padEnd(36)} ${outcome} (${seconds.toFixed(1)} s)`
}
