/** Kinds of flags: how a value is written, and what it must be. */
import { InvalidArgumentError } from 'commander'
import { parseDuration } from '../duration.ts'

export interface Flag<Value> {
  /** What stands for the value in the help; empty for a switch. */
  readonly value: string
  /** In the words of the command line. */
  readonly default: string
  /** Throws an InvalidArgumentError that says what the value must be. */
  readonly parse: (text: string) => Value
  readonly help: string
}

/** One flag for each setting. */
export type FlagsFor<Settings> = { readonly [Name in keyof Settings]: Flag<Settings[Name]> }

export function text(value: string, initial: string, help: string): Flag<string> {
  return { value, default: initial, parse: (given) => given, help }
}

/** Values with commas between them; none for nothing. */
export function list(value: string, help: string): Flag<readonly string[]> {
  return {
    value,
    default: '',
    parse: (given) =>
      given
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== ''),
    help,
  }
}

export function whole(
  value: string,
  initial: number,
  [least, most = Number.MAX_SAFE_INTEGER]: readonly [number, number?],
  help: string,
): Flag<number> {
  const range =
    most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`
  return {
    value,
    default: String(initial),
    parse(given) {
      const number = Number(given)
      if (/^\d+$/.test(given) && number >= least && number <= most) return number
      throw new InvalidArgumentError(`must be a whole number ${range}`)
    },
    help,
  }
}

export function quota(initial: number, help: string): Flag<number> {
  return {
    value: 'bytes',
    default: String(initial),
    parse(given) {
      const number = Number(given)
      if (/^-?\d+$/.test(given) && Number.isSafeInteger(number)) return number
      throw new InvalidArgumentError('must be a whole number')
    },
    help,
  }
}

/** Timers know no longer time. */
const MAX_TIMER_MS = 0x7f_ff_ff_ff

/** In milliseconds. */
export function duration(initial: string, help: string): Flag<number> {
  return {
    value: 'duration',
    default: initial,
    parse(given) {
      const ms = parseDuration(given)
      if (ms === null) throw new InvalidArgumentError('must be a duration such as 30s, 5m or 1h30m')
      if (ms <= MAX_TIMER_MS) return ms
      throw new InvalidArgumentError('must be a duration of at most 596h')
    },
    help,
  }
}

export function oneOf<Value extends string>(
  values: readonly Value[],
  initial: NoInfer<Value>,
  help: string,
  value: string = values.join('|'),
): Flag<Value> {
  return {
    value,
    default: initial,
    parse(given) {
      const found = values.find((each) => each === given)
      if (found !== undefined) return found
      const named = values.map((each) => (each === '' ? 'empty' : each))
      throw new InvalidArgumentError(`must be ${named.slice(0, -1).join(', ')} or ${named.at(-1)}`)
    },
    help,
  }
}

export function onOff(initial: boolean, help: string): Flag<boolean> {
  return { value: '', default: String(initial), parse: booleanIn, help }
}

/** In all the ways in which Go's programs take it. Throws an InvalidArgumentError for anything else. */
export function booleanIn(given: string): boolean {
  if (/^(?:1|t|T|true|True|TRUE)$/.test(given)) return true
  if (/^(?:0|f|F|false|False|FALSE)$/.test(given)) return false
  throw new InvalidArgumentError('must be true or false')
}
