import { describe, expect, test } from 'vitest'
import { answerInOrder } from '../src/answer-in-order.ts'
import { FakeCall } from './fake-call.ts'

type Call = FakeCall<number, number>

const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve)
  })

const numbers = (count: number): number[] => Array.from({ length: count }, (_, at) => at + 1)

describe('a stream of one answer per request', () => {
  test('gives the answers in the order of the requests, not in that of their making', async () => {
    const call: Call = new FakeCall()
    const makers: (() => void)[] = []
    answerInOrder(
      call,
      (request: number) =>
        new Promise<number>((resolve) => {
          makers.push(() => resolve(request))
        }),
    )
    call.ask(1, 2, 3)
    call.askNoMore()
    for (const make of makers.toReversed()) make()
    await turn()
    expect(call.takeAll()).toEqual([1, 2, 3])
    expect(call.ended).toBeNull()
  })

  test('takes in no more than it can answer, and goes on when there is room', async () => {
    const call: Call = new FakeCall()
    let release = (): void => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    answerInOrder(call, async (request: number) => {
      await released
      return request
    })
    let asked = 0
    for (; !call.isPaused; asked++) call.ask(asked)
    expect(asked).toBe(1_024)
    release()
    await turn()
    expect(call.isPaused).toBe(false)
    expect(call.takeAll()).toHaveLength(1_024)
  })

  test('waits for a client that is slow to take its answers', async () => {
    const call: Call = new FakeCall()
    call.room = 4
    answerInOrder(call, async (request: number) => request)
    call.ask(...numbers(20))
    call.askNoMore()
    await turn()
    expect(call.waiting).toBe(4)
    const taken: unknown[] = []
    while (call.ended === undefined) {
      taken.push(...call.takeAll())
      await turn()
    }
    expect([...taken, ...call.takeAll()]).toEqual(numbers(20))
  })

  test('gives nothing to a client that has gone', async () => {
    const call: Call = new FakeCall()
    answerInOrder(call, async (request: number) => request)
    call.ask(1)
    call.cancel()
    await turn()
    expect(call.takeAll()).toEqual([])
  })

  test('ends with the first answer that fails, after those before it', async () => {
    const call: Call = new FakeCall()
    answerInOrder(call, async (request: number) => {
      if (request > 1) throw new Error(`no ${request}`)
      return request
    })
    call.ask(1, 2, 3)
    await turn()
    expect(call.takeAll()).toEqual([1])
    expect(call.ended).toMatchObject({ message: 'etcdserver: no 2' })
  })
})
