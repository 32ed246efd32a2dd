import { describe, expect, test } from 'vitest'
import type { Environment } from '../../src/environment.ts'
import { Calling } from '../../src/transport/calling.ts'
import type { TransportEvent } from '../../src/transport/event.ts'

/** Time stands still, unless somebody winds it on. */
class Time implements Environment {
  #now = 0
  #scheduled: (() => void)[] = []
  readonly waits: { readonly at: number; readonly beat: () => void }[] = []

  now(): number {
    return this.#now
  }

  random(): number {
    return 1
  }

  schedule(turn: () => void): void {
    this.#scheduled.push(turn)
  }

  every(intervalMs: number, beat: () => void): () => void {
    const wait = { at: this.#now + intervalMs, beat }
    this.waits.push(wait)
    return () => this.waits.splice(this.waits.indexOf(wait), 1)
  }

  turn(): void {
    for (const run of this.#scheduled.splice(0)) run()
  }

  pass(timeMs: number): void {
    this.#now += timeMs
    for (const { beat } of this.waits.filter(({ at }) => at <= this.#now)) beat()
  }
}

function start(address: string, call: (address: string) => void = () => {}) {
  const time = new Time()
  const called: string[] = []
  const lost: string[] = []
  const events: TransportEvent[] = []
  const calling = new Calling({
    peer: 'b',
    address,
    options: { minReconnectMs: 50, maxReconnectMs: 400, trace: (event) => events.push(event) },
    call(each) {
      called.push(each)
      call(each)
    },
    onLost: (peer) => lost.push(peer),
    environment: time,
  })
  calling.open()
  return { calling, time, called, lost, events }
}

describe('a peer is called', () => {
  test('at one address after the other, and after the last one later', () => {
    const { calling, time, called } = start('b:1,b:2')
    calling.failed(new Error('nobody there'))
    expect(called).toEqual(['b:1', 'b:2'])
    calling.failed(new Error('nobody there'))
    time.pass(49)
    expect(called).toEqual(['b:1', 'b:2'])
    time.pass(1)
    expect(called).toEqual(['b:1', 'b:2', 'b:1'])
  })

  test('later each time, and soon again once it was reached', () => {
    const { calling, time } = start('b:1')
    const waitedFor = (): number[] => time.waits.map(({ at }) => at - time.now())
    for (const wait of [50, 100, 200, 400, 400]) {
      calling.failed('nobody there')
      expect(waitedFor()).toEqual([wait])
      time.pass(wait)
    }
    calling.connected()
    calling.ended('it hung up')
    expect(waitedFor()).toEqual([50])
  })

  test('slowly when it hangs up, where it was reached', () => {
    const { calling, time, called } = start('b:1,b:2')
    calling.failed('nobody there')
    calling.connected()
    calling.ended('it hung up')
    expect(called).toEqual(['b:1', 'b:2'])
    expect(calling.addresses()).toEqual(['b:2', 'b:1'])
    time.pass(50)
    expect(called).toEqual(['b:1', 'b:2', 'b:2'])
  })

  test('at once when it calls, unless it is being called', () => {
    const { calling, time, called } = start('b:1')
    calling.hurry()
    expect(called).toHaveLength(1)
    calling.failed('nobody there')
    calling.hurry()
    expect(called).toHaveLength(2)
    time.pass(1_000)
    expect(called).toHaveLength(2)
  })

  test('no more once it is closed', () => {
    const { calling, time, called, events } = start('b:1')
    calling.failed('nobody there')
    calling.close()
    calling.hurry()
    calling.failed('closed')
    calling.ended('closed')
    time.pass(1_000)
    expect(called).toHaveLength(1)
    expect(events).toHaveLength(1)
  })
})

describe('it is told', () => {
  const unreachable = { type: 'peer-unreachable', peer: 'b' }

  test('once that a peer is away, and anew when it is away for another reason or again', () => {
    const { calling, time, events } = start('b:1')
    const fail = (why: string): void => {
      calling.failed(why)
      time.pass(400)
    }
    fail('nobody there')
    fail('nobody there')
    fail('it is of another cluster')
    calling.connected()
    calling.ended('it hung up')
    expect(events).toEqual([
      { ...unreachable, address: 'b:1', why: 'nobody there' },
      { ...unreachable, address: 'b:1', why: 'it is of another cluster' },
      { type: 'peer-connected', peer: 'b', address: 'b:1' },
      { ...unreachable, address: 'b:1', why: 'it hung up' },
    ])
  })

  test('why an address cannot be called at all', () => {
    const { calling, events, called } = start('nonsense,b:1', (address) => {
      if (address === 'nonsense') throw new Error('it is no address')
    })
    expect(called).toEqual(['nonsense', 'b:1'])
    calling.failed('nobody there')
    const why = 'b:1: nobody there; nonsense: it is no address'
    expect(events).toEqual([{ ...unreachable, address: 'nonsense,b:1', why }])
  })

  test('once that a message can never be sent', () => {
    const { calling, events } = start('b:1')
    calling.refused('it is too large')
    calling.refused('it is too large')
    expect(events).toEqual([{ type: 'message-refused', peer: 'b', why: 'it is too large' }])
  })

  test('now and then that messages are lost, and never at once', () => {
    const { calling, time, lost } = start('b:1')
    calling.lost()
    expect(lost).toEqual([])
    calling.lost()
    time.turn()
    expect(lost).toEqual(['b'])
    time.pass(99)
    calling.lost()
    time.turn()
    expect(lost).toEqual(['b'])
    time.pass(1)
    calling.lost()
    time.turn()
    expect(lost).toEqual(['b', 'b'])
  })
})
