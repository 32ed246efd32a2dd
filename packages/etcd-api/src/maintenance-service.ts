/** etcdserverpb.Maintenance: how this member is doing. */
import type { Cancellable } from './call.ts'
import type { ServiceContext } from './context.ts'
import * as errors from './errors.ts'
import { memberIdOf } from './ids.ts'
import { fromBigInt, toSafeInteger } from './int64.ts'
import { succeeded } from './kv-service.ts'
import { type Method, unary } from './method.ts'
import { ETCD_STORAGE_VERSION, ETCD_VERSION } from './version.ts'
import type {
  AlarmRequest,
  HashKVRequest,
  HashKVResponse,
  HashResponse,
  HeaderOnly,
  StatusResponse,
} from './wire.ts'

export function maintenanceService(context: ServiceContext): Record<string, Method> {
  return {
    Status: unary(() => statusOf(context), { onLearner: () => true }),
    Alarm: unary((request: AlarmRequest, call: Cancellable) => alarm(context, request, call)),
    Hash: unary(() => hash(context)),
    HashKV: unary((request: HashKVRequest) => hashKv(context, request)),
  }
}

/** What this member knows at this moment; asks nobody, so it works without a leader. */
function statusOf(context: ServiceContext): StatusResponse {
  const { node, stateMachine, limits } = context.options
  const status = node.status()
  context.leadership.observe(status)
  return {
    header: context.header(stateMachine.revision),
    version: ETCD_VERSION,
    dbSize: stateMachine.size,
    leader: status.leader === null ? 0 : fromBigInt(memberIdOf(status.leader)),
    raftIndex: status.commitIndex,
    raftTerm: status.term,
    raftAppliedIndex: status.appliedIndex,
    errors: status.leader === null ? [errors.noLeader.message] : [],
    dbSizeInUse: stateMachine.sizeInUse,
    isLearner: context.leadership.learner,
    storageVersion: ETCD_STORAGE_VERSION,
    dbSizeQuota: limits.quotaBackendBytes,
    downgradeInfo: { enabled: false, targetVersion: '' },
  }
}

const ACTIVATE = 1

/**
 * No alarm is ever raised, so there are none to list and none to clear. The answer still takes a
 * majority, because `etcdctl endpoint health` takes it as proof of one.
 */
function alarm(
  context: ServiceContext,
  request: AlarmRequest,
  call: Cancellable,
): Promise<HeaderOnly> {
  if (request.action === ACTIVATE) throw errors.unimplemented('etcdserverpb.Maintenance', 'Alarm')
  return context.readBarrier(call).then(() => {
    return { header: context.header(context.options.stateMachine.revision) }
  })
}

function hash(context: ServiceContext): HashResponse {
  const { stateMachine } = context.options
  return { header: context.header(stateMachine.revision), hash: stateMachine.hash() }
}

function hashKv(context: ServiceContext, request: HashKVRequest): HashKVResponse {
  const { stateMachine } = context.options
  const result = succeeded(stateMachine.hashKv(toSafeInteger(request.revision)))
  return {
    header: context.header(stateMachine.revision),
    hash: result.hash,
    compact_revision: result.compactRevision,
    hash_revision: result.hashRevision,
  }
}
