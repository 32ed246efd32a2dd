/** The flags of a member: etcd's own names, meanings and defaults, one line of the table for each. */
import { Command, InvalidArgumentError, Option } from 'commander'
import { parseDuration } from './duration.ts'

/** Every flag by its name, as the rest of the program sees it. */
export interface Settings {
  readonly name: string
  /** Empty if it was not given: the name decides then. */
  readonly 'data-dir': string
  readonly 'listen-client-urls': string
  /** Empty if it was not given. */
  readonly 'advertise-client-urls': string
  /** Empty if there are none. */
  readonly 'listen-metrics-urls': string
  readonly 'listen-peer-urls': string
  readonly 'initial-advertise-peer-urls': string
  /** Empty if it was not given: a cluster of this member alone. */
  readonly 'initial-cluster': string
  readonly 'initial-cluster-state': 'new' | 'existing'
  readonly 'initial-cluster-token': string
  readonly 'force-new-cluster': boolean
  readonly 'strict-reconfig-check': boolean
  readonly 'max-learners': number
  readonly 'initial-corrupt-check': boolean
  /** In milliseconds. */
  readonly 'corrupt-check-time': number
  readonly 'heartbeat-interval': number
  readonly 'election-timeout': number
  readonly 'pre-vote': boolean
  readonly 'snapshot-count': number
  readonly 'snapshot-catchup-entries': number
  readonly 'max-request-bytes': number
  readonly 'max-txn-ops': number
  readonly 'max-concurrent-streams': number
  readonly 'quota-backend-bytes': number
  readonly 'auto-compaction-mode': 'periodic' | 'revision'
  /** A time, or a number of hours or revisions. Empty if it was not given. */
  readonly 'auto-compaction-retention': string
  /** `simple`, or `jwt` and what it takes. */
  readonly 'auth-token': string
  readonly 'auth-token-ttl': number
  readonly 'bcrypt-cost': number
  readonly 'enable-grpc-gateway': boolean
  readonly cors: string
  readonly 'host-whitelist': string
  readonly 'peer-transport': 'tcp' | 'grpc'
  readonly 'unsafe-no-fsync': boolean
  readonly 'log-level': LogLevel
  readonly 'log-format': 'json' | 'console'
}

export type FlagName = keyof Settings
export type LogLevel = (typeof LOG_LEVELS)[number]

const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'panic', 'fatal'] as const

interface Flag<Value> {
  /** What stands for the value in the help; empty for a switch. */
  readonly value: string
  /** In the words of the command line. */
  readonly default: string
  /** Throws an InvalidArgumentError that says what the value must be. */
  readonly parse: (text: string) => Value
  readonly help: string
}

const LOCAL_CLIENT = 'http://localhost:2379'
const LOCAL_PEER = 'http://localhost:2380'

const FLAGS: { readonly [Name in FlagName]: Flag<Settings[Name]> } = {
  name: text('name', 'default', 'name of this member, as in --initial-cluster'),
  'data-dir': text('path', '', 'where the data is kept (default: <name>.coracle)'),
  'listen-client-urls': text('urls', LOCAL_CLIENT, 'where to listen for clients'),
  'advertise-client-urls': text('urls', '', 'where clients reach this member'),
  'listen-metrics-urls': text('urls', '', 'where else to serve /metrics and the health checks'),
  'listen-peer-urls': text('url', LOCAL_PEER, 'where to listen for other members'),
  'initial-advertise-peer-urls': text('urls', LOCAL_PEER, 'where members reach this one'),
  'initial-cluster': text('name=url,...', '', 'who founds the cluster (default: this member)'),
  'initial-cluster-state': oneOf(
    ['new', 'existing'],
    'new',
    'found a cluster, or join one that runs',
  ),
  'initial-cluster-token': text('token', 'etcd-cluster', 'tells clusters with the same URLs apart'),
  'force-new-cluster': onOff(false, 'go on alone after all others were lost for good'),
  'strict-reconfig-check': onOff(true, 'refuse members where too few of them would run'),
  'max-learners': whole('members', 1, [0], 'most members that do not vote'),
  'initial-corrupt-check': onOff(false, 'compare keys with the others before serving'),
  'corrupt-check-time': duration('0s', 'how often members compare their keys (0: never)'),
  'heartbeat-interval': whole('ms', 100, [1, 10_000], 'time between heartbeats'),
  'election-timeout': whole('ms', 1_000, [5, 50_000], 'silence after which members elect a leader'),
  'pre-vote': onOff(true, 'ask before campaigning, so that a member that was away disturbs nobody'),
  'snapshot-count': whole('entries', 10_000, [1], 'applied entries between two snapshots'),
  'snapshot-catchup-entries': whole('entries', 5_000, [0], 'entries kept behind a snapshot'),
  'max-request-bytes': whole('bytes', 1_572_864, [1, 1 << 30], 'largest request of a client'),
  'max-txn-ops': whole('ops', 128, [1], 'most operations in a transaction'),
  'max-concurrent-streams': whole('streams', 0xffff_ffff, [1, 0xffff_ffff], 'most per connection'),
  'quota-backend-bytes': quota(0, 'size at which puts are refused (0: 2 GiB, -1: none)'),
  'auto-compaction-mode': oneOf(
    ['periodic', 'revision'],
    'periodic',
    'whether history is kept by time or by number',
  ),
  'auto-compaction-retention': text(
    'retention',
    '',
    'history to keep: 90m, or hours or revisions (default: 1h; 0: all)',
  ),
  'auth-token': text('tokens', 'simple', 'what stands for a user: simple, or jwt,sign-method=...'),
  'auth-token-ttl': whole('s', 300, [1, 1 << 30], 'how long a simple token lasts unused'),
  'bcrypt-cost': whole('cost', 10, [4, 31], 'work of hashing a password, each step twice as much'),
  'enable-grpc-gateway': onOff(true, 'serve the API as JSON over HTTP, too'),
  cors: text('origins', '*', 'whose pages may ask over HTTP'),
  'host-whitelist': text('names', '*', 'by which names HTTP clients may call this member'),
  'peer-transport': oneOf(['tcp', 'grpc'], 'tcp', 'how members talk; the same at all members'),
  'unsafe-no-fsync': onOff(false, 'do not wait for the disk: a power cut may lose data'),
  'log-level': oneOf(LOG_LEVELS, 'info', 'least important lines to log', 'level'),
  'log-format': oneOf(['json', 'console'], 'json', 'lines for programs or for people'),
}

