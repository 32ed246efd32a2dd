/** Whose data a directory holds. A member that took up another's log would speak for it (§5.2). */
import { existsSync } from 'node:fs'
import { mkdir, open, readdir, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { memberIdOf } from '@coracle/etcd-api'
import type { ServerConfig } from './config.ts'

/** A directory that this member cannot use. The message is a sentence that names it. */
export class DirectoryError extends Error {
  override readonly name = 'DirectoryError'
}

/** A member that was removed: there is nothing for it to come back to. */
export class RemovedError extends Error {
  override readonly name = 'RemovedError'

  constructor() {
    super('the member has been permanently removed from the cluster')
  }
}

export interface Identity {
  readonly format: 1
  readonly name: string
  /** In hexadecimal, as the cluster's. */
  readonly memberId: string
  readonly clusterId: string
  /** The token that the cluster was founded with, as far as this member was told. */
  readonly token?: string
  /** It did not found the cluster but was added to it. */
  readonly joined?: boolean
  /** It was removed, and knows it. */
  readonly removed?: boolean
}

/** What it takes to say whose a directory is. */
type Placed = Pick<
  ServerConfig,
  'dataDir' | 'name' | 'member' | 'clusterId' | 'clusterToken' | 'isNewCluster'
>

const FILE = 'member.json'
const NEW_FILE = 'member.json.new'
const STORAGE = 'raft'
/** Certificates that the member made itself. */
const FIXTURES = 'fixtures'
const ID_FORM = /^[1-9a-f][0-9a-f]{0,15}$/
/** What file systems and people leave at the top of a mounted volume. */
const IGNORED = /^(?:\.|lost\+found$)/

/** Where the log and the snapshots of a member are. */
export function storageLocation({ dataDir }: Pick<ServerConfig, 'dataDir'>): string {
  return join(dataDir, STORAGE)
}

/** Whether a member has run here: whom the flags would found or join does not matter any more. */
export function isInitialized(dataDir: string): boolean {
  return existsSync(join(dataDir, FILE))
}

/**
 * Creates the directory if it is missing, and makes sure that it is this member's: answers with whose
 * it is, or null if it is nobody's yet. Without its log a member has forgotten its votes, so a
 * directory that lost it is refused, never begun afresh.
 */
export async function claimDirectory(config: ServerConfig): Promise<Identity | null> {
  const { dataDir } = config
  return reportFailure(dataDir, async () => {
    await mkdir(dataDir, { recursive: true, mode: 0o700 })
    const names = (await readdir(dataDir)).filter((name) => !IGNORED.test(name))
    const foreign = names.find((name) => ![FILE, NEW_FILE, STORAGE, FIXTURES].includes(name))
    if (foreign !== undefined)
      throw new DirectoryError(`data directory ${dataDir} holds something else: ${foreign}`)
    if (!names.includes(FILE)) return null
    const identity = await readIdentity(dataDir)
    checkIdentity(config, identity)
    if (!names.includes(STORAGE))
      throw new DirectoryError(`data directory ${dataDir} is damaged: ${STORAGE} is missing`)
    return identity
  })
}

/** What the directory says wins over what the flags say: members come and go, and addresses change. */
export function withIdentity(config: ServerConfig, identity: Identity): ServerConfig {
  const isFounder = identity.joined !== true && idOf(config) === identity.clusterId
  return {
    ...config,
    member: {
      ...config.member,
      id: memberIdOf(identity.memberId),
      nodeId: identity.memberId,
    },
    clusterId: BigInt(`0x${identity.clusterId}`),
    isNewCluster: isFounder,
  }
}

/** Remembers whose directory it is. Called when the log in it has been opened, and is locked. */
export async function recordIdentity(config: Placed): Promise<void> {
  const { dataDir } = config
  await reportFailure(dataDir, async () => {
    if (!(await readdir(dataDir)).includes(FILE)) await writeIdentity(dataDir, identityOf(config))
  })
}

/** Remembers that the member was removed, so that it does not come back. */
export async function recordRemoval({ dataDir }: ServerConfig): Promise<void> {
  await reportFailure(dataDir, async () => {
    await writeIdentity(dataDir, { ...(await readIdentity(dataDir)), removed: true })
  })
}

function identityOf(config: Placed): Identity {
  const { name, member, clusterToken: token, isNewCluster } = config
  const identity = {
    format: 1,
    name,
    memberId: member.nodeId,
    clusterId: idOf(config),
    token,
  } as const
  return isNewCluster ? identity : { ...identity, joined: true }
}

function idOf({ clusterId }: Pick<ServerConfig, 'clusterId'>): string {
  return clusterId.toString(16)
}

async function reportFailure<Result>(
  dataDir: string,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof DirectoryError || cause instanceof RemovedError) throw cause
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new DirectoryError(`data directory ${dataDir} cannot be used: ${why}`, { cause })
  }
}

/**
 * The name and the token tell members and clusters apart that have nothing to do with each other.
 * Addresses do not: they may change while the cluster runs.
 */
function checkIdentity(config: ServerConfig, found: Identity): void {
  const { dataDir, name, clusterToken, isNewCluster } = config
  const belongs = `data directory ${dataDir} belongs to member ${found.name}`
  if (found.name !== name) throw new DirectoryError(`${belongs}, and this one is called ${name}`)
  if (found.removed === true) throw new RemovedError()
  if (!isNewCluster) return
  const isSame =
    found.token === undefined ? found.clusterId === idOf(config) : found.token === clusterToken
  if (isSame) return
  throw new DirectoryError(
    `${belongs} of cluster ${found.clusterId}, and the flags describe cluster ${idOf(config)}`,
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
    const ids = [memberId, clusterId]
    const isGood =
      format === 1 && typeof name === 'string' && ids.every((id) => ID_FORM.test(String(id)))
    return isGood ? (value as Identity) : null
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
