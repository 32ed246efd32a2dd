/** How often somebody asked whether this member is well, and what the answer was. */
import { Counter, Gauge, type Registry } from 'prom-client'

export interface HealthCounts {
  /** Of `/health`. */
  overall(isWell: boolean): void
  /** Of one check of `livez` or `readyz`. */
  check(type: string, name: string, isWell: boolean): void
}

export function healthMetrics(registry: Registry): HealthCounts {
  const registers = [registry]
  const counter = (name: string, help: string): Counter =>
    new Counter({ name: `etcd_server_${name}`, help, registers })
  const successes = counter('health_success', 'Times that /health said yes.')
  const failures = counter('health_failures', 'Times that /health said no.')
  const last = new Gauge({
    name: 'etcd_server_healthcheck',
    help: 'What each check said last.',
    labelNames: ['type', 'name'],
    registers,
  })
  const all = new Counter({
    name: 'etcd_server_healthchecks_total',
    help: 'What each check said.',
    labelNames: ['type', 'name', 'status'],
    registers,
  })
  return {
    overall: (isWell) => (isWell ? successes : failures).inc(),
    check(type, name, isWell) {
      last.set({ type, name }, Number(isWell))
      all.inc({ type, name, status: isWell ? 'success' : 'error' })
    },
  }
}
