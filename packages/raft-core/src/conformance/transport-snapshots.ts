/** What a transport promises about snapshots: the second half of its conformance suite. */
import type { HeldSnapshot, OpenSnapshot } from '../contracts/transport.ts'
import { check, checkEqual, joined, seededBytes } from './check.ts'
import {
  eventually,
  pause,
  rejection,
  settled,
  type Cluster,
  type Promised,
} from './transport-cluster.ts'
import {
  collect,
  drain,
  each,
  endless,
  failing,
  forever,
  heldBack,
  latch,
  NOTHING,
  opening,
  readAll,
  tracked,
  whole,
} from './transport-streams.ts'

const MIB = 1 << 20

export function snapshotTests(promise: Promised): void {
  contentTests(promise)
  openingTests(promise)
  failureTests(promise)
  besideTests(promise)
}

function contentTests(promise: Promised): void {
  const contents: [string, readonly number[]][] = [
    ['nothing at all', []],
    ['one byte', [1]],
    ['empty chunks among others', [0, 5, 0, 0, 7, 0]],
    ['chunks of odd sizes', [1, 65_537, 3, 262_144, 99_999, 1, 8_191]],
    ['one chunk of 20 MiB', [20 * MIB]],
    ['20 MiB in many chunks', Array.from({ length: 320 }, () => 65_536)],
  ]
  for (const [what, sizes] of contents)
    promise(`the peer gets exactly the bytes that were sent: ${what}`, async ({ a, b }) => {
      const sent = sizes.map((size, at) => seededBytes(size, at))
      const received = collect(b)
      await settled('sending', a.transport.sendSnapshot(opening(), whole(each(sent)), forever()))
      checkEqual(received.message, opening(), 'the opening message')
      checkEqual(joined(received.chunks), joined(sent), 'the snapshot')
    })

  promise('a chunk that was read keeps its bytes', async ({ a, b }) => {
    const sent = Array.from({ length: 400 }, (_, at) => seededBytes(10_000 + at, at))
    const received = collect(b)
    await settled('sending', a.transport.sendSnapshot(opening(), whole(each(sent)), forever()))
    checkEqual(joined(received.chunks), joined(sent), 'what was read before')
  })

  promise('sendSnapshot resolves only after onSnapshot has resolved', async ({ a, b }) => {
    const gate = latch()
    let read = false
    b.onSnapshot = async (_message, open) => {
      await drain(open)
      read = true
      await gate.opened
    }
    let resolved = false
    const sending = a.transport
      .sendSnapshot(opening(), whole(each([seededBytes(1000, 1)])), forever())
      .then(() => (resolved = true))
    await eventually('all of it was read', () => read)
    await pause(50)
    check(!resolved, 'it resolved although the peer was not done')
    gate.open()
    await settled('sending', sending)
  })

  promise('a peer that has it already may resolve without reading', async ({ a, b }) => {
    b.onSnapshot = () => Promise.resolve()
    const source = tracked([seededBytes(MIB, 1), seededBytes(MIB, 2)])
    await settled('sending', a.transport.sendSnapshot(opening(), whole(source), forever()))
    check(source.givenBytes === 0, 'something of it was read')
  })

  promise('snapshots to two peers may run at the same time', async ({ a, b, c }) => {
    const sent = [seededBytes(3 * MIB, 3)]
    const received = [collect(b), collect(c)]
    const forC = { ...opening(), to: 'c' }
    await settled(
      'sending both',
      Promise.all([
        a.transport.sendSnapshot(opening(), whole(each(sent)), forever()),
        a.transport.sendSnapshot(forC, whole(each(sent)), forever()),
      ]),
    )
    for (const { chunks } of received) checkEqual(joined(chunks), joined(sent), 'the snapshot')
  })

  promise('at most one snapshot runs per peer', async ({ a, b }) => {
    const received = collect(b)
    const gate = latch()
    const first = a.transport.sendSnapshot(opening(), whole(heldBack(gate.opened)), forever())
    await eventually('the first is under way', () => received.message !== null)
    const second = a.transport.sendSnapshot(opening(), whole(each([])), forever())
    await rejection('a second snapshot to the same peer', second)
    gate.open()
    await settled('the first', first)
    collect(b)
    await settled('one after it', a.transport.sendSnapshot(opening(), whole(each([])), forever()))
  })
}

