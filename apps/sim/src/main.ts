#!/usr/bin/env node
/** Runs simulations, seed after seed, until one breaks a rule. */
import { execFileSync } from 'node:child_process'
import { type Report, simulate } from '@coracle/simulator'
import { type Arguments, parseArguments, USAGE } from './arguments.ts'

const OK = 0
const BROKEN = 1
const MISUSED = 2

process.exitCode = await main()

async function main(): Promise<number> {
  let args: Arguments
  try {
    args = parseArguments(process.argv.slice(2))
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`)
    return MISUSED
  }
  const { from, count, lines } = args
  const progress = startProgress(count)
  for (let seed = from; seed < from + count; seed++) {
    const report = await simulate({ seed, storyLines: lines })
    if (report.violation !== null) {
      progress.end()
      console.error(tellFailure(report))
      return BROKEN
    }
    progress.add(report)
  }
  progress.end()
  return OK
}

/** One line that grows: what was done so far, and how fast. */
function startProgress(count: number): { add(report: Report): void; end(): void } {
  const startedAt = performance.now()
  const sum = { seeds: 0, virtualMs: 0, messages: 0, lives: 0, acknowledged: 0, reads: 0 }
  const line = (): string => {
    const seconds = (performance.now() - startedAt) / 1000
    const [hours, rate] = [sum.virtualMs / 3_600_000, sum.seeds / Math.max(seconds, 0.001)]
    return [
      `${sum.seeds} of ${count} seeds`,
      `${hours.toFixed(2)} virtual hours`,
      `${sum.messages} messages`,
      `${sum.lives} starts`,
      `${sum.acknowledged} writes`,
      `${sum.reads} reads`,
      `${rate.toFixed(1)} seeds/s`,
    ].join(', ')
  }
  const { stdout } = process
  return {
    add({ tally }) {
      sum.seeds += 1
      sum.virtualMs += tally.virtualMs
      sum.messages += tally.messages
      sum.lives += tally.lives
      sum.acknowledged += tally.acknowledged
      sum.reads += tally.reads
      if (stdout.isTTY) stdout.write(`\r\u001B[K${line()}`)
      else if (sum.seeds % 100 === 0 && sum.seeds < count) stdout.write(`${line()}\n`)
    },
    end() {
      stdout.write(stdout.isTTY ? `\r\u001B[K${line()}\n` : `${line()}\n`)
    },
  }
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

/** A seed means the same only to the same code. */
function commit(): string {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8' }).trim()
  } catch {
    return 'unknown'
  }
}
