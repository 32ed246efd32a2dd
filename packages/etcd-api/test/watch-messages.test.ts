import { encodeCommand } from '@coracle/kv-state-machine'
import { expect, test } from 'vitest'
import type { DuplexCall } from '../src/call.ts'
import { type Encoded, joined } from '../src/encoded.ts'
import { createEtcdServices } from '../src/index.ts'
import { codecOf } from '../src/schema.ts'
import { FakeCall } from './fake-call.ts'
import { plain, startHarness, text } from './harness.ts'

const requests = codecOf('etcdserverpb.WatchRequest')
const responses = codecOf('etcdserverpb.WatchResponse')

interface Message {
  readonly watch_id?: number
  readonly events: { readonly kv: { readonly key: string }; readonly prev_kv?: object }[]
}

// What is told to many, whatever their number, must not be kept or encoded once for each.
test('watchers of one change are sent the same bytes, each with its own id', async () => {
  await using harness = await startHarness()
  await using services = createEtcdServices({
    node: harness.node,
    stateMachine: harness.stateMachine,
    cluster: { id: 1n },
    member: { id: 1n },
  })
  const written: Encoded[] = []
  const watch = services.rpcs.get('/etcdserverpb.Watch/Watch')
  if (watch?.kind !== 'duplex') throw new Error('there is no Watch')
  const open = (): FakeCall<object, object> => {
    const call = new FakeCall<object, object>()
    const write: DuplexCall<object, object>['write'] = (message) =>
      written.push(message as Encoded) > 0
    call.write = write
    watch.call(call)
    return call
  }
  const calls = [open(), open()]
  const wholeOf = { key: text('a'), range_end: text('z') }
  for (const call of calls)
    for (const create of [{ key: text('a') }, wholeOf, { ...wholeOf, prev_kv: true }])
      call.ask(requests.decode(requests.encode({ create_request: create })))
  const apply = (keys: readonly string[]): void => {
    const success = keys.map((key) => ({
      type: 'put' as const,
      request: {
        key: text(key),
        value: text('v'),
        lease: 0n,
        prevKv: false,
        ignoreValue: false,
        ignoreLease: false,
      },
    }))
    const data = encodeCommand({ type: 'txn', request: { compare: [], success, failure: [] } })
    harness.stateMachine.apply([{ index: 1, term: 1, data }])
  }
  apply(['a', 'b'])
  written.length = 0
  apply(['a', 'b'])
  const shown = written.map((each) => plain(responses.decode(joined(each))) as Message)
  expect(shown.map(({ watch_id: id }) => id ?? 0)).toEqual([0, 1, 2, 0, 1, 2])
  const told = shown.map(({ events }) => ({
    keys: events.map(({ kv }) => kv.key).join(''),
    isFull: events.every((event) => 'prev_kv' in event),
  }))
  const expected = [
    { keys: 'a', isFull: false },
    { keys: 'ab', isFull: false },
    { keys: 'ab', isFull: true },
  ]
  expect(told).toEqual([...expected, ...expected])
  const events = written.flatMap((each) => (each as readonly Uint8Array[]).slice(2))
  // Two events, bare and with what was there before.
  expect(events).toHaveLength(10)
  expect(new Set(events).size).toBe(4)
})
