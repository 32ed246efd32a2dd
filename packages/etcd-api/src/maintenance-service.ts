/** etcdserverpb.Maintenance: how this member is doing, and what can be done about it. */
import { RaftError } from '@coracle/raft-core'
import { describeAlarm, handleAlarm } from './alarms.ts'
import type { ServiceContext } from './context.ts'
import { downgrade } from './downgrade.ts'
import * as errors from './errors.ts'
import { memberIdOf, nodeIdOf } from './ids.ts'
import { fromBigInt, toSafeInteger, toUnsigned } from './int64.ts'
import { succeeded } from './outcome.ts'
import { type Method, serverStream, unary } from './method.ts'
import type { MaintenanceTimes } from './metrics/maintenance-metrics.ts'
import { turn } from './pause.ts'
import type { Cancellable } from './call.ts'
import { snapshotPieces } from './snapshot-file.ts'
import { ETCD_STORAGE_VERSION, ETCD_VERSION } from './version.ts'
import type {
  AlarmRequest,
  DowngradeRequest,
  HashKVRequest,
  HashKVResponse,
  HashResponse,
  MoveLeaderRequest,
  SnapshotResponse,
  StatusResponse,
} from './wire.ts'

export function maintenanceService(
  context: ServiceContext,
  times: MaintenanceTimes,
): Record<string, Method> {
  const onLearner = (): boolean => true
  return {
    Status: unary(() => statusOf(context), { onLearner, fromTheStart: true }),
    Alarm: unary((request: AlarmRequest, call: Cancellable) => handleAlarm(context, request, call)),
    Hash: unary(() => hash(context, times)),
    HashKV: unary((request: HashKVRequest) => hashKv(context, request, times)),
    Defragment: unary(defragment(context, times)),
    Snapshot: serverStream(() => snapshot(context, times), { onLearner }),
    MoveLeader: unary((request: MoveLeaderRequest) => moveLeader(context, request)),
    Downgrade: unary((request: DowngradeRequest, call: Cancellable) =>
      downgrade(context, request, call),
    ),
  }
}

/** What this member knows at this moment; asks nobody, so it works without a leader. */
function statusOf(context: ServiceContext): StatusResponse {
  const { node, stateMachine, limits } = context.options
  const status = node.status()
  context.leadership.observe(status)
  const noLeader = status.leader === null ? [errors.noLeader.message] : []
  const { downgradeTarget } = stateMachine
  return {
    header: context.header(stateMachine.revision),
    version: ETCD_VERSION,
    dbSize: stateMachine.size,
    leader: status.leader === null ? 0 : fromBigInt(memberIdOf(status.leader)),
    raftIndex: status.commitIndex,
    raftTerm: status.term,
    raftAppliedIndex: status.appliedIndex,
    errors: [...noLeader, ...stateMachine.alarms().map(describeAlarm)],
    dbSizeInUse: stateMachine.sizeInUse,
    isLearner: context.leadership.learner,
    storageVersion: ETCD_STORAGE_VERSION,
    dbSizeQuota: limits.quotaBackendBytes,
    downgradeInfo: { enabled: downgradeTarget !== '', targetVersion: downgradeTarget },
  }
}

function hash(context: ServiceContext, times: MaintenanceTimes): HashResponse {
  const { stateMachine } = context.options
  const stop = times.hash()
  const sum = stateMachine.hash()
  stop()
  return { header: context.header(stateMachine.revision), hash: sum }
}

function hashKv(
  context: ServiceContext,
  request: HashKVRequest,
  times: MaintenanceTimes,
): HashKVResponse {
  const { stateMachine } = context.options
  const stop = times.hashOfRevision()
  const result = succeeded(stateMachine.hashKv(toSafeInteger(request.revision)))
  stop()
  return {
    header: context.header(stateMachine.revision),
    hash: result.hash,
    compact_revision: result.compactRevision,
    hash_revision: result.hashRevision,
  }
}

/**
 * Unlike in etcd nothing stands still meanwhile, and nobody needs it: compaction gives memory back
 * and LevelDB its files. This makes both do it now. Whoever asks while it goes on waits for the same.
 */
function defragment(context: ServiceContext, times: MaintenanceTimes): () => Promise<object> {
  const { stateMachine, environment, defragment: defragmentDisk } = context.options
  let running: Promise<object> | null = null
  const run = async (): Promise<object> => {
    while (stateMachine.tidySome()) await turn(environment)
    await defragmentDisk()
    // etcd leaves the header out.
    return {}
  }
  const begin = (): Promise<object> => {
    const stop = times.defragment()
    return run().finally(() => {
      running = null
      stop()
    })
  }
  return () => (running ??= begin())
}

async function* snapshot(
  context: ServiceContext,
  times: MaintenanceTimes,
): AsyncGenerator<SnapshotResponse> {
  const { stateMachine, environment } = context.options
  const stop = times.snapshot()
  try {
    for await (const piece of snapshotPieces(stateMachine, () => turn(environment)))
      yield {
        remaining_bytes: piece.remainingBytes,
        blob: piece.bytes,
        version: ETCD_STORAGE_VERSION,
      }
  } finally {
    stop()
  }
}

/** Answered once the other member leads. Like etcd's, the answer has no header. */
async function moveLeader(context: ServiceContext, request: MoveLeaderRequest): Promise<object> {
  const { node } = context.options
  const { id, role, membership } = node.status()
  if (role !== 'leader') throw errors.notLeader
  const asked = toUnsigned(request.targetID)
  const target = asked === 0n ? null : nodeIdOf(asked)
  if (target === null || !membership.voters.includes(target)) throw errors.badTransferee
  if (target === id) return {}
  try {
    await node.transferLeadership(target)
  } catch (error) {
    if (!(error instanceof RaftError)) throw error
    if (error.code === 'NOT_LEADER') throw errors.notLeader
    throw error.code === 'STOPPED' ? errors.stopped : errors.transferTimeout
  }
  return {}
}
