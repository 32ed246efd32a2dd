/**
 * The room that is left. What counts is what lives: compaction makes room at once, whether or not
 * memory has been put in order since.
 */
import type { ServiceContext } from './context.ts'
import * as errors from './errors.ts'
import { raiseAlarm } from './alarms.ts'
import type { PutRequest, RequestOp, TxnRequest } from './wire.ts'

export interface Quota {
  /**
   * Throws `noSpace` if a request that costs this many bytes has no room, and raises the alarm by
   * which every member refuses what takes room until somebody clears it.
   */
  check(costBytes: number): void
}

/** 0 bytes means no limit. */
export function quota(context: ServiceContext): Quota {
  const { stateMachine, limits } = context.options
  return {
    check(costBytes) {
      if (costBytes === 0 || limits.quotaBackendBytes === 0) return
      if (stateMachine.sizeInUse + costBytes < limits.quotaBackendBytes) return
      raiseAlarm(context, 'no-space')
      throw errors.noSpace
    },
  }
}

/** What etcd reckons for the bookkeeping of one key. */
const KEY_OVERHEAD_BYTES = 256

export function putCost(request: PutRequest): number {
  return KEY_OVERHEAD_BYTES + request.key.length + request.value.length
}

/** The dearer of the two branches; transactions inside count too. 0 if nothing is put. */
export function txnCost(request: TxnRequest): number {
  return Math.max(branchCost(request.success), branchCost(request.failure))
}

function branchCost(operations: readonly RequestOp[]): number {
  let cost = 0
  for (const { request_put: put, request_txn: txn } of operations) {
    if (put) cost += putCost(put)
    else if (txn) cost += txnCost(txn)
  }
  return cost
}
