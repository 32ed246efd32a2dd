/** etcdserverpb.Maintenance/Downgrade: going back by one minor version, as far as clients see it. */
import { encodeCommand } from '@coracle/kv-state-machine'
import type { ServiceContext } from './context.ts'
import * as errors from './errors.ts'
import { outcome } from './outcome.ts'
import type { Cancellable } from './call.ts'
import { ETCD_STORAGE_VERSION } from './version.ts'
import type { DowngradeRequest, DowngradeResponse } from './wire.ts'

const VALIDATE = 0
const ENABLE = 1

/** The version of the cluster, without its patch. */
const CLUSTER_VERSION = ETCD_STORAGE_VERSION

export async function downgrade(
  context: ServiceContext,
  request: DowngradeRequest,
  call: Cancellable,
): Promise<DowngradeResponse> {
  const { stateMachine } = context.options
  await context.readBarrier(call)
  const isCancel = request.action !== VALIDATE && request.action !== ENABLE
  const target = isCancel ? '' : validTarget(request.version)
  const isUnderWay = stateMachine.downgradeTarget !== ''
  if (isCancel && !isUnderWay) throw errors.noDowngrade
  if (!isCancel && isUnderWay) throw errors.downgradeInProgress
  if (request.action !== VALIDATE) {
    const command = encodeCommand({ type: 'downgrade', request: { target } })
    outcome(await context.propose(command, call), 'downgrade')
  }
  return { header: context.header(stateMachine.revision), version: CLUSTER_VERSION }
}

/** Exactly one minor version back; patches do not matter. */
function validTarget(version: string): string {
  const [, major, minor] =
    /^(\d{1,9})\.(\d{1,9})(?:\.\d+(?:[-+][0-9A-Za-z.+-]*)?)?$/.exec(version) ?? []
  if (major === undefined || minor === undefined) throw errors.wrongDowngradeFormat
  const [ownMajor, ownMinor] = CLUSTER_VERSION.split('.').map(Number)
  const isOneBack = Number(major) === ownMajor && Number(minor) + 1 === ownMinor
  if (!isOneBack) throw errors.invalidDowngradeTarget
  return `${Number(major)}.${Number(minor)}.0`
}