function openingTests(promise: Promised): void {
  promise(
    'the sender learns what the peer holds, and the peer where the chunks begin',
    async ({ a, b }) => {
      const held: HeldSnapshot = { bytes: 2 ** 40, checksum: 0xff_ff_ff_fe }
      const told: HeldSnapshot[] = []
      const got: number[] = []
      const sent = seededBytes(300_000, 1)
      b.onSnapshot = async (_message, open) => {
        const { offset, chunks } = await open(held)
        got.push(offset)
        const parts: Uint8Array[] = []
        for await (const chunk of chunks) parts.push(chunk)
        checkEqual(joined(parts), sent, 'the rest of the snapshot')
      }
      const open: OpenSnapshot = async (holds) => {
        told.push(holds)
        return { offset: 2 ** 40, chunks: each([sent]) }
      }
      await settled('sending', a.transport.sendSnapshot(opening(), open, forever()))
      checkEqual(told, [held], 'what the sender was told')
      checkEqual(got, [2 ** 40], 'where the chunks begin')
    },
  )

  promise('not a byte is read before the peer has opened it', async ({ a, b }) => {
    const gate = latch()
    let asked = false
    b.onSnapshot = async (_message, open) => {
      asked = true
      await gate.opened
      await drain(open)
    }
    const source = tracked([seededBytes(MIB, 1)])
    const sending = a.transport.sendSnapshot(opening(), whole(source), forever())
    await eventually('the peer was asked', () => asked)
    await pause(50)
    check(source.givenBytes === 0, 'some of it was read')
    gate.open()
    await settled('sending', sending)
  })

  promise('a snapshot is opened once: the second time fails', async ({ a, b }) => {
    b.onSnapshot = async (_message, open) => {
      await drain(open)
      await rejection('opening it again', open(NOTHING))
    }
    await settled(
      'sending',
      a.transport.sendSnapshot(opening(), whole(each([seededBytes(10, 1)])), forever()),
    )
  })

  promise('if it cannot be opened, both ends fail, the sender with the reason', async (cluster) => {
    const { a, b } = cluster
    const reason = new Error('a newer one came between')
    let failed = false
    b.onSnapshot = async (_message, open) => {
      await open(NOTHING).catch((error: unknown) => {
        failed = true
        throw error
      })
    }
    const sending = a.transport.sendSnapshot(opening(), () => Promise.reject(reason), forever())
    check((await rejection('sending', sending)) === reason, 'another reason')
    await eventually('the peer heard of it', () => failed)
    await cluster.reached('a', 'b')
  })

  promise(
    'an abort while it is being opened rejects, and the peer hears of it',
    async ({ a, b }) => {
      let asked = false
      let failed = false
      b.onSnapshot = async (_message, open) => {
        asked = true
        await open(NOTHING).catch((error: unknown) => {
          failed = true
          throw error
        })
      }
      const abort = new AbortController()
      const never: OpenSnapshot = () => new Promise(() => {})
      const sending = a.transport.sendSnapshot(opening(), never, { signal: abort.signal })
      const rejected = rejection('sending', sending)
      await eventually('the peer was asked', () => asked)
      abort.abort(new Error('enough'))
      check(String(await rejected).includes('enough'), 'another reason')
      await eventually('the peer heard of it', () => failed)
    },
  )
}

