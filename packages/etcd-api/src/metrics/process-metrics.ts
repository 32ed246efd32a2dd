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
  optional(registry, ['process_max_fds', 'os_fd_limit'], 'Most open files.', () =>
    limitOf('open files'),
  )
  optional(registry, ['process_virtual_memory_bytes'], 'Addresses in use.', virtualMemory)
  optional(registry, ['process_virtual_memory_max_bytes'], 'Most addresses in use.', () =>
    limitOf('address space'),
  )
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

function virtualMemory(): number | null {
  try {
    // Before these the program's name, in parentheses, may hold anything (proc(5), stat).
    const fields = readFileSync('/proc/self/stat', 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
    return Number(fields[VIRTUAL_MEMORY])
  } catch {
    return null
  }
}

/** Where `vsize` stands, counted from the process's state. */
const VIRTUAL_MEMORY = 20
/** What programs in Go tell where there is no limit: the most that 64 bits can say. */
const UNLIMITED = 2 ** 64

function limitOf(name: string): number | null {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8')
    const [, soft] = new RegExp(`^Max ${name}\\s+(\\d+|unlimited)`, 'm').exec(limits) ?? []
    if (soft === undefined) return null
    return soft === 'unlimited' ? UNLIMITED : Number(soft)
  } catch {
    return null
  }
}
