/** Many watchers on one member, and the events that reach them. */
import { type Http2Client, http2Client, type Http2Sink } from './http2-client.ts'
import { countOf, message } from './requests.ts'

const CONNECTIONS = 10
const STREAMS = 10
/** Of a response. */
const CREATED = 3
const EVENTS = 11

export interface Watchers extends Disposable {
  /** Events that have arrived since they were opened. */
  readonly events: number
  /** Resolves when so many have. */
  arrived(events: number): Promise<void>
}

/**
 * Opens `count` watchers, each on the key of its number, on a hundred streams; resolves when all are.
 * Events are counted where they lie: with a client that decodes them it would be that one which is
 * measured.
 */
export async function openWatchers(
  address: string,
  count: number,
  keyOf: (number: number) => string,
): Promise<Watchers> {
  let created = 0
  let events = 0
  let isDone = (): boolean => false
  let wake = (): void => {}
  let fail: (error: Error) => void = () => {}
  const until = (condition: () => boolean): Promise<void> =>
    new Promise((resolve, reject) => {
      isDone = condition
      wake = resolve
      fail = reject
      if (isDone()) resolve()
    })
  const sink: Http2Sink = {
    message(bytes, start, end) {
      if (created < count) created += countOf(CREATED, bytes, start, end)
      events += countOf(EVENTS, bytes, start, end)
      if (isDone()) wake()
    },
    failed: (error) => fail(error),
  }
  const clients: Http2Client[] = []
  const streams: { readonly client: Http2Client; readonly id: number }[] = []
  for (let connection = 0; connection < CONNECTIONS; connection += 1) {
    const client = await http2Client(address, sink)
    clients.push(client)
    for (let stream = 0; stream < STREAMS; stream += 1)
      streams.push({ client, id: client.open('/etcdserverpb.Watch/Watch') })
  }
  for (let number = 0; number < count; number += 1) {
    const create = message([1, message([1, keyOf(number)])])
    const { client, id } = streams[number % streams.length] as (typeof streams)[number]
    client.send(id, create)
    // Not all at once: what is asked for in one go waits in this process.
    if (number % 5_000 === 4_999) await until(() => created > number - 5_000)
  }
  await until(() => created === count)
  return {
    get events() {
      return events
    },
    arrived: (wanted) => until(() => events >= wanted),
    [Symbol.dispose]() {
      for (const client of clients) client[Symbol.dispose]()
    },
  }
}
