/** Changes of keys as they happen, for calls that wait for them. */
import type { WatchEvent, WatchRequest } from '@coracle/kv-state-machine'
import type { Call } from './call.ts'
import type { ServiceContext } from './context.ts'
import * as errors from './errors.ts'
import type { EtcdError } from './errors.ts'

/**
 * The events from `startRevision` on, taken from the store only as fast as they are asked for. Throws
 * an EtcdError when the call is over, when the member stops or has lost the leader that the client
 * asks for, or when compaction has passed by.
 */
export async function* followKeys(
  context: ServiceContext,
  call: Call,
  request: Pick<WatchRequest, 'key' | 'rangeEnd' | 'startRevision'>,
): AsyncGenerator<WatchEvent, never, undefined> {
  const { stateMachine, environment } = context.options
  const arrived: WatchEvent[] = []
  const whenOver: (() => void)[] = []
  const failures: EtcdError[] = []
  let wake = (): void => {}
  const fail = (error: EtcdError): void => {
    failures.push(error)
    wake()
  }
  using stream = stateMachine.watchStream({ schedule: (turn) => environment.schedule(turn) })
  stream.watch(
    { ...request, prevKv: false, noPut: false, noDelete: false },
    {
      events(batch) {
        arrived.push(...batch.events)
        stream.pause()
        wake()
      },
      compacted: () => fail(errors.compacted),
    },
  )
  call.onceOver(() => fail(errors.canceled))
  context.streams.add({
    metadata: (name) => call.metadata(name),
    end: fail,
    onceOver: (listener) => whenOver.push(listener),
  })
  try {
    for (;;) {
      for (const event of arrived.splice(0)) yield event
      if (failures[0] !== undefined) throw failures[0]
      const woken = new Promise<void>((resolve) => {
        wake = resolve
      })
      stream.resume()
      await woken
    }
  } finally {
    for (const listener of whenOver) listener()
  }
}
