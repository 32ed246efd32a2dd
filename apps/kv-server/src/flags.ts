/** The flags of a member, with etcd's own names, meanings and defaults; and how they are read. */
import { Command, InvalidArgumentError, Option } from 'commander'
import { readConfigFile } from './flags/config-file.ts'
import { CLUSTER_FLAGS, type ClusterSettings } from './flags/clustering.ts'
import { DISCOVERY_FLAGS, type DiscoverySettings } from './flags/discovery.ts'
import { FEATURE_FLAGS, type FeatureSettings, idleGates } from './flags/feature-gates.ts'
import type { Flag } from './flags/kinds.ts'
import { LOG_FLAGS, type LogSettings } from './flags/logging.ts'
import { OLD_NAMES } from './flags/old-names.ts'
import { SECURITY_FLAGS, type SecuritySettings } from './flags/security.ts'
import { SERVING_FLAGS, type ServingSettings } from './flags/serving.ts'
import { STORAGE_FLAGS, type StorageSettings } from './flags/storage.ts'
import { type Foreign, REFUSED, WITHOUT_MEANING } from './flags/without-meaning.ts'
import { ConfigFileError, UsageError } from './usage.ts'

/** Every flag by its name, as the rest of the program sees it. */
export interface Settings
  extends
    ClusterSettings,
    DiscoverySettings,
    StorageSettings,
    ServingSettings,
    SecuritySettings,
    LogSettings,
    FeatureSettings {}

export type FlagName = keyof Settings

/** In the order in which people are told of them. */
export const FLAGS: { readonly [Name in FlagName]: Flag<Settings[Name]> } = {
  ...CLUSTER_FLAGS,
  ...DISCOVERY_FLAGS,
  ...STORAGE_FLAGS,
  ...SERVING_FLAGS,
  ...SECURITY_FLAGS,
  ...LOG_FLAGS,
  ...FEATURE_FLAGS,
}

const CONFIG_FILE = 'config-file'
const NAMES = Object.keys(FLAGS) as FlagName[]
const FOREIGN: Readonly<Record<string, Foreign>> = { ...WITHOUT_MEANING, ...REFUSED }
/** Every name that is understood. */
const ALL_NAMES: readonly string[] = [
  CONFIG_FILE,
  ...NAMES,
  ...Object.keys(FOREIGN),
  ...OLD_NAMES.keys(),
]

const DESCRIPTION = `One member of a distributed key-value store that speaks the etcd v3 API.
A flag can be set by a variable, too: --data-dir by ETCD_DATA_DIR. The flag wins.
With --config-file, a file in YAML has the last word on all of them.
Flags of etcd that have no meaning here are taken, too. URLs may be several, with commas.
'snapshot --help' tells of what can be done with a snapshot.`

/** Variables of etcd that are no flags, and ask for nothing here. */
const OTHER_VARIABLES = ['ETCD_UNSUPPORTED_ARCH', 'ETCD_VERIFY']

/** What a command line asks for. */
export type CommandLine =
  | { readonly type: 'help'; readonly text: string }
  | { readonly type: 'run'; readonly settings: Settings; readonly warnings: readonly string[] }
  | { readonly type: 'version' }

type Variables = Readonly<Record<string, string | undefined>>

/** What was given for flags, by their present names, and by what: `--name`, a variable, a line. */
type Given = Map<string, { readonly text: string; readonly by: string }>

/** `--data-dir` is `ETCD_DATA_DIR`. */
export function variableOf(flag: string): string {
  return `ETCD_${flag.replaceAll('-', '_').toUpperCase()}`
}

/**
 * Reads flags and variables; a flag wins over its variable, and a configuration file over both.
 * Throws a {@link UsageError} for a flag that is unknown or a value that is out of range.
 */
export function parseCommandLine(args: readonly string[], env: Variables): CommandLine {
  const command = buildCommand()
  try {
    command.parse(args.map(withTwoDashes), { from: 'user' })
  } catch (error) {
    throw new UsageError(firstLine(error))
  }
  const options: Readonly<Record<string, string | boolean | undefined>> = command.opts()
  if (options['help'] === true) return { type: 'help', text: command.helpInformation() }
  if (options['version'] === true) return { type: 'version' }
  const warnings: string[] = []
  const outside = givenOutside(options, env, warnings)
  const path = outside.get(CONFIG_FILE)?.text
  const given = path === undefined ? outside : givenInFile(path, outside, warnings)
  warnings.push(...remarksOn(given))
  const settings: Record<string, unknown> = {}
  for (const name of NAMES) settings[name] = settingOf(name, given)
  const { 'feature-gates': gates } = settings as unknown as Settings
  warnings.push(...idleGates(gates).map((gate) => `feature gate ${gate} has no meaning here`))
  warnings.push(...unknownVariables(env))
  return { type: 'run', settings: settings as unknown as Settings, warnings }
}

