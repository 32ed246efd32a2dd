#!/usr/bin/env node
/**
 * Kills the leader of a cluster in the middle of its work, and checks that everything that was
 * acknowledged is still there. Exit code 1 and the reason if any promise is broken.
 */
import { setTimeout } from 'node:timers/promises'
import { colors } from '@coracle/kv-server/colors'
import { type DemoCluster, startCluster } from './cluster.ts'
import { type Figures, failover } from './failover.ts'
import { type Story, tellStory } from './story.ts'

/** Nothing here takes this long unless something is stuck. */
const DEADLINE_MS = 55_000

const OK = 0
const BROKEN = 1

process.exit(await main())

async function main(): Promise<number> {
  const story = tellStory(process.stdout)
  story.say(`\n${colors.bold('What happens when the leader dies')}\n`)
  const cluster = await startCluster()
  try {
    const { acknowledged, failoverMs } = await Promise.race([run(cluster, story), endEarly()])
    const summary = `the leader was killed, writes went on after ${ms(failoverMs)}, and all ${acknowledged} acknowledged writes are on all three members.`
    story.say(`\n${colors.bold(colors.green('Every promise was kept:'))} ${summary}`)
    return OK
  } catch (error) {
    story.say(`\n${colors.bold(colors.red('Not as promised:'))} ${reasonOf(error)}`)
    return BROKEN
  } finally {
    await cluster[Symbol.asyncDispose]()
  }
}

async function run(cluster: DemoCluster, story: Story): Promise<Figures> {
  await story.step('Three members start, each a process of its own', async () => {
    const started = performance.now()
    await cluster.ready
    const names = cluster.members.map(({ name, client }) => `${name} at ${client.address}`)
    return { shows: `ready after ${ms(performance.now() - started)}: ${names.join(', ')}` }
  })
  return failover(cluster, story)
}

/** Rejects when the time is up, or on Ctrl-C. */
async function endEarly(): Promise<never> {
  const interrupted = new Promise((resolve) =>
    process.once('SIGINT', resolve).once('SIGTERM', resolve),
  )
  const late = setTimeout(DEADLINE_MS, 'late', { ref: false })
  if ((await Promise.race([interrupted, late])) === 'late')
    throw new Error(`it took longer than ${DEADLINE_MS / 1000} s`)
  throw new Error('it was interrupted')
}

function ms(duration: number): string {
  return duration < 1_000 ? `${Math.round(duration)} ms` : `${(duration / 1_000).toFixed(1)} s`
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause === undefined ? error.message : `${error.message}: ${reasonOf(error.cause)}`
}
