/** What a member says about itself: JSON lines on stderr with etcd's own field names. */
import { type DestinationStream, type Logger, pino } from 'pino'
import type { LogLevel } from './flags.ts'

export type Log = Logger

export interface LogOptions {
  readonly level: LogLevel
  readonly format: 'json' | 'console'
}

/** A log, and the way to have all of it written before the process ends. */
export interface OpenLog {
  readonly log: Log
  /** Writes what is still waiting. A reader that stands still would otherwise hold up the member. */
  readonly flush: () => void
}

export function openLog({ level, format }: LogOptions): OpenLog {
  // Not synchronous: whoever reads the log slowly must not slow down the cluster.
  const stderr = pino.destination({ fd: 2, sync: false })
  // Nor must the member die of a reader that went away.
  stderr.on('error', () => {})
  const destination = format === 'json' ? stderr : consoleLines(stderr)
  return { log: createLog(level, destination), flush: () => stderr.flushSync() }
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
