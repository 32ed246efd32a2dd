import { simulate } from '@coracle/simulator'
import type { Row } from './report.ts'

const SEEDS = 40

/** How much of a cluster's life fits into a second, with all faults and all checks on one core. */
export async function benchSimulation(progress: (what: string) => void): Promise<readonly Row[]> {
  progress('simulated clusters')
  for (let seed = 1; seed <= 5; seed += 1) await simulate({ seed })
  let ticks = 0
  let virtualMs = 0
  const began = performance.now()
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const { tally } = await simulate({ seed })
    virtualMs += tally.virtualMs
    ticks += tally.ticks
  }
  const seconds = (performance.now() - began) / 1_000
  return [
    {
      what: 'ticks of simulated nodes, all faults and all checks, on one core',
      value: ticks / seconds,
      unit: '/s',
      note: `${(SEEDS / seconds).toFixed(1)} seeds/s, ${(virtualMs / 1_000 / seconds).toFixed(0)} virtual seconds per second`,
    },
  ]
}
