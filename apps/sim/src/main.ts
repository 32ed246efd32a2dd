#!/usr/bin/env node
/** Runs simulations, seed after seed, until one breaks a rule. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { availableParallelism } from 'node:os'
import type { Report } from '@coracle/simulator'
import { type Arguments, parseArguments, USAGE } from './arguments.ts'
import { CoverageTable } from './coverage.ts'
import { Progress } from './progress.ts'
import { runSeeds } from './threads.ts'

const OK = 0
const BROKEN = 1
const MISUSED = 2

process.exitCode = await main()

async function main(): Promise<number> {
  const given = process.argv.slice(2)
  if (given.includes('--help')) {
    console.log(USAGE)
    return OK
  }
  let args: Arguments
  try {
    args = parseArguments(given, availableParallelism())
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`)
    return MISUSED
  }
  const { broken, missing } = await run(args)
  const [first] = broken.toSorted((a, b) => a.seed - b.seed)
  if (first === undefined && missing.length > 0) {
    console.error(`nothing was learned of what never happened: ${missing.join(', ')}`)
    return BROKEN
  }
  if (first === undefined) return OK
  console.error(tellFailure(first))
  if (args.keepGoing)
    console.error(`${broken.length} seeds fail: ${broken.map(({ seed }) => seed).join(' ')}`)
  return BROKEN
}

/** So many seeds must have seen everything. */
const MANY_SEEDS = 200

interface Outcome {
  readonly broken: readonly Report[]
  /** What many seeds should have done to some cluster, and none did. */
  readonly missing: readonly string[]
}

/**
 * Seeds begin in their order, so when one fails, all before it have begun: the first that fails is
 * the same on any number of threads.
 */
async function run({ from, count, seconds, ...how }: Arguments): Promise<Outcome> {
  const progress = new Progress(count)
  const deadline = performance.now() + seconds * 1000
  const coverage = new CoverageTable()
  const broken: Report[] = []
  const prints: string[] = []
  let seed = from
  await runSeeds({
    workers: how.workers,
    setting: {
      machine: how.machine,
      storyLines: how.lines,
      memoryStorage: how.memoryStorage,
      memoryTransport: how.memoryTransport,
    },
    next() {
      const isOver = seed >= from + count || performance.now() >= deadline
      return isOver || (broken.length > 0 && !how.keepGoing) ? null : seed++
    },
    done(report) {
      progress.add(report)
      coverage.add(report)
      prints[report.seed - from] = report.fingerprint
      if (report.violation !== null) broken.push(report)
    },
  })
  progress.end()
  if (how.coverage) console.log(coverage.toString())
  if (broken.length === 0) console.log(`all rules held; fingerprint ${hash(prints.join(' '))}`)
  // Other parts than the simulation's own do not let it do everything.
  const isWhole = prints.length >= MANY_SEEDS && !how.memoryStorage && !how.memoryTransport
  return { broken, missing: isWhole ? coverage.missing : [] }
}

function tellFailure({ seed, violation, story, plan }: Report): string {
  return [
    '',
    ...story,
    '',
    `seed ${seed} at commit ${commit()} breaks: ${violation?.property}`,
    violation?.why ?? '',
    '',
    `what the seed decided: ${JSON.stringify(plan)}`,
    `to see it again: pnpm sim --seed ${seed} --lines 1000`,
  ].join('\n')
}

/** The same for the same seeds at the same commit, on any machine and any number of threads. */
function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}

/** A seed means the same only to the same code. */
function commit(): string {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8' }).trim()
  } catch {
    return 'unknown'
  }
}
