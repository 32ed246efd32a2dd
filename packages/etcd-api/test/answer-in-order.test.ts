import { Duplex } from 'node:stream'
import type { ServerDuplexStream } from '@grpc/grpc-js'
import { describe, expect, test } from 'vitest'
import { answerInOrder } from '../src/answer-in-order.ts'

/** A two-way stream as grpc-js makes them, with the client at hand. */
class Call extends Duplex {
  cancelled = false
  readonly written: number[] = []
  /** Lets the client take what is written; null as long as it takes everything at once. */
  taken: (() => void) | null = null
  isSlow = false

  constructor() {
    super({ objectMode: true, highWaterMark: 4 })
    this.on('error', () => this.end())
  }

  override _read(): void {}

  override _write(message: number, _encoding: string, callback: () => void): void {
    this.written.push(message)
    if (this.isSlow) this.taken = callback
    else callback()
  }

  cancel(): void {
    this.cancelled = true
    this.emit('cancelled')
    this.destroy()
  }

  get asServerCall(): ServerDuplexStream<number, number> {
    return this as unknown as ServerDuplexStream<number, number>
  }
}

const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve)
  })

describe('a stream of one answer per request', () => {
  test('gives the answers in the order of the requests, not in that of their making', async () => {
    const call = new Call()
    const makers: (() => void)[] = []
    const over = answerInOrder(
      call.asServerCall,
      (request) =>
        new Promise((resolve) => {
          makers.push(() => resolve(request))
        }),
    )
    for (const request of [1, 2, 3, null]) call.push(request)
    await turn()
    for (const make of makers.toReversed()) make()
    await over
    expect(call.written).toEqual([1, 2, 3])
    expect(call.writableEnded).toBe(true)
  })

  test('takes in no more than it can answer, and goes on when there is room', async () => {
    const call = new Call()
    let asked = 0
    let release = (): void => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    const over = answerInOrder(call.asServerCall, async (request) => {
      asked += 1
      await released
      return request
    })
    for (let request = 1; request <= 3_000; request++) call.push(request)
    call.push(null)
    for (let at = 0; at < 10; at++) await turn()
    expect(asked).toBe(1_024)
    release()
    await over
    expect(call.written).toHaveLength(3_000)
  })

  test('waits for a client that is slow to take its answers', async () => {
    const call = new Call()
    call.isSlow = true
    const over = answerInOrder(call.asServerCall, async (request) => request)
    for (let request = 1; request <= 20; request++) call.push(request)
    call.push(null)
    for (let at = 0; at < 10; at++) await turn()
    expect(call.writableLength).toBeLessThanOrEqual(4)
    call.isSlow = false
    call.taken?.()
    await over
    expect(call.written).toHaveLength(20)
  })

  test('is over when the client has gone, whether or not it had asked', async () => {
    const idle = new Call()
    const over = answerInOrder(idle.asServerCall, async (request) => request)
    await turn()
    idle.cancel()
    await over
    expect(idle.written).toEqual([])
  })

  test('ends with the first answer that fails, after those before it', async () => {
    const call = new Call()
    let failure: unknown = null
    call.on('error', (error) => {
      failure = error
    })
    const over = answerInOrder(call.asServerCall, async (request) => {
      if (request > 1) throw new Error(`no ${request}`)
      return request
    })
    for (const request of [1, 2, 3]) call.push(request)
    await over
    expect(call.written).toEqual([1])
    expect(failure).toMatchObject({ message: 'etcdserver: no 2' })
  })
})
