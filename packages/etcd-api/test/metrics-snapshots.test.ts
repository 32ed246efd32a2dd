/** Snapshots that go from one member to another, and onto the disk. */
import {
  bootstrapMembership,
  type InstallSnapshot,
  type Transport,
  type TransportHandlers,
} from '@coracle/raft-core'
import { memoryStorage } from '@coracle/storage-memory'
import { beforeEach, describe, expect, test } from 'vitest'
import { type EtcdMetrics, etcdMetrics } from '../src/index.ts'
import { samplesOf } from './scrape.ts'
import { type StagedTime, stagedTime } from './staged-time.ts'

/** A transport whose transfers end when the test says so. */
class Staged implements Transport {
  handlers: TransportHandlers | null = null
  end: (error?: Error) => void = () => {}

  async start(handlers: TransportHandlers): Promise<void> {
    this.handlers = handlers
  }

  setPeers(): void {}
  send(): void {}

  sendSnapshot(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.end = (error) => (error === undefined ? resolve() : reject(error))
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

const meta = {
  position: { term: 1, index: 1 },
  membership: bootstrapMembership([{ id: 'a', address: '' }]),
  membershipIndex: 0,
}
const message = (from: string, to: string): InstallSnapshot => ({
  type: 'install-snapshot',
  term: 1,
  from,
  to,
  meta,
})

let time: StagedTime
let metrics: EtcdMetrics
let staged: Staged
let transport: Transport
beforeEach(() => {
  time = stagedTime()
  metrics = etcdMetrics({ environment: time })
  staged = new Staged()
  transport = metrics.measureTransport(staged)
})

/** What there is about snapshots, without buckets. */
async function transfers(): Promise<Record<string, number>> {
  const prefix = 'etcd_network_snapshot_'
  const samples = [...samplesOf(await metrics.registry.metrics())]
  return Object.fromEntries(
    samples
      .filter(([name]) => name.startsWith(prefix) && !name.includes('_bucket'))
      .map(([name, value]) => [name.slice(prefix.length), value]),
  )
}

describe('a snapshot on its way', () => {
  const open = () => Promise.reject(new Error('not read here'))
  const { signal } = new AbortController()

  test('is nothing before there is one', async () => {
    expect(await transfers()).toEqual({})
  })

  test('to a peer is there until it has arrived', async () => {
    const sent = transport.sendSnapshot(message('a', 'b'), open, { signal })
    expect(await transfers()).toEqual({ 'send_inflights_total{To="b"}': 1 })
    time.advance(1_500)
    staged.end()
    await sent
    expect(await transfers()).toEqual({
      'send_inflights_total{To="b"}': 0,
      'send_success{To="b"}': 1,
      'send_total_duration_seconds_count{To="b"}': 1,
      'send_total_duration_seconds_sum{To="b"}': 1.5,
    })
  })

  test('that does not arrive has failed, and its sender is told', async () => {
    const sent = transport.sendSnapshot(message('a', 'b'), open, { signal })
    staged.end(new Error('staged'))
    await expect(sent).rejects.toThrow('staged')
    expect(await transfers()).toEqual({
      'send_inflights_total{To="b"}': 0,
      'send_failures{To="b"}': 1,
    })
  })

  test('from a peer is the peer’s', async () => {
    const outcomes = [Promise.resolve(), Promise.reject(new Error('staged'))]
    await transport.start({
      onMessage() {},
      onUnreachable() {},
      onSnapshot: () => outcomes.shift() ?? Promise.resolve(),
    })
    await staged.handlers?.onSnapshot(message('b', 'a'), open)
    await expect(staged.handlers?.onSnapshot(message('c', 'a'), open)).rejects.toThrow('staged')
    expect(await transfers()).toEqual({
      'receive_inflights_total{From="b"}': 0,
      'receive_inflights_total{From="c"}': 0,
      'receive_success{From="b"}': 1,
      'receive_failures{From="c"}': 1,
      'receive_total_duration_seconds_count{From="b"}': 1,
      'receive_total_duration_seconds_sum{From="b"}': 0,
    })
  })
})

test('a snapshot that is written is timed under both of etcd’s names', async () => {
  await using storage = metrics.measureStorage(memoryStorage())
  await storage.load()
  await storage.writeSnapshot(
    meta,
    (async function* () {
      time.advance(250)
      yield new Uint8Array(1)
    })(),
  )
  const samples = samplesOf(await metrics.registry.metrics())
  for (const name of ['etcd_snap_db_save', 'etcd_debugging_snap_save'])
    expect(samples.get(`${name}_total_duration_seconds_sum`)).toBe(0.25)
})