function failureTests(promise: Promised): void {
  promise('sendSnapshot rejects if onSnapshot rejects', async ({ a, b }) => {
    b.onSnapshot = async (_message, open) => {
      await drain(open)
      throw new Error('the disk is full')
    }
    const sending = a.transport.sendSnapshot(
      opening(),
      whole(each([seededBytes(1000, 1)])),
      forever(),
    )
    await rejection('sending to a peer that refuses', sending)
  })

  promise('sendSnapshot rejects if onSnapshot rejects without reading', async ({ a, b }) => {
    b.onSnapshot = () => Promise.reject(new Error('not now'))
    const source = endless()
    await rejection('sending', a.transport.sendSnapshot(opening(), whole(source), forever()))
    check(source.givenBytes === 0, 'something of it was read')
  })

  promise('sendSnapshot rejects if onSnapshot rejects in the middle', async ({ a, b }) => {
    b.onSnapshot = async (_message, open) => {
      const { chunks } = await open(NOTHING)
      await chunks[Symbol.asyncIterator]().next()
      throw new Error('not that')
    }
    const source = endless()
    await rejection('sending', a.transport.sendSnapshot(opening(), whole(source), forever()))
    await eventually('the source was released', () => source.released)
  })

  promise('an abort rejects with its reason, and the chunks fail', async (cluster) => {
    const { a, b } = cluster
    const received = collect(b)
    const abort = new AbortController()
    const reason = new Error('no longer wanted')
    const source = endless()
    const sending = a.transport.sendSnapshot(opening(), whole(source), { signal: abort.signal })
    const rejected = rejection('an aborted snapshot', sending)
    await eventually('some of it arrived', () => received.chunks.length > 0)
    abort.abort(reason)
    check((await rejected) === reason, 'it rejected with another reason')
    await eventually('the chunks failed', () => received.ended !== null)
    check(received.ended === 'failed', 'half a snapshot ended as if it were whole')
    await eventually('the source was released', () => source.released)
    await cluster.reached('a', 'b')
  })

  promise('a signal that has aborted already rejects at once', async ({ a, b }) => {
    const received = collect(b)
    const reason = new Error('too late')
    const signal = AbortSignal.abort(reason)
    const sending = a.transport.sendSnapshot(opening(), whole(each([])), { signal })
    check((await rejection('an aborted start', sending)) === reason, 'another reason')
    check(received.message === null, 'the peer heard of it')
  })

  promise('an abort while the peer is thinking rejects too', async ({ a, b }) => {
    const received = collect(b)
    const { onSnapshot } = b
    b.onSnapshot = async (message, open) => {
      await onSnapshot(message, open)
      await new Promise(() => {})
    }
    const abort = new AbortController()
    const sending = a.transport.sendSnapshot(opening(), whole(each([])), { signal: abort.signal })
    const rejected = rejection('sending', sending)
    await eventually('all was read', () => received.ended === 'ended')
    abort.abort(new Error('enough'))
    check(String(await rejected).includes('enough'), 'another reason')
  })

  promise(
    'if the source fails, sendSnapshot rejects with that and the chunks fail',
    async (cluster) => {
      const { a, b } = cluster
      const received = collect(b)
      const broken = new Error('unreadable sector')
      const sending = a.transport.sendSnapshot(opening(), whole(failing(broken)), forever())
      check((await rejection('a failing source', sending)) === broken, 'another reason')
      await eventually('the chunks failed', () => received.ended !== null)
      check(received.ended === 'failed', 'half a snapshot ended as if it were whole')
      await cluster.reached('a', 'b')
    },
  )

  promise('sendSnapshot rejects if the peer is away', async ({ a, b }) => {
    await b.transport[Symbol.asyncDispose]()
    const source = endless()
    await rejection(
      'sending to nobody',
      a.transport.sendSnapshot(opening(), whole(source), forever()),
    )
  })

  promise('sendSnapshot rejects for a peer that was never named', async ({ a }) => {
    const message = { ...opening(), to: 'nobody' }
    await rejection(
      'sending to nobody',
      a.transport.sendSnapshot(message, whole(each([])), forever()),
    )
  })

  promise('sendSnapshot rejects if the peer goes away meanwhile', async (cluster) => {
    const { a, b } = cluster
    const received = collect(b)
    const source = endless()
    const rejected = rejection(
      'sending',
      a.transport.sendSnapshot(opening(), whole(source), forever()),
    )
    await eventually('some of it arrived', () => received.chunks.length > 0)
    await b.transport[Symbol.asyncDispose]()
    await rejected
    await eventually('the chunks failed', () => received.ended === 'failed')
    await eventually('the source was released', () => source.released)
  })

  promise('disposal breaks the snapshots that are being sent', async (cluster) => {
    const { a, b } = cluster
    const received = collect(b)
    const source = endless()
    const rejected = rejection(
      'sending',
      a.transport.sendSnapshot(opening(), whole(source), forever()),
    )
    await eventually('some of it arrived', () => received.chunks.length > 0)
    await a.transport[Symbol.asyncDispose]()
    await rejected
    await eventually('the chunks failed', () => received.ended === 'failed')
    const late = a.transport.sendSnapshot(opening(), whole(each([])), forever())
    await rejection('sending after disposal', late)
  })
}

function besideTests(promise: Promised): void {
  promise('messages flow while a snapshot streams', async (cluster) => {
    const received = collect(cluster.b)
    const gate = latch()
    const sending = cluster.a.transport.sendSnapshot(
      opening(),
      whole(heldBack(gate.opened)),
      forever(),
    )
    await eventually('some of it arrived', () => received.chunks.length > 0)
    await echo(cluster)
    check(received.ended === null, 'the snapshot was over before its time')
    gate.open()
    await settled('sending', sending)
  })

  promise('messages flow while the peer does not read a snapshot', async (cluster) => {
    const gate = latch()
    cluster.b.onSnapshot = async (_message, open) => {
      const { chunks } = await open(NOTHING)
      await gate.opened
      await readAll(chunks)
    }
    const source = tracked(Array.from({ length: 128 }, () => new Uint8Array(MIB)))
    const sending = cluster.a.transport.sendSnapshot(opening(), whole(source), forever())
    await stable(() => source.givenBytes)
    check(source.givenBytes < 128 * MIB, 'all of it was read although nobody took it')
    await echo(cluster)
    gate.open()
    await settled('sending', sending)
    check(source.givenBytes === 128 * MIB, 'some of it was left out')
  })
}

/** A hundred messages there and back. */
async function echo({ a, b }: Cluster): Promise<void> {
  const there = b.received.length
  const back = a.received.length
  a.count('b', 1, 100)
  b.count('a', 1, 100)
  await eventually(
    'messages went there and back',
    () => b.received.length === there + 100 && a.received.length === back + 100,
  )
}

/** Waits until a number has stayed the same for a while. */
async function stable(measure: () => number): Promise<void> {
  let last = -1
  for (let beats = 0; beats < 20; beats++) {
    if (measure() !== last) beats = 0
    last = measure()
    await pause()
  }
}
