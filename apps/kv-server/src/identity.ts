/** Whose data a directory holds. A member that took up another's log would speak for it (§5.2). */
import { mkdir, open, readdir, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import type { ServerConfig } from './config.ts'

/** A directory that this member cannot use. The message is a sentence that names it. */
export class DirectoryError extends Error {
  override readonly name = 'DirectoryError'
}

interface Identity {
  readonly format: 1
  readonly name: string
  readonly memberId: string
  readonly clusterId: string
}

const FILE = 'member.json'
const NEW_FILE = 'member.json.new'
const STORAGE = 'raft'
/** What file systems and people leave at the top of a mounted volume. */
const IGNORED = /^(?:\.|lost\+found$)/

/** Where the log and the snapshots of a member are. */
export function storageLocation(config: ServerConfig): string {
  return join(config.dataDir, STORAGE)
}

/**
 * Creates the directory if it is missing, and makes sure that it is this member's. Without its log a
 * member has forgotten its votes, so a directory that lost it is refused, never begun afresh.
 */
export async function claimDirectory(config: ServerConfig): Promise<void> {
  const { dataDir } = config
  await reportFailure(dataDir, async () => {
    await mkdir(dataDir, { recursive: true, mode: 0o700 })
    const names = (await readdir(dataDir)).filter((name) => !IGNORED.test(name))
    const foreign = names.find((name) => ![FILE, NEW_FILE, STORAGE].includes(name))
    if (foreign !== undefined)
      throw new DirectoryError(`data directory ${dataDir} holds something else: ${foreign}`)
    if (!names.includes(FILE)) return
    checkIdentity(dataDir, await readIdentity(dataDir), identityOf(config))
    if (!names.includes(STORAGE))
      throw new DirectoryError(`data directory ${dataDir} is damaged: ${STORAGE} is missing`)
  })
}

/** Remembers whose directory it is. Called when the log in it has been opened, and is locked. */
export async function recordIdentity(config: ServerConfig): Promise<void> {
  const { dataDir } = config
  await reportFailure(dataDir, async () => {
    if (!(await readdir(dataDir)).includes(FILE)) await writeIdentity(dataDir, identityOf(config))
  })
}

function identityOf({ name, member, clusterId }: ServerConfig): Identity {
  return { format: 1, name, memberId: member.nodeId, clusterId: clusterId.toString(16) }
}

async function reportFailure(dataDir: string, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (cause) {
    if (cause instanceof DirectoryError) throw cause
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new DirectoryError(`data directory ${dataDir} cannot be used: ${why}`, { cause })
  }
}

function checkIdentity(dataDir: string, found: Identity, wanted: Identity): void {
  const belongs = `data directory ${dataDir} belongs to member ${found.name}`
  if (found.name !== wanted.name)
    throw new DirectoryError(`${belongs}, and this one is called ${wanted.name}`)
  if (found.clusterId !== wanted.clusterId)
    throw new DirectoryError(
      `${belongs} of cluster ${found.clusterId}, and the flags describe cluster ${wanted.clusterId}`,
    )
  if (found.memberId !== wanted.memberId)
    throw new DirectoryError(
      `${belongs} with id ${found.memberId}, and by its flags this one is ${wanted.memberId}`,
    )
}

async function readIdentity(dataDir: string): Promise<Identity> {
  const identity = parse(await readFile(join(dataDir, FILE), 'utf8'))
  if (identity === null)
    throw new DirectoryError(`data directory ${dataDir} is damaged: ${FILE} cannot be read`)
  return identity
}

function parse(text: string): Identity | null {
  try {
    const value = JSON.parse(text) as Partial<Identity> | null
    const { format, name, memberId, clusterId } = value ?? {}
    const texts = [name, memberId, clusterId]
    return format === 1 && texts.every((each) => typeof each === 'string')
      ? (value as Identity)
      : null
  } catch {
    return null
  }
}

/** Written beside, synced, and then named: after a crash there is all of it or nothing. */
async function writeIdentity(dataDir: string, identity: Identity): Promise<void> {
  const temporary = join(dataDir, NEW_FILE)
  const file = await open(temporary, 'w', 0o600)
  try {
    await file.writeFile(`${JSON.stringify(identity, null, 2)}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(temporary, join(dataDir, FILE))
  const directory = await open(dataDir)
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
