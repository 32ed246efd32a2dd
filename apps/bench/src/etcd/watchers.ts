/** Many watchers on one member, and the events that reach them. */
import { fieldsOf, message } from './requests.ts'
import { type ByteStream, openStreams } from './streams.ts'

const CONNECTIONS = 10
const STREAMS = 10

export interface Watchers extends Disposable {
  /** Events that have arrived since they were opened. */
  readonly events: number
  /** Resolves when so many have. */
  arrived(events: number): Promise<void>
}

/** Opens `count` watchers, each on the key of its number, on a hundred streams; resolves when all are. */
export async function openWatchers(
  address: string,
  count: number,
  keyOf: (number: number) => string,
): Promise<Watchers> {
  const opened = openStreams(address, '/etcdserverpb.Watch/Watch', {
    connections: CONNECTIONS,
    streams: STREAMS,
  })
  let created = 0
  let events = 0
  let wake = (): void => {}
  const take = (bytes: Uint8Array): void => {
    for (const [field, value] of fieldsOf(bytes)) {
      if (field === 3 && value === 1) created += 1
      if (field === 11) events += 1
    }
    wake()
  }
  const until = async (isDone: () => boolean): Promise<void> => {
    while (!isDone())
      await new Promise<void>((resolve) => {
        wake = resolve
      })
  }
  for (const stream of opened.all) stream.on('data', take)
  for (let number = 0; number < count; number += 1) {
    const create = message([1, message([1, keyOf(number)])])
    const stream = opened.all[number % opened.all.length] as ByteStream
    stream.write(Buffer.from(create))
    // Not all at once: what is asked for in one go waits in this process.
    if (number % 5_000 === 4_999) await until(() => created > number - 5_000)
  }
  await until(() => created === count)
  return {
    get events() {
      return events
    },
    arrived: (wanted) => until(() => events >= wanted),
    [Symbol.dispose]: () => opened[Symbol.dispose](),
  }
}
