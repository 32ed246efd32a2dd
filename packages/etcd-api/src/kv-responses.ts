/** From the state machine to the wire: what became of a request, as etcd tells it. */
import type * as kv from '@coracle/kv-state-machine'
import { fromBigInt } from './int64.ts'
import type * as wire from './wire.ts'

export function keyValue(pair: kv.KeyValue): wire.KeyValue {
  return {
    key: pair.key,
    create_revision: pair.createRevision,
    mod_revision: pair.modRevision,
    version: pair.version,
    value: pair.value,
    lease: fromBigInt(pair.lease),
  }
}

export function rangeResponse(
  header: wire.ResponseHeader,
  result: kv.RangeResult,
): wire.RangeResponse {
  return { header, kvs: result.kvs.map(keyValue), more: result.more, count: result.count }
}

export function putResponse(header: wire.ResponseHeader, result: kv.PutResult): wire.PutResponse {
  return result.prevKv === null ? { header } : { header, prev_kv: keyValue(result.prevKv) }
}

export function deleteRangeResponse(
  header: wire.ResponseHeader,
  result: kv.DeleteRangeResult,
): wire.DeleteRangeResponse {
  return { header, deleted: result.deleted, prev_kvs: result.prevKvs.map(keyValue) }
}

export function txnResponse(header: wire.ResponseHeader, result: kv.TxnResult): wire.TxnResponse {
  return { header, succeeded: result.succeeded, responses: result.results.map(responseOp) }
}

/** Headers inside a transaction say the revision only, and that of a transaction inside says nothing. */
function responseOp(result: kv.OperationResult): wire.ResponseOp {
  const header = { revision: result.revision }
  switch (result.type) {
    case 'range':
      return { response_range: rangeResponse(header, result) }
    case 'put':
      return { response_put: putResponse(header, result) }
    case 'delete-range':
      return { response_delete_range: deleteRangeResponse(header, result) }
    case 'txn':
      return { response_txn: txnResponse({}, result) }
  }
}
