import { encodeCommand, type KvStateMachine } from '@coracle/kv-state-machine'
import { describe, expect, test } from 'vitest'
import { createEtcdServices, type EtcdServices } from '../src/index.ts'
import { type Encoded, lengthOf } from '../src/encoded.ts'
import { codecOf } from '../src/schema.ts'
import { FakeCall } from './fake-call.ts'
import { type Harness, plain, type RawDuplex, startHarness, text } from './harness.ts'

const requests = codecOf('etcdserverpb.WatchRequest')
const responses = codecOf('etcdserverpb.WatchResponse')

/** A watching client that takes a message when the test says so. */
class SlowClient {
  readonly call = new FakeCall<object, object>()
  readonly messages: Record<string, unknown>[] = []
  /** How many bytes written and not taken yet there ever were. */
  mostBytes = 0
  #waitingBytes = 0

  constructor() {
    const write = this.call.write.bind(this.call)
    this.call.write = (message, taken) => {
      this.#waitingBytes += lengthOf(message as Encoded)
      this.mostBytes = Math.max(this.mostBytes, this.#waitingBytes)
      return write(message, taken)
    }
  }

  get isPaused(): boolean {
    return this.call.isPaused
  }

  /** The client reads one message; answers false if there is none. */
  take(): boolean {
    const bytes = this.call.take() as Uint8Array | undefined
    if (bytes === undefined) return false
    this.#waitingBytes -= bytes.length
    this.messages.push(plain(responses.decode(bytes)) as Record<string, unknown>)
    return true
  }

  ask(request: object): void {
    this.call.ask(requests.decode(requests.encode(request)))
  }

  /** The revisions of all events so far. */
  get revisions(): number[] {
    return this.messages.flatMap((message) =>
      ((message['events'] ?? []) as { kv: { mod_revision: number } }[]).map(
        ({ kv }) => kv.mod_revision,
      ),
    )
  }
}

const QUEUE_BYTES = 20_000
const VALUE_BYTES = 1_000

function servicesOf(harness: Harness): EtcdServices {
  return createEtcdServices({
    node: harness.node,
    stateMachine: harness.stateMachine,
    cluster: { id: 1n },
    member: { id: 1n },
    limits: { maxWatchQueueBytes: QUEUE_BYTES },
  })
}

function open(services: EtcdServices): SlowClient {
  const watch = services.rpcs.get('/etcdserverpb.Watch/Watch')
  if (watch?.kind !== 'duplex') throw new Error('there is no Watch')
  const client = new SlowClient()
  watch.call(client.call)
  return client
}

function putDirectly(stateMachine: KvStateMachine, key: string, bytes: number): void {
  const request = {
    key: text(key),
    value: new Uint8Array(bytes),
    lease: 0n,
    prevKv: false,
    ignoreValue: false,
    ignoreLease: false,
  }
  const data = encodeCommand({ type: 'put', request })
  stateMachine.apply([{ index: 1, term: 1, data }])
}

/** Takes messages, and lets the server go on whenever there are none, until all are there. */
async function readUntil(call: SlowClient, isDone: () => boolean): Promise<void> {
  while (!isDone()) {
    if (!call.take()) await new Promise(setImmediate)
  }
}

const from = (first: number, count: number): number[] =>
  Array.from({ length: count }, (_, at) => first + at)

// etcd #17529: events lost when a stream starves.
describe('a client that reads slowly', () => {
  test('costs bounded memory and loses nothing, while others are told at once', async () => {
    await using harness = await startHarness()
    await using services = servicesOf(harness)
    const slow = open(services)
    const quick = open(services)
    for (const call of [slow, quick]) {
      call.ask({ create_request: { key: text('a') } })
      call.ask({ create_request: { key: text('a'), range_end: text('c') } })
    }
    for (let at = 0; at < 500; at++) {
      putDirectly(harness.stateMachine, 'a', VALUE_BYTES)
      while (quick.take());
    }
    expect(quick.revisions).toHaveLength(1_000)
    expect(slow.mostBytes).toBeLessThan(QUEUE_BYTES + 2 * VALUE_BYTES)
    await readUntil(slow, () => slow.revisions.length === 1_000)
    for (const id of [undefined, 1]) {
      const revisions = slow.messages
        .filter((message) => message['watch_id'] === id)
        .flatMap((message) => (message['events'] ?? []) as { kv: { mod_revision: number } }[])
      expect(revisions.map(({ kv }) => kv.mod_revision)).toEqual(from(2, 500))
    }
    putDirectly(harness.stateMachine, 'a', 1)
    await readUntil(slow, () => slow.revisions.length === 1_002)
  })

  test('is told that what it missed is compacted, and nothing after that', async () => {
    await using harness = await startHarness()
    await using services = servicesOf(harness)
    const call = open(services)
    call.ask({ create_request: { key: text('a') } })
    for (let at = 0; at < 100; at++) putDirectly(harness.stateMachine, 'a', VALUE_BYTES)
    const data = encodeCommand({ type: 'compact', request: { revision: 90 } })
    harness.stateMachine.apply([{ index: 1, term: 1, data }])
    await readUntil(call, () => call.messages.at(-1)?.['canceled'] === true)
    const end = call.messages.at(-1)
    expect(end).toMatchObject({ canceled: true, compact_revision: 90 })
    expect(end?.['header']).not.toHaveProperty('revision')
    expect(call.revisions).toEqual(from(2, call.revisions.length))
    putDirectly(harness.stateMachine, 'a', 1)
    expect(call.take()).toBe(false)
  })

  test('and asks much is not listened to either, until it has read', async () => {
    await using harness = await startHarness()
    await using services = servicesOf(harness)
    const call = open(services)
    let asked = 0
    for (; !call.isPaused; asked++) call.ask({ create_request: { key: text('a') } })
    expect(asked).toBeLessThan(100)
    while (call.take());
    expect(call.isPaused).toBe(false)
    expect(call.messages).toHaveLength(asked)
  })

  test('over a real connection: a standstill holds up nobody, and everything comes in the end', async () => {
    await using harness = await startHarness({ limits: { maxWatchQueueBytes: QUEUE_BYTES } })
    const slow = harness.client.duplex('Watch/Watch')
    const quick = harness.client.duplex('Watch/Watch')
    const read = async (stream: RawDuplex, count: number): Promise<number[]> => {
      const revisions: number[] = []
      while (revisions.length < count) {
        const message = await stream.next()
        const events = (message['events'] ?? []) as { kv: { mod_revision: number } }[]
        revisions.push(...events.map(({ kv }) => kv.mod_revision))
      }
      return revisions
    }
    for (const stream of [slow, quick]) {
      stream.send({ create_request: { key: text('a') } })
      await stream.next()
    }
    slow.pause()
    const value = new Uint8Array(20_000)
    for (let at = 0; at < 60; at++) await harness.client.call('KV/Put', { key: text('a'), value })
    expect(await read(quick, 60)).toEqual(from(2, 60))
    expect(slow.arrived).toBeLessThan(60)
    slow.resume()
    expect(await read(slow, 60)).toEqual(from(2, 60))
    slow[Symbol.dispose]()
    quick[Symbol.dispose]()
  })
})

test('a client that hangs up leaves no watcher behind', async () => {
  await using harness = await startHarness()
  await using services = servicesOf(harness)
  const call = open(services)
  call.ask({ create_request: { key: text('a') } })
  call.take()
  call.call.cancel()
  putDirectly(harness.stateMachine, 'a', 1)
  call.ask({ create_request: { key: text('a') } })
  expect(call.take()).toBe(false)
})
