#!/usr/bin/env node
/**
 * One member of a cluster, until it is told to stop; or, with `snapshot` for its first word, what can
 * be done with a snapshot offline.
 *
 * | exit code | meaning |
 * |---|---|
 * | 0 | stopped by SIGTERM or SIGINT, or removed from the cluster |
 * | 1 | could not start, or had to stop: the last line of the log says why; or a bad `--config-file` |
 * | 2 | a flag, a variable or their combination makes no sense: the line on stderr says which |
 */
import { dataDirOf, type ServerConfig, resolveConfig } from './config.ts'
import { parseCommandLine, type Settings } from './flags.ts'
import { isInitialized } from './identity.ts'
import { type OpenLog, openLog } from './log.ts'
import { runMember } from './run-member.ts'
import { runSnapshotCommand } from './snapshots/command.ts'
import { ConfigFileError, UsageError } from './usage.ts'
import { VERSION_TEXT } from './version.ts'

const OK = 0
const FAILED = 1
const BAD_USAGE = 2

process.exit(await main(process.argv.slice(2)))

async function main(args: readonly string[]): Promise<number> {
  try {
    if (args[0] === 'snapshot') return await runSnapshotCommand(args.slice(1))
    const asked = parseCommandLine(args, process.env)
    if (asked.type !== 'run') {
      process.stdout.write(`${asked.type === 'help' ? asked.text : VERSION_TEXT}\n`)
      return OK
    }
    const { settings } = asked
    const dataDir = dataDirOf(settings)
    const config = resolveConfig(settings, { isInitialized: isInitialized(dataDir) })
    const warnings = [...asked.warnings, ...config.remarks]
    return await run(config, logOf(settings), warnings)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    process.stderr.write(`coracle: ${error.message}\n`)
    return error instanceof ConfigFileError ? FAILED : BAD_USAGE
  }
}

function logOf(settings: Settings): OpenLog {
  return openLog({
    level: settings['log-level'],
    format: settings['log-format'],
    outputs: settings['log-outputs'],
  })
}

function run(
  config: ServerConfig,
  { log, flush }: OpenLog,
  warnings: readonly string[],
): Promise<number> {
  process.once('exit', flush)
  return runMember(config, log, warnings)
}
