/** How long it takes from commit to applied. */
import type { Registry } from 'prom-client'
import { counter } from './collect.ts'
import { histogram, SHORT_SECONDS } from './histograms.ts'

/** etcd warns of what takes longer, request by request; here it is all that is applied together. */
const SLOW_SECONDS = 0.1

/** What it gives is told each time, in seconds. */
export function applyTimes(registry: Registry): (seconds: number) => void {
  const name = 'coracle_raft_apply_duration_seconds'
  const applied = histogram(registry, { name, help: 'From commit to applied.' }, SHORT_SECONDS)
  let slow = 0
  const slowly = { name: 'etcd_server_slow_apply_total', help: 'Times that it took over 0.1 s.' }
  counter(registry, slowly, () => slow)
  return (seconds) => {
    applied.observe(seconds)
    if (seconds > SLOW_SECONDS) slow += 1
  }
}
