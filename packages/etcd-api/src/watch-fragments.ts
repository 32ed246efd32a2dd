/** How a batch of events that is larger than a request may be is cut, for clients that ask for it. */
import { codecOf } from './schema.ts'
import type { Event, WatchResponse } from './wire.ts'

const responses = codecOf<WatchResponse>('etcdserverpb.WatchResponse')
const events = codecOf<Event>('mvccpb.Event')

/** What each event takes beside its own bytes: its tag and its length. */
const FRAMING_BYTES = 6

/** Pieces below `maxBytes`, as far as single events allow; all but the last are marked. */
export function* fragments(whole: WatchResponse, maxBytes: number): Generator<WatchResponse> {
  const { events: all = [], ...rest } = whole
  if (all.length < 2 || responses.encode(whole).length < maxBytes) return yield whole
  const emptyBytes = responses.encode({ ...rest, fragment: true }).length
  let piece: Event[] = []
  let bytes = emptyBytes
  for (const event of all) {
    const more = events.encode(event).length + FRAMING_BYTES
    if (piece.length > 0 && bytes + more >= maxBytes) {
      yield { ...rest, fragment: true, events: piece }
      piece = []
      bytes = emptyBytes
    }
    piece.push(event)
    bytes += more
  }
  yield { ...rest, events: piece }
}
