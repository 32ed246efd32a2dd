/** What a member says about itself: JSON lines on stderr with etcd's own field names. */
import { openSync } from 'node:fs'
import { type DestinationStream, type Logger, pino } from 'pino'
import type { LogLevel } from './flags/logging.ts'
import { UsageError } from './usage.ts'

export type Log = Logger

export interface LogOptions {
  readonly level: LogLevel
  readonly format: 'json' | 'console'
  /** `default` and `stderr`, `stdout`, or files. Default: stderr. */
  readonly outputs?: readonly string[]
}

/** A log, and the way to have all of it written before the process ends. */
export interface OpenLog {
  readonly log: Log
  /** Writes what is still waiting. A reader that stands still would otherwise hold up the member. */
  readonly flush: () => void
}

/** Throws a {@link UsageError} for a file that cannot be written. */
export function openLog({ level, format, outputs = ['stderr'] }: LogOptions): OpenLog {
  const places = [...new Set(outputs.map((output) => descriptorOf(output)))]
  const streams = places.map((place) => openOutput(place))
  const all: DestinationStream = {
    write(line) {
      for (const stream of streams) stream.write(line)
    },
  }
  const destination = format === 'json' ? all : consoleLines(all)
  return {
    log: createLog(level, destination),
    flush: () => streams.forEach((stream) => stream.flushSync()),
  }
}

/** A descriptor that is open, or the path of a file. The journal of systemd takes what is on stderr. */
function descriptorOf(output: string): number | string {
  if (output === 'stdout') return 1
  return ['default', 'stderr', 'systemd/journal'].includes(output) ? 2 : output
}

function openOutput(place: number | string): ReturnType<typeof pino.destination> {
  try {
    const fd = typeof place === 'number' ? place : openSync(place, 'a', 0o600)
    // Not synchronous: whoever reads the log slowly must not slow down the cluster.
    const stream = pino.destination({ fd, sync: false })
    // Nor must the member die of a reader that went away.
    stream.on('error', () => {})
    return stream
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new UsageError(`--log-outputs: ${why}`)
  }
}

export function createLog(level: LogLevel, destination: DestinationStream): Log {
  return pino(
    {
      // etcd has one more level, of which nothing here makes use.
      level: level === 'panic' ? 'fatal' : level,
      base: null,
      messageKey: 'msg',
      timestamp: () => `,"ts":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  )
}

/** The same lines for people: time, level, message, and the rest as `key=value`. */
function consoleLines(to: DestinationStream): DestinationStream {
  return {
    write(line) {
      const { ts, level, msg, ...rest } = JSON.parse(line) as Record<string, unknown>
      const fields = Object.entries(rest).map(
        ([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
      )
      to.write(
        `${String(ts)} ${String(level).toUpperCase().padEnd(5)} ${String(msg)}${fields.join('')}\n`,
      )
    },
  }
}