/** By flags and variables. */
function givenOutside(
  options: Readonly<Record<string, string | boolean | undefined>>,
  env: Variables,
  warnings: string[],
): Given {
  const given: Given = new Map()
  for (const name of ALL_NAMES) {
    const variable = variableOf(name)
    // An empty variable is one that is not set: container images declare more than they fill in.
    const fromEnv = env[variable] === '' ? undefined : env[variable]
    const option = options[camelCase(name)]
    if (option !== undefined && fromEnv !== undefined)
      warnings.push(`--${name} is used, and not ${variable}`)
    const text = option === undefined ? fromEnv : String(option)
    if (text === undefined) continue
    const by = option === undefined ? variable : `--${name}`
    keep(given, name, { text, by }, warnings)
  }
  return given
}

/** The file says all: flags and variables beside it are ignored, as in etcd. */
function givenInFile(path: string, outside: Given, warnings: string[]): Given {
  for (const [name, { by }] of outside)
    if (name !== CONFIG_FILE) warnings.push(`${by} is ignored: the configuration is in ${path}`)
  const given: Given = new Map()
  const isDuration = (key: string): boolean => {
    const name = OLD_NAMES.get(key) ?? key
    return Object.hasOwn(FLAGS, name) && FLAGS[name as FlagName].value === 'duration'
  }
  for (const { name, text, line } of readConfigFile(path, { names: ALL_NAMES, isDuration })) {
    const by = `${path}:${line}: ${name}`
    if (name === CONFIG_FILE) throw new ConfigFileError(`${by} cannot stand in a file`)
    keep(given, name, { text, by }, warnings)
  }
  return given
}

/** Under the present name. A new name wins over an old one. */
function keep(
  given: Given,
  name: string,
  what: { readonly text: string; readonly by: string },
  warnings: string[],
): void {
  const present = OLD_NAMES.get(name)
  if (present === undefined) {
    given.set(name, what)
    return
  }
  warnings.push(`${what.by} is an old name: use --${present}`)
  if (!given.has(present)) given.set(present, what)
}

function settingOf(name: FlagName, given: Given): unknown {
  const { parse, default: initial } = FLAGS[name]
  const { text, by } = given.get(name) ?? { text: initial, by: '' }
  try {
    return parse(text)
  } catch (error) {
    throw problemWith(by, `: ${firstLine(error)}, not '${text}'`)
  }
}

function problemWith(by: string, why: string): UsageError {
  const Problem = by.startsWith('--') || by.startsWith('ETCD_') ? UsageError : ConfigFileError
  return new Problem(by + why)
}

/** A line for each flag that changes nothing. Throws for those that must not be passed over. */
function remarksOn(given: Given): string[] {
  const remarks: string[] = []
  for (const [name, { text, by }] of given) {
    const refused = Object.hasOwn(REFUSED, name) ? REFUSED[name] : undefined
    const isHarmless = text === '' || text === 'false' || refused?.harmless.includes(text) === true
    if (refused !== undefined && !isHarmless)
      throw problemWith(by, ` is not supported: ${refused.why}`)
    const foreign = Object.hasOwn(WITHOUT_MEANING, name) ? WITHOUT_MEANING[name] : undefined
    if (foreign !== undefined) remarks.push(`${by} has no meaning here: ${foreign.why}`)
  }
  return remarks
}

function unknownVariables(env: Variables): string[] {
  const known = new Set([...OTHER_VARIABLES, ...ALL_NAMES.map(variableOf)])
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
    .option(`--${CONFIG_FILE} <path>`, "read everything from a file, with etcd's keys")
  for (const name of NAMES) command.addOption(optionOf(name, name))
  for (const name of Object.keys(FOREIGN)) command.addOption(optionOf(name, name).hideHelp())
  for (const [old, name] of OLD_NAMES) command.addOption(optionOf(old, name).hideHelp())
  return command
    .option('--version', 'print the version and stop')
    .option('-h, --help', 'print this and stop')
}

/** The option by which what `name` stands for is given. Its value is checked, and kept as text. */
function optionOf(option: string, name: string): Option {
  const foreign = FOREIGN[name]
  if (foreign !== undefined)
    return new Option(`--${option} ${foreign.isSwitch ? '[true|false]' : '<value>'}`)
  const { value, default: initial, parse, help } = FLAGS[name as FlagName]
  const form = value === '' ? `--${option} [true|false]` : `--${option} <${value}>`
  const remark = initial === '' ? '' : ` (default: ${initial})`
  return new Option(form, help + remark).argParser((given: string) => {
    try {
      parse(given)
      return given
    } catch (error) {
      throw new InvalidArgumentError(`It ${firstLine(error)}.`)
    }
  })
}

/** etcd's flags may also be written with one dash. */
function withTwoDashes(arg: string): string {
  return /^-[a-z]{2}/.test(arg) ? `-${arg}` : arg
}

function camelCase(name: string): string {
  return name.replaceAll(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}

function firstLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return (message.split('\n')[0] ?? '').replace(/^error: /, '')
}
