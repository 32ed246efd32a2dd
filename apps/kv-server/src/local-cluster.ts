#!/usr/bin/env node
/**
 * Three members on this machine, at the ports that etcd's tutorials use, until Ctrl-C.
 * Exit code 0 when all were stopped, 1 if one cannot start, 2 for a flag that makes no sense.
 */
import { Command, InvalidArgumentError } from 'commander'
import { relative, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { colors } from './colors.ts'
import { startLocalCluster } from './launcher/cluster.ts'
import { observeMembers } from './launcher/observer.ts'
import { openScreen, type Screen } from './launcher/screen.ts'
import { renderTable, type Row } from './launcher/table.ts'
import { addressOf, type ClusterPlan, planCluster, takenPort } from './processes/index.ts'

const OK = 0
const FAILED = 1
const BAD_USAGE = 2

const REFRESH_MS = 500

interface Options {
  readonly dataDir: string
  readonly clientPorts: readonly number[]
  readonly peerPorts: readonly number[]
  readonly peerTransport: string
}

process.exit(await main(process.argv))

async function main(argv: readonly string[]): Promise<number> {
  const command = commandLine()
  try {
    command.parse(argv)
  } catch (error) {
    return (error as { exitCode?: number }).exitCode === OK ? OK : BAD_USAGE
  }
  const signal = askedToStop()
  try {
    await run(command.opts<Options>(), signal)
    return OK
  } catch (error) {
    if (signal.aborted) return OK
    process.stderr.write(`coracle: ${error instanceof Error ? error.message : String(error)}\n`)
    return FAILED
  }
}

function commandLine(): Command {
  return new Command('local-cluster')
    .description('Three members on this machine, for trying things out.')
    .option('--data-dir <path>', 'where data and logs are kept', '.coracle')
    .option('--client-ports <a,b,c>', 'ports for clients', ports, [2379, 22379, 32379])
    .option('--peer-ports <a,b,c>', 'ports for members', ports, [2380, 22380, 32380])
    .option('--peer-transport <tcp|grpc>', 'how members talk', 'tcp')
    .showSuggestionAfterError(false)
    .exitOverride()
}

function ports(text: string): readonly number[] {
  const numbers = text.split(',').map(Number)
  const isPort = (port: number): boolean => Number.isInteger(port) && port > 0 && port < 65_536
  if (numbers.length === 3 && numbers.every(isPort)) return numbers
  throw new InvalidArgumentError('It must be three ports: 2379,22379,32379.')
}

async function run(options: Options, signal: AbortSignal): Promise<void> {
  const { clientPorts, peerPorts } = options
  const taken = await takenPort([...clientPorts, ...peerPorts])
  if (taken !== null)
    throw new Error(`port ${taken} on 127.0.0.1 is taken: another program listens there`)
  const plan = planCluster({
    directory: options.dataDir,
    clientPorts,
    peerPorts,
    flags: [`--peer-transport=${options.peerTransport}`],
  })
  const screen = openScreen(process.stdout)
  screen.say(
    colors.dim(`Starting three members, with their data in ${shortPath(options.dataDir)} ...`),
  )
  const cluster = await startLocalCluster({
    program: fileURLToPath(new URL('main.js', import.meta.url)),
    directory: options.dataDir,
    plan,
    events: eventsTo(screen),
    signal,
  })
  try {
    using observer = observeMembers(plan.members, cluster.pidOf)
    screen.say(howToTalk(options, plan))
    await showUntil(signal, screen, () => observer.observe())
  } finally {
    screen.leave()
    screen.say(colors.dim('Stopping all members ...'))
    await cluster[Symbol.asyncDispose]()
  }
  screen.say('All members have stopped; their data is kept.')
}

/** A terminal sends Ctrl-C to all programs in front of it, and some of these pass it on: once is enough. */
function askedToStop(): AbortSignal {
  const controller = new AbortController()
  const stop = (): void => controller.abort()
  process.on('SIGINT', stop).on('SIGTERM', stop)
  return controller.signal
}

/** Shows the cluster as it changes, until the signal aborts. */
async function showUntil(
  signal: AbortSignal,
  screen: Screen,
  observe: () => Promise<readonly Row[]>,
): Promise<void> {
  while (!signal.aborted) {
    screen.show(renderTable(await observe()))
    await setTimeout(REFRESH_MS, undefined, { signal }).catch(() => {})
  }
}

function eventsTo(screen: Screen): Parameters<typeof startLocalCluster>[0]['events'] {
  const time = (): string => colors.dim(new Date().toLocaleTimeString('en-GB'))
  return {
    onLine({ name }, { msg, fields }) {
      if (msg === 'became leader')
        screen.say(
          `${time()}  ${colors.green(`${name} leads`)} since term ${String(fields['term'])}`,
        )
    },
    onDied({ name }, why) {
      screen.say(`${time()}  ${colors.red(`${name} is down`)}: ${why}; it will be started again`)
    },
    onLost({ name }, why) {
      screen.say(`${time()}  ${colors.red(`${name} stays down`)}: ${why}`)
    },
  }
}

function howToTalk({ dataDir }: Options, { members }: ClusterPlan): string {
  const all = members.map(addressOf)
  const endpoints = colors.cyan(`--endpoints=${all.join(',')}`)
  return `
${colors.bold('Coracle is ready.')} It speaks the etcd v3 API at every member:

  ${colors.cyan('export ETCDCTL_API=3')}
  etcdctl ${colors.cyan(`--endpoints=${all[1]}`)} put greeting hello
  etcdctl ${colors.cyan(`--endpoints=${all[2]}`)} get greeting
  etcdctl ${endpoints} endpoint status -w table

Kill the leader (kill -9 <its PID>) and see another one take over. Logs are in
${shortPath(dataDir)}/*.log. Ctrl-C stops all members; started again, they find their data.
`
}

function shortPath(path: string): string {
  return relative(process.cwd(), resolve(path)) || '.'
}
