/** Flags of what a member says about itself. */
import { type FlagsFor, list, oneOf } from './kinds.ts'

export interface LogSettings {
  readonly 'log-level': LogLevel
  readonly 'log-format': 'json' | 'console'
  /** `default` and `stderr`, `stdout`, or files. */
  readonly 'log-outputs': readonly string[]
}

export type LogLevel = (typeof LOG_LEVELS)[number]

const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'panic', 'fatal'] as const

export const LOG_FLAGS: FlagsFor<LogSettings> = {
  'log-level': oneOf(LOG_LEVELS, 'info', 'least important lines to log', 'level'),
  'log-format': oneOf(['json', 'console'], 'json', 'lines for programs or for people'),
  'log-outputs': {
    ...list('outputs', 'stderr (the default), stdout, or files'),
    default: 'default',
  },
}