const DESCRIPTION = `One member of a distributed key-value store that speaks the etcd v3 API.
A flag can be set by a variable, too: --data-dir by ETCD_DATA_DIR. The flag wins.`

const NAMES = Object.keys(FLAGS) as FlagName[]

/** What a command line asks for. */
export type CommandLine =
  | { readonly type: 'help'; readonly text: string }
  | { readonly type: 'run'; readonly settings: Settings; readonly warnings: readonly string[] }
  | { readonly type: 'version' }

/** A flag or variable that makes no sense. The message is one line. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** `--data-dir` is `ETCD_DATA_DIR`. */
export function variableOf(flag: FlagName): string {
  return `ETCD_${flag.replaceAll('-', '_').toUpperCase()}`
}

/**
 * Reads flags and variables; a flag wins over its variable. Throws a {@link UsageError} for a flag
 * that is unknown or a value that is out of range.
 */
export function parseCommandLine(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): CommandLine {
  const command = buildCommand()
  try {
    command.parse(args.map(withTwoDashes), { from: 'user' })
  } catch (error) {
    throw new UsageError(firstLine(error))
  }
  const given: Record<string, unknown> = command.opts()
  if (given['help'] === true) return { type: 'help', text: command.helpInformation() }
  if (given['version'] === true) return { type: 'version' }
  const warnings: string[] = []
  const settings: Record<string, unknown> = {}
  for (const name of NAMES) settings[name] = settingOf(name, given[camelCase(name)], env, warnings)
  warnings.push(...unknownVariables(env))
  return { type: 'run', settings: settings as unknown as Settings, warnings }
}

function settingOf(
  name: FlagName,
  given: unknown,
  env: Readonly<Record<string, string | undefined>>,
  warnings: string[],
): unknown {
  const variable = variableOf(name)
  // An empty variable is one that is not set: container images declare more than they fill in.
  const fromEnv = env[variable] === '' ? undefined : env[variable]
  if (given !== undefined) {
    if (fromEnv !== undefined) warnings.push(`--${name} is used, and not ${variable}`)
    return given
  }
  if (fromEnv === undefined) return FLAGS[name].parse(FLAGS[name].default)
  try {
    return FLAGS[name].parse(fromEnv)
  } catch (error) {
    throw new UsageError(`${variable}: ${firstLine(error)}, not '${fromEnv}'`)
  }
}

function unknownVariables(env: Readonly<Record<string, string | undefined>>): string[] {
  const known = new Set(NAMES.map(variableOf))
  return Object.keys(env)
    .filter((variable) => variable.startsWith('ETCD_') && !known.has(variable))
    .map((variable) => `unrecognized environment variable ${variable}`)
}

function buildCommand(): Command {
  const command = new Command('coracle')
    .description(DESCRIPTION)
    .usage('[flags]')
    .helpOption(false)
    .allowExcessArguments(false)
    .showSuggestionAfterError(false)
    .configureOutput({ writeErr: () => {} })
    .configureHelp({ helpWidth: 100 })
    .exitOverride()
  for (const name of NAMES) command.addOption(optionOf(name))
  return command
    .option('--version', 'print the version and stop')
    .option('-h, --help', 'print this and stop')
}

function optionOf(name: FlagName): Option {
  const { value, default: initial, parse, help } = FLAGS[name]
  const form = value === '' ? `--${name} [true|false]` : `--${name} <${value}>`
  const remark = initial === '' ? '' : ` (default: ${initial})`
  const option = new Option(form, help + remark)
  option.argParser((given: string) => {
    try {
      return parse(given)
    } catch (error) {
      throw new InvalidArgumentError(`It ${firstLine(error)}.`)
    }
  })
  return option
}

function text(value: string, initial: string, help: string): Flag<string> {
  return { value, default: initial, parse: (given) => given, help }
}

function whole(
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

function quota(initial: number, help: string): Flag<number> {
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

function duration(initial: string, help: string): Flag<number> {
  return {
    value: 'duration',
    default: initial,
    parse(given) {
      const ms = parseDuration(given)
      if (ms !== null && ms <= 0x7f_ff_ff_ff) return ms
      throw new InvalidArgumentError('must be a duration such as 30s, 5m or 1h30m')
    },
    help,
  }
}

function oneOf<Value extends string>(
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
      throw new InvalidArgumentError(
        `must be ${values.slice(0, -1).join(', ')} or ${values.at(-1)}`,
      )
    },
    help,
  }
}

function onOff(initial: boolean, help: string): Flag<boolean> {
  const { parse } = oneOf(['true', 'false'], 'true', help)
  return { value: '', default: String(initial), parse: (given) => parse(given) === 'true', help }
}

/** etcd's flags may also be written with one dash. */
function withTwoDashes(arg: string): string {
  return /^-[a-z]{2}/.test(arg) ? `-${arg}` : arg
}

function camelCase(name: string): string {
  return name.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

function firstLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return (message.split('\n')[0] ?? '').replace(/^error: /, '')
}
