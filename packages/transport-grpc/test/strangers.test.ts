import { encodeMessage } from '@coracle/raft-core/codec'
import { Metadata, Server, ServerCredentials, type ServerDuplexStream, status } from '@grpc/grpc-js'
import * as fc from 'fast-check'
import { createServer as createHttpServer } from 'node:http'
import { connect } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { FRAME_HEADER_BYTES, seal } from '../src/frame.ts'
import { welcomeMetadata } from '../src/handshake.ts'
import { type Bytes, SERVICE } from '../src/service.ts'
import { call, framed, hello, refusals, startNode, stillServes, until } from './nodes.ts'

const PURPOSES = ['messages', 'snapshot'] as const

describe.each(PURPOSES)('a stranger that calls for %s is told why it is turned away', (purpose) => {
  const laterVersion = hello()
  laterVersion.set('coracle-version', '2')
  const twoSenders = hello()
  twoSenders.add('coracle-from-bin', Buffer.from('y'))

  test.each([
    ['any gRPC client', new Metadata(), 'it does not say who it is'],
    ['a node of another cluster', hello({ cluster: 'other' }), 'it is of cluster other'],
    ['a node that looks for another', hello({ to: 'c' }), 'it looks for node c, and this is b'],
    ['a node with the same id', hello({ from: 'b' }), 'it calls itself b'],
    ['a node of a later version', laterVersion, 'it speaks version 2'],
    ['a node with two ids', twoSenders, 'it does not say who it is'],
    ['a node without an id', hello({ from: '' }), 'it does not say who it is'],
    ['a node with an endless id', hello({ from: 'x'.repeat(256) }), 'it does not say who it is'],
  ])('%s', async (_who, metadata, why) => {
    const node = await startNode('b')
    const { code, details } = await call(node, purpose, metadata)
    expect(code).toBe(status.FAILED_PRECONDITION)
    expect(details).toContain(why)
    expect(refusals(node)).toEqual([details])
    await stillServes(node)
  })
})

describe('whoever answers must be the peer that was called', () => {
  test.each([
    ['nobody in particular', new Metadata(), 'it does not say who it is'],
    ['another node', welcomeMetadata('test', 'c'), 'it is node c, not b'],
    ['another cluster', welcomeMetadata('other', 'b'), 'it is of cluster other, not test'],
  ])('%s', async (_who, answer, why) => {
    const address = await serve((stream) => stream.sendMetadata(answer))
    const a = await startNode('a')
    a.transport.setPeers([{ id: 'b', address }])
    await until(() => a.events.length > 0)
    expect(a.events).toEqual([{ type: 'peer-unreachable', peer: 'b', address, why }])
  })

  test('a peer that never answers', async () => {
    const address = await serve(() => {})
    const a = await startNode('a', { handshakeTimeoutMs: 50 })
    a.transport.setPeers([{ id: 'b', address }])
    await until(() => a.events.length > 0)
    expect(a.events[0]).toMatchObject({ why: 'the handshake took too long' })
  })

  test.each(['nonsense', 'http://b', 'https://127.0.0.1:1'])(
    '%s is no way to a peer',
    async (address) => {
      const a = await startNode('a')
      a.transport.setPeers([{ id: 'b', address }])
      await until(() => a.events.length > 0)
      expect(a.events[0]).toMatchObject({ type: 'peer-unreachable', address })
    },
  )
})

describe('one port for gRPC and for HTTP', () => {
  test('whoever speaks HTTP/1 is handed over, unread, and peers are not', async () => {
    const server = createHttpServer((request, response) => response.end(`you want ${request.url}`))
    onTestFinished(() => void server.close())
    const node = await startNode('b', { onHttp: (socket) => server.emit('connection', socket) })
    const answer = await fetch(`http://127.0.0.1:${node.port}/members`)
    expect(await answer.text()).toBe('you want /members')
    const { code } = await call(node, 'messages', new Metadata())
    expect(code).toBe(status.FAILED_PRECONDITION)
    await stillServes(node)
  })

  test('a caller that says nothing is let go', async () => {
    const node = await startNode('b', { handshakeTimeoutMs: 50, onHttp: () => {} })
    const socket = connect(node.port, '127.0.0.1')
    await new Promise((resolve) => socket.once('close', resolve))
    await stillServes(node)
  })
})

