/** A data directory for each member of a new cluster, from one snapshot. */
import { mkdir, readdir } from 'node:fs/promises'
import { encodeCommand, kvStateMachine } from '@coracle/kv-state-machine'
import { bootstrapMembership, type Position } from '@coracle/raft-core'
import { levelStorage } from '@coracle/storage-level'
import type { InitialMember } from '../config/beginning.ts'
import { recordIdentity, storageLocation } from '../identity.ts'
import { addressOfUrls } from '../peers/addresses.ts'
import { checkDigest, describeSnapshot, payloadOf, SnapshotError } from './file.ts'

export interface RestoreOptions {
  readonly dataDir: string
  readonly name: string
  readonly member: InitialMember
  readonly initialMembers: readonly InitialMember[]
  readonly clusterId: bigint
  readonly clusterToken: string
  /**
   * How much higher the revision is to be than the snapshot's, and all before it compacted: watchers
   * of the old cluster are told, rather than sent back in time. 0 leaves both as they are.
   */
  readonly bumpRevision: number
  readonly skipHashCheck: boolean
}

/** Where the restored state stands: every member begins its log behind it. */
const BEGINNING: Position = { term: 1, index: 1 }

/**
 * Writes what a member needs to start with this state. Run with the same file and the same members for
 * each of them. Throws a {@link SnapshotError} if the file is damaged or the directory is in use.
 */
export async function restoreSnapshot(path: string, options: RestoreOptions): Promise<number> {
  const file = await describeSnapshot(path)
  if (!options.skipHashCheck) await checkDigest(file)
  const { dataDir, initialMembers, bumpRevision } = options
  if ((await readdir(dataDir).catch(() => [])).length > 0)
    throw new SnapshotError(`data-dir "${dataDir}" not empty or could not be read`)
  const stateMachine = kvStateMachine()
  await stateMachine.restore(payloadOf(file)).catch((cause: Error) => {
    throw new SnapshotError(`snapshot ${path} is damaged: ${cause.message}`, { cause })
  })
  const data = encodeCommand({ type: 'new-cluster', request: { bumpRevision } })
  const [result] = stateMachine.apply([{ ...BEGINNING, data }])
  if (result?.type !== 'new-cluster')
    throw new SnapshotError(`--bump-revision=${bumpRevision} is more than there are revisions`)
  const membership = bootstrapMembership(
    initialMembers.map(({ nodeId, peerUrls }) => ({
      id: nodeId,
      address: addressOfUrls(peerUrls),
    })),
  )
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  await using storage = levelStorage({ location: storageLocation(options) })
  await storage.load()
  await storage.writeSnapshot(
    { position: BEGINNING, membership, membershipIndex: 0 },
    stateMachine.snapshot(),
  )
  await storage.append({
    reset: BEGINNING,
    entries: [],
    hardState: { term: BEGINNING.term, votedFor: null, commitIndex: BEGINNING.index },
  })
  await recordIdentity({ ...options, isNewCluster: true })
  return result.revision
}
