/** Events are counted as they leave for the clients that watch. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  createEtcdServices,
  type EtcdMetrics,
  etcdMetrics,
  type EtcdServices,
} from '../src/index.ts'
import { codecOf } from '../src/schema.ts'
import { FakeCall } from './fake-call.ts'
import { type Harness, startHarness, text } from './harness.ts'
import { samplesOf } from './scrape.ts'

const requests = codecOf('etcdserverpb.WatchRequest')

let harness: Harness
let metrics: EtcdMetrics
let services: EtcdServices
beforeEach(async () => {
  harness = await startHarness()
  metrics = etcdMetrics()
  services = createEtcdServices({
    node: harness.node,
    stateMachine: harness.stateMachine,
    metrics,
    limits: { maxRequestBytes: 1_000 },
    cluster: { id: 1n },
    member: { id: 1n },
  })
})
afterEach(async () => {
  await services[Symbol.asyncDispose]()
  await harness[Symbol.asyncDispose]()
})

/** A client that watches a key, and has been told so. */
function watching(key: string, options: object = {}): FakeCall<object, object> {
  const watch = services.rpcs.get('/etcdserverpb.Watch/Watch')
  if (watch?.kind !== 'duplex') throw new Error('there is no Watch')
  const call = new FakeCall<object, object>()
  watch.call(call)
  const request = { create_request: { key: text(key), ...options } }
  call.ask(requests.decode(requests.encode(request)))
  call.takeAll()
  return call
}

const put = (key: string): Promise<unknown> => harness.client.call('KV/Put', { key: text(key) })

async function numbers(...names: string[]): Promise<(number | undefined)[]> {
  const samples = samplesOf(await metrics.registry.metrics())
  return names.map((name) => samples.get(`etcd_debugging_mvcc_${name}`))
}

const pendingAndSent = (): Promise<(number | undefined)[]> =>
  numbers('pending_events_total', 'events_total')

describe('an event', () => {
  test('is pending until the connection takes it, and once for each who watches', async () => {
    const [first, second] = [watching('a'), watching('a')]
    await put('a')
    await put('b')
    expect(await pendingAndSent()).toEqual([2, 0])
    first.takeAll()
    expect(await pendingAndSent()).toEqual([1, 1])
    second.takeAll()
    expect(await pendingAndSent()).toEqual([0, 2])
  })

  test('is lost with its client', async () => {
    const call = watching('a')
    await put('a')
    call.cancel()
    expect(await pendingAndSent()).toEqual([0, 0])
    call.takeAll()
    expect(await pendingAndSent()).toEqual([0, 0])
  })

  test('is one, in however many pieces it leaves', async () => {
    const call = watching('a', { fragment: true, range_end: text('c') })
    const request = (key: string) => ({
      request_put: { key: text(key), value: new Uint8Array(700) },
    })
    await harness.client.call('KV/Txn', { success: [request('a'), request('b')] })
    expect(call.waiting).toBe(2)
    call.takeAll()
    expect(await pendingAndSent()).toEqual([0, 2])
  })

  test('that tells what was there before has looked it up', async () => {
    watching('a', { prev_kv: true })
    watching('a')
    const [before = 0] = await numbers('range_total')
    await put('a')
    expect(await numbers('range_total')).toEqual([before])
    await put('a')
    await harness.client.call('KV/DeleteRange', { key: text('a') })
    expect(await numbers('range_total')).toEqual([before + 2])
  })
})
