/** How an answer to RangeStream is cut into messages. Put together they are the answer to Range. */
import type { KeyValue, RangeRequest, RangeResult } from '@coracle/kv-state-machine'
import * as errors from './errors.ts'
import { keyValue } from './kv-responses.ts'
import type { RangeStreamResponse, ResponseHeader } from './wire.ts'

/** etcd streams in the order of the keys only. */
export function refuseUnstreamable(request: RangeRequest): void {
  const { sortOrder, sortTarget } = request
  if (sortTarget !== 'key' || sortOrder === 'descend') throw errors.streamWithSort
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request
  if (minModRevision || maxModRevision || minCreateRevision || maxCreateRevision)
    throw errors.streamWithFilters
}

const FIRST_CHUNK_KEYS = 10

/**
 * A few keys first, so that the client has something soon; then twice as many in each chunk as long
 * as it stays within `chunkBytes`, and half as many when one did not. The header, the count and
 * `more` come with the last chunk.
 */
export function* rangeChunks(
  header: ResponseHeader,
  result: RangeResult,
  chunkBytes: number,
): Generator<RangeStreamResponse> {
  const { kvs, more, count } = result
  let from = 0
  for (let keys = FIRST_CHUNK_KEYS; from + keys < kvs.length;) {
    const chunk = kvs.slice(from, from + keys)
    yield { range_response: { kvs: chunk.map(keyValue) } }
    from += keys
    const bytes = bytesIn(chunk)
    if (2 * bytes <= chunkBytes) keys *= 2
    else if (bytes > chunkBytes) keys = Math.max(1, keys >> 1)
  }
  const kvsLeft = kvs.slice(from).map(keyValue)
  yield { range_response: { header, kvs: kvsLeft, more, count } }
}

function bytesIn(pairs: readonly KeyValue[]): number {
  let bytes = 0
  for (const { key, value } of pairs) bytes += key.length + value.length
  return bytes
}
