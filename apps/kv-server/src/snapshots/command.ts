/** `snapshot status` and `snapshot restore`, with the flags and answers of etcdutl. */
import { Command, InvalidArgumentError } from 'commander'
import { dataDirOf } from '../config.ts'
import { beginningOf } from '../config/beginning.ts'
import { UsageError } from '../usage.ts'
import { kvStateMachine } from '@coracle/kv-state-machine'
import { describeSnapshot, payloadOf, SnapshotError } from './file.ts'
import { restoreSnapshot } from './restore.ts'

const OK = 0
const FAILED = 1

interface RestoreFlags {
  readonly dataDir: string
  readonly name: string
  readonly initialCluster: string
  readonly initialClusterToken: string
  readonly initialAdvertisePeerUrls: string
  readonly bumpRevision: number
  readonly markCompacted: boolean
  readonly skipHashCheck: boolean
}

/** Answers with the exit code. Throws a {@link UsageError} for flags that make no sense. */
export async function runSnapshotCommand(args: readonly string[]): Promise<number> {
  let work: (() => Promise<void>) | null = null
  const command = commandLine((chosen) => {
    work = chosen
  })
  try {
    command.parse(args, { from: 'user' })
  } catch (error) {
    if ((error as { exitCode?: number }).exitCode === OK) return OK
    const message = error instanceof Error ? error.message : String(error)
    throw new UsageError((message.split('\n')[0] ?? '').replace(/^error: /, ''))
  }
  try {
    await (work as (() => Promise<void>) | null)?.()
    return OK
  } catch (error) {
    if (!(error instanceof SnapshotError)) throw error
    process.stderr.write(`coracle: ${error.message}\n`)
    return FAILED
  }
}

function commandLine(choose: (work: () => Promise<void>) => void): Command {
  const quiet = { writeErr: (): void => {} }
  const snapshot = new Command('coracle snapshot').exitOverride().configureOutput(quiet)
  snapshot
    .command('status <file>')
    .description('what a snapshot holds: hash, revision, keys, size')
    .option('-w, --write-out <simple|json>', 'how to print it', 'simple')
    .exitOverride()
    .configureOutput(quiet)
    .action((file: string, { writeOut }: { writeOut: string }) =>
      choose(() => printStatus(file, writeOut)),
    )
  snapshot
    .command('restore <file>')
    .description('write the data directory of one member of a new cluster')
    .option('--data-dir <path>', 'where to (default: <name>.coracle)', '')
    .option('--name <name>', 'name of the member', 'default')
    .option('--initial-cluster <name=url,...>', 'all members (default: this one)', '')
    .option('--initial-cluster-token <token>', 'tells clusters apart', 'etcd-cluster')
    .option(
      '--initial-advertise-peer-urls <urls>',
      'where members reach it',
      'http://localhost:2380',
    )
    .option('--bump-revision <number>', 'how much higher the revision is to be', whole, 0)
    .option('--mark-compacted', 'nothing before the new revision can be watched', false)
    .option('--skip-hash-check', 'take a file without its digest', false)
    .exitOverride()
    .configureOutput(quiet)
    .action((file: string, flags: RestoreFlags) => {
      if (flags.bumpRevision > 0 !== flags.markCompacted)
        throw new UsageError('--mark-compacted required if --bump-revision > 0, and only then')
      choose(() => restore(file, flags))
    })
  return snapshot
}

function whole(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It must be a whole number.')
}

async function restore(file: string, flags: RestoreFlags): Promise<void> {
  const { name, initialClusterToken: clusterToken, bumpRevision, skipHashCheck } = flags
  const beginning = beginningOf({
    name,
    'initial-cluster': flags.initialCluster,
    'initial-cluster-token': clusterToken,
    'initial-advertise-peer-urls': flags.initialAdvertisePeerUrls,
  })
  const dataDir = dataDirOf({ name, 'data-dir': flags.dataDir })
  const options = { ...beginning, name, dataDir, clusterToken, bumpRevision, skipHashCheck }
  const revision = await restoreSnapshot(file, options)
  const { member, clusterId } = beginning
  process.stderr.write(
    `restored snapshot: data-dir ${dataDir}, member ${member.nodeId} of cluster ${clusterId.toString(16)}, revision ${revision}\n`,
  )
}

/** In the order of etcdutl: hash, revision, keys, size. */
async function printStatus(path: string, writeOut: string): Promise<void> {
  const file = await describeSnapshot(path)
  const stateMachine = kvStateMachine()
  await stateMachine.restore(payloadOf(file)).catch((cause: Error) => {
    throw new SnapshotError(`snapshot ${path} is damaged: ${cause.message}`, { cause })
  })
  const hash = stateMachine.hash()
  const { revision, keyCount: totalKey, sizeBytes: totalSize, version } = file
  const text =
    writeOut === 'json'
      ? JSON.stringify({ hash, revision, totalKey, totalSize, version })
      : [hash.toString(16), revision, totalKey, sizeText(totalSize)].join(', ')
  process.stdout.write(`${text}\n`)
}

function sizeText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let size = bytes
  let unit = 0
  for (; size >= 1_000 && unit < units.length - 1; unit++) size /= 1_000
  return `${size < 10 && unit > 0 ? size.toFixed(1) : Math.round(size)} ${units[unit]}`
}