describe('garbage', () => {
  const piece = fc.uint8Array({ maxLength: 400, size: 'max' })
  const samples = (count: number): Uint8Array[][] =>
    fc.sample(fc.array(piece, { minLength: 1, maxLength: 5 }), count)

  test('on the wire never throws, disturbs nobody, and every connection is closed', async () => {
    const node = await startNode('b', { keepaliveMs: 50 })
    await Promise.all(
      samples(100).map(async (pieces, at) => {
        const socket = connect({ host: '127.0.0.1', port: node.port })
        socket.on('error', () => {})
        const closed = new Promise((resolve) => socket.on('close', resolve))
        // Half of them get as far as HTTP/2.
        if (at % 2 === 0) socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
        for (const bytes of pieces) socket.write(bytes)
        socket.end()
        socket.resume()
        await closed
      }),
    )
    await stillServes(node)
  })

  test.each(PURPOSES)('in frames after a good handshake for %s ends the call', async (purpose) => {
    const node = await startNode('b')
    const ended = await Promise.all(
      samples(80).map((pieces, at) =>
        call(node, purpose, hello({ from: `x${at}` }), [
          ...pieces.map((bytes, place) => (place % 2 === 0 ? framed(bytes) : bytes)),
          framed(new Uint8Array([99])),
        ]),
      ),
    )
    const expected = purpose === 'messages' ? status.INVALID_ARGUMENT : status.ABORTED
    expect(new Set(ended.map(({ code }) => code))).toEqual(new Set([expected]))
    expect(refusals(node)).toHaveLength(80)
    await stillServes(node)
  })

  test('after the opening message of a snapshot fails its chunks', async () => {
    const node = await startNode('b')
    const meta = {
      position: { term: 1, index: 1 },
      membership: { voters: [], outgoing: [], learners: [], peers: [], removed: [] },
      membershipIndex: 1,
    }
    const message = { type: 'install-snapshot', from: 'x', to: 'b', term: 1, meta } as const
    const opening = seal(encodeMessage(message, { reserveBytes: FRAME_HEADER_BYTES }))
    const start = framed(new Uint8Array([3, 0, 0, 0, 0, 0, 0, 0, 0]))
    const chunk = framed(new Uint8Array([1, 7, 7]))
    const end = framed(new Uint8Array([2, 9, 0, 0, 0, 0, 0, 0, 0]))
    const wrongTotal = await call(node, 'snapshot', hello(), [opening, start, chunk, end])
    expect(wrongTotal).toMatchObject({ code: status.ABORTED, details: '2 bytes of 9 arrived' })
    const noStart = await call(node, 'snapshot', hello(), [opening, chunk, end])
    expect(noStart).toMatchObject({ details: 'a snapshot begins without a beginning' })
    const noEnd = await call(node, 'snapshot', hello(), [opening, start, chunk])
    expect(noEnd).toMatchObject({ code: status.ABORTED, details: 'the snapshot broke off' })
    const noise = await call(node, 'snapshot', hello(), [opening, framed(new Uint8Array([3]))])
    expect(noise).toMatchObject({ code: status.ABORTED })
  })
})

test('a stream takes the place of an older one of the same peer', async () => {
  const node = await startNode('b')
  const a = await startNode('a')
  a.transport.setPeers([{ id: 'b', address: node.address }])
  await until(() => a.events.length > 0)
  await call(node, 'messages', hello({ from: 'a' }))
  await until(() => a.events.length > 1)
  expect(a.events[1]).toMatchObject({ type: 'peer-unreachable', why: 'the peer called again' })
  await until(() => a.events.length > 2)
  expect(a.events[2]).toMatchObject({ type: 'peer-connected' })
})

test('the queue of a peer that does not read holds no more than maxQueuedBytes', async () => {
  const stream: { call: ServerDuplexStream<Bytes, Bytes> | null } = { call: null }
  const address = await serve((opened) => {
    stream.call = opened
    opened.sendMetadata(welcomeMetadata('test', 'b'))
  })
  const maxQueuedBytes = 4 << 20
  const a = await startNode('a', { maxQueuedBytes })
  a.transport.setPeers([{ id: 'b', address }])
  await until(() => a.events.some(({ type }) => type === 'peer-connected'))
  const commands = [new Uint8Array(256 << 10)]
  for (let turn = 0; turn < 50; turn++) {
    for (let id = 0; id < 10; id++)
      a.transport.send({ type: 'propose', from: 'a', to: 'b', term: 1, id, commands })
    await new Promise(setImmediate)
  }
  expect(a.unreachable).toContain('b')
  let arrived = 0
  stream.call?.on('data', (frame: Bytes) => (arrived += frame.length))
  let last = -1
  await until(() => {
    const still = arrived === last && arrived > 0
    last = arrived
    return still
  })
  // 125 MiB were sent. What the two HTTP/2 sessions hold comes on top of the queue.
  expect(arrived).toBeLessThan(maxQueuedBytes + (32 << 20))
})

/** A server of the service that is no transport; answers with its address. */
async function serve(take: (call: ServerDuplexStream<Bytes, Bytes>) => void): Promise<string> {
  const server = new Server()
  const Messages = (stream: ServerDuplexStream<Bytes, Bytes>): void => take(stream)
  server.addService(SERVICE, { Messages, Snapshot: () => {} })
  onTestFinished(() => server.forceShutdown())
  const port = await new Promise<number>((resolve) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (_error, bound) =>
      resolve(bound),
    ),
  )
  return `127.0.0.1:${port}`
}
