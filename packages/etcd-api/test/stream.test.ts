import { EventEmitter } from 'node:events'
import type { ServerStreamCall } from '@coracle/grpc-server'
import { expect, test } from 'vitest'
import { createEtcdServices } from '../src/index.ts'
import { handlerOf } from '../src/grpc-carrier.ts'
import { codecOf } from '../src/schema.ts'
import { startHarness, text } from './harness.ts'

/** A client that has room for one message at a time. */
class SlowCall extends EventEmitter {
  readonly cancelled = false
  written = 0
  ended = false

  metadata(): undefined {
    return undefined
  }

  onceOver(): void {}

  onRoom(listener: () => void): void {
    this.on('room', listener)
  }

  write(): boolean {
    this.written += 1
    this.emit('written')
    return false
  }

  end(): void {
    this.ended = true
    this.emit('ended')
  }
}

test('a stream waits for a slow client instead of piling up what it has not taken', async () => {
  await using harness = await startHarness()
  const { node, stateMachine, client } = harness
  for (let i = 0; i < 40; i++) await client.call('KV/Put', { key: text(`k${i}`) })
  const parts = { node, stateMachine, cluster: { id: 1n }, member: { id: 1n } }
  await using services = createEtcdServices(parts)
  const rpc = services.rpcs.get('/etcdserverpb.KV/RangeStream')
  if (rpc === undefined) throw new Error('there is no RangeStream')
  const rangeStream = handlerOf(rpc, { received: 0, sent: 0 })
  if (rangeStream.kind !== 'server-stream') throw new Error('RangeStream is no stream')

  const codec = codecOf('etcdserverpb.RangeRequest')
  const range = { key: text('k'), range_end: text('l'), serializable: true }
  const call = new SlowCall()
  const happens = (event: string): Promise<void> =>
    new Promise((resolve) => call.once(event, resolve))
  const first = happens('written')
  const done = rangeStream.handle(codec.encode(range), call as unknown as ServerStreamCall)
  await first
  await new Promise(setImmediate)
  expect(call.written).toBe(1)
  const second = happens('written')
  call.emit('room')
  await second
  await new Promise(setImmediate)
  expect(call).toMatchObject({ written: 2, ended: false })
  const ended = happens('ended')
  call.emit('room')
  await happens('written')
  call.emit('room')
  await ended
  await done
  expect(call.written).toBe(3)
})
