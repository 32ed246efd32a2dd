/** etcdserverpb.KV: range, put, delete, transactions and compaction. */
import { encodeCommand } from '@coracle/kv-state-machine'
import type { Cancellable } from './call.ts'
import type { ServiceContext } from './context.ts'
import { toSafeInteger } from './int64.ts'
import {
  deleteRangeRequest,
  isReadOnly,
  isSerializable,
  putRequest,
  rangeRequest,
  txnRequest,
} from './kv-requests.ts'
import { deleteRangeResponse, putResponse, rangeResponse, txnResponse } from './kv-responses.ts'
import { type Method, serverStream, unary } from './method.ts'
import { outcome, succeeded } from './outcome.ts'
import { putCost, type Quota, quota, txnCost } from './quota.ts'
import { rangeChunks, refuseUnstreamable } from './range-stream.ts'
import type * as wire from './wire.ts'

export function kvService(context: ServiceContext): Record<string, Method> {
  const room = quota(context)
  const onLearner = (request: wire.RangeRequest): boolean => request.serializable
  return {
    Range: unary(range(context), { onLearner }),
    RangeStream: serverStream(rangeStream(context)),
    Put: unary(put(context, room)),
    DeleteRange: unary(deleteRange(context)),
    Txn: unary(txn(context, room)),
    Compact: unary(compact(context)),
  }
}

type Handler<Request, Response> = (
  request: Request,
  call: Cancellable,
) => Response | Promise<Response>

/** A serializable range is answered at once, from what this member has applied. */
function range(context: ServiceContext): Handler<wire.RangeRequest, wire.RangeResponse> {
  const { stateMachine } = context.options
  return (request, call) => {
    const asked = rangeRequest(request)
    const answer = (): wire.RangeResponse => {
      const result = succeeded(stateMachine.range(asked))
      return rangeResponse(context.header(result.revision), result)
    }
    return request.serializable ? answer() : context.readBarrier(call).then(answer)
  }
}

function rangeStream(context: ServiceContext) {
  const { stateMachine, limits } = context.options
  return async function* chunks(
    request: wire.RangeRequest,
    call: Cancellable,
  ): AsyncGenerator<wire.RangeStreamResponse> {
    const asked = rangeRequest(request)
    refuseUnstreamable(asked)
    if (!request.serializable) await context.readBarrier(call)
    const result = succeeded(stateMachine.range(asked))
    yield* rangeChunks(context.header(result.revision), result, limits.maxRequestBytes)
  }
}

function put(context: ServiceContext, room: Quota): Handler<wire.PutRequest, wire.PutResponse> {
  return (request, call) => {
    room.check(putCost(request))
    const command = encodeCommand({ type: 'put', request: putRequest(request) })
    return context.propose(command, call).then((answer) => {
      const result = outcome(answer, 'put')
      return putResponse(context.header(result.revision), result)
    })
  }
}

/** Deleting is never refused for want of room: it is how to get some. */
function deleteRange(
  context: ServiceContext,
): Handler<wire.DeleteRangeRequest, wire.DeleteRangeResponse> {
  return (request, call) => {
    const asked = deleteRangeRequest(request)
    const command = encodeCommand({ type: 'delete-range', request: asked })
    return context.propose(command, call).then((answer) => {
      const result = outcome(answer, 'delete-range')
      return deleteRangeResponse(context.header(result.revision), result)
    })
  }
}

/** A transaction of ranges alone is a read; every other one goes through the log. */
function txn(context: ServiceContext, room: Quota): Handler<wire.TxnRequest, wire.TxnResponse> {
  const { stateMachine, limits } = context.options
  return (request, call) => {
    room.check(txnCost(request))
    const asked = txnRequest(request, limits.maxTxnOps)
    if (isReadOnly(asked)) {
      const answer = (): wire.TxnResponse => {
        const result = succeeded(stateMachine.readTxn(asked))
        return txnResponse(context.header(result.revision), result)
      }
      return isSerializable(request) ? answer() : context.readBarrier(call).then(answer)
    }
    const command = encodeCommand({ type: 'txn', request: asked })
    return context.propose(command, call).then((answer) => {
      const result = outcome(answer, 'txn')
      return txnResponse(context.header(result.revision), result)
    })
  }
}

/** There is no disk to wait for, so a `physical` compaction is one like any other. */
function compact(context: ServiceContext): Handler<wire.CompactionRequest, wire.HeaderOnly> {
  return (request, call) => {
    const revision = toSafeInteger(request.revision)
    const command = encodeCommand({ type: 'compact', request: { revision } })
    return context.propose(command, call).then((answer) => {
      return { header: context.header(outcome(answer, 'compact').revision) }
    })
  }
}
