/** The process, under the names that every Prometheus client gives these. */
import { readdirSync, readFileSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import type { Registry } from 'prom-client'
import { counter, gauge, gauges, type Sample } from './collect.ts'

export function processMetrics(registry: Registry): void {
  const begun = performance.timeOrigin / 1_000
  const cpu = { name: 'process_cpu_seconds_total', help: 'Processor time, of user and system.' }
  counter(registry, cpu, () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  const memory = { name: 'process_resident_memory_bytes', help: 'Memory in use.' }
  gauge(registry, memory, () => process.memoryUsage.rss())
  const heap = { name: 'nodejs_heap_size_used_bytes', help: 'Memory of JavaScript values.' }
  gauge(registry, heap, () => process.memoryUsage().heapUsed)
  gauge(registry, { name: 'process_start_time_seconds', help: 'Since 1970.' }, () => begun)
  optional(registry, ['process_open_fds', 'os_fd_used'], 'Open files.', openFiles)
  optional(registry, ['process_max_fds', 'os_fd_limit'], 'Most open files.', mostFiles)
}

/** What this system does not tell has no value. */
function optional(
  registry: Registry,
  names: readonly string[],
  help: string,
  read: () => number | null,
): void {
  for (const name of names)
    gauges(registry, { name, help }, () => {
      const value = read()
      return value === null ? [] : [[value] satisfies Sample]
    })
}

function openFiles(): number | null {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    return null
  }
}

function mostFiles(): number | null {
  try {
    const [, soft] =
      /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
    return soft === undefined ? null : Number(soft)
  } catch {
    return null
  }
}
