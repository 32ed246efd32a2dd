import * as fc from 'fast-check'
import { createServer as createHttpServer } from 'node:http'
import { createServer, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { MAGIC } from '../src/frame.ts'
import { encodeWelcome } from '../src/handshake.ts'
import { call, framed, hello, refusals, startNode, stillServes, until } from './nodes.ts'

const text = (words: string): Uint8Array => new TextEncoder().encode(words)

describe('a stranger is turned away with a reason, and disturbs nobody', () => {
  test.each([
    ['a browser', text('GET / HTTP/1.1\r\nHost: b\r\n\r\n'), 'it speaks HTTP'],
    ['a gRPC client', text('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), 'it speaks HTTP/2'],
    ['a TLS client', new Uint8Array([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3]), 'it speaks TLS'],
    ['noise', new Uint8Array([0, 1, 2, 3]), 'it does not speak the protocol'],
    ['a node of another cluster', hello({ cluster: 'other' }), 'it is of cluster other'],
    ['a node that looks for another', hello({ to: 'c' }), 'it looks for node c, and this is b'],
    ['a node with the same id', hello({ from: 'b' }), 'it calls itself b'],
    ['a node of a later version', hello({ minVersion: 2, maxVersion: 3 }), 'versions 2 to 3'],
    [
      'a node with an unknown purpose',
      new Uint8Array([...MAGIC, ...framed(new Uint8Array([1, 1, 9]))]),
      'unknown purpose',
    ],
    [
      'a handshake cut short',
      new Uint8Array([...MAGIC, ...framed(new Uint8Array([1]))]),
      'bytes are wanted',
    ],
    [
      'an endless handshake',
      new Uint8Array([...MAGIC, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0]),
      'bytes, and',
    ],
  ])('%s', async (_who, bytes, why) => {
    const node = await startNode('b')
    const { socket, closed } = call(node.port)
    socket.write(bytes)
    await until(() => refusals(node).length > 0)
    expect(refusals(node)).toEqual([expect.stringContaining(why)])
    socket.end()
    socket.resume()
    await closed
    await stillServes(node)
  })

  test('a caller that says nothing', async () => {
    const node = await startNode('b', { handshakeTimeoutMs: 50 })
    await call(node.port).closed
    expect(refusals(node)).toEqual(['the handshake took too long'])
    await stillServes(node)
  })

  test('whoever speaks HTTP is handed over, unread, where that is wanted', async () => {
    const server = createHttpServer((request, response) => response.end(`you want ${request.url}`))
    onTestFinished(() => void server.close())
    const node = await startNode('b', { onHttp: (socket) => server.emit('connection', socket) })
    const answer = await fetch(`http://127.0.0.1:${node.port}/members`)
    expect(await answer.text()).toBe('you want /members')
    expect(refusals(node)).toEqual([])
    const { socket, closed } = call(node.port)
    socket.write(text('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'))
    await until(() => refusals(node).length > 0)
    expect(refusals(node)).toEqual([expect.stringContaining('it speaks HTTP/2')])
    socket.end()
    socket.resume()
    await closed
    await stillServes(node)
  })

  test('a caller that says nothing where HTTP is wanted, too', async () => {
    const node = await startNode('b', { handshakeTimeoutMs: 50, onHttp: () => {} })
    await call(node.port).closed
    expect(refusals(node)).toEqual(['the handshake took too long'])
    await stillServes(node)
  })

  test('one caller too many', async () => {
    const node = await startNode('b', { maxConnections: 1 })
    call(node.port)
    await call(node.port).closed
    expect(refusals(node)).toEqual([expect.stringContaining('1 connections are open')])
  })

  test('a refused node is told why', async () => {
    const a = await startNode('a')
    const b = await startNode('b')
    a.transport.setPeers([{ id: 'c', address: b.address }])
    await until(() => a.events.length > 0)
    expect(a.events).toEqual([
      {
        type: 'peer-unreachable',
        peer: 'c',
        address: b.address,
        why: 'refused: it looks for node c, and this is b',
      },
    ])
  })
})

describe('whoever answers must be the peer that was called', () => {
  test.each([
    ['another node', { id: 'c', cluster: 'test', version: 1 }, 'it is node c, not b'],
    ['another cluster', { id: 'b', cluster: 'other', version: 1 }, 'it is of cluster other'],
    ['another version', { id: 'b', cluster: 'test', version: 9 }, 'it speaks version 9'],
  ])('%s', async (_who, answer, why) => {
    const address = await serve((socket) => {
      socket.write(MAGIC)
      socket.write(encodeWelcome({ ...answer, refused: null }))
    })
    const a = await startNode('a')
    a.transport.setPeers([{ id: 'b', address }])
    await until(() => a.events.length > 0)
    expect(a.events[0]).toMatchObject({
      type: 'peer-unreachable',
      why: expect.stringContaining(why),
    })
  })

  test('an HTTP server', async () => {
    const address = await serve((socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'))
    const a = await startNode('a')
    a.transport.setPeers([{ id: 'b', address }])
    await until(() => a.events.length > 0)
    expect(a.events[0]).toMatchObject({ type: 'peer-unreachable', why: 'it is an HTTP server' })
  })

  test.each(['nonsense', 'http://b', 'https://127.0.0.1:1'])(
    '%s is no way to a peer',
    async (address) => {
      const a = await startNode('a')
      a.transport.setPeers([{ id: 'b', address }])
      await until(() => a.unreachable.length === 0 && a.events.length > 0)
      expect(a.events[0]).toMatchObject({ type: 'peer-unreachable', address })
    },
  )
})

describe('garbage', () => {
  const garbage = fc.array(fc.uint8Array({ maxLength: 400, size: 'max' }), {
    minLength: 1,
    maxLength: 5,
  })
  const samples = (count: number): Uint8Array[][] => fc.sample(garbage, count)

  test('from strangers never throws, and every connection is closed', async () => {
    const node = await startNode('b', { handshakeTimeoutMs: 200 })
    const callers = samples(150).map((pieces) => {
      const caller = call(node.port)
      for (const piece of pieces) caller.socket.write(piece)
      return caller.closed
    })
    await Promise.all(callers)
    expect(refusals(node)).toHaveLength(150)
    await stillServes(node)
  })

  test.each(['messages', 'snapshot'] as const)(
    'in frames after a good handshake for %s',
    async (purpose) => {
      const node = await startNode('b')
      const callers = samples(150).map((pieces, at) => {
        const caller = call(node.port)
        caller.socket.resume()
        caller.socket.write(hello({ from: `x${at}`, purpose }))
        // The last one is no message in any case.
        for (const piece of [...pieces, new Uint8Array([99])]) caller.socket.write(framed(piece))
        return caller.closed
      })
      await Promise.all(callers)
      await stillServes(node)
    },
  )

  test('instead of frames after a good handshake', async () => {
    const node = await startNode('b')
    const callers = samples(100).map((pieces, at) => {
      const caller = call(node.port)
      caller.socket.resume()
      caller.socket.write(hello({ from: `x${at}` }))
      for (const piece of pieces) caller.socket.write(piece)
      caller.socket.end(new Uint8Array(64).fill(0xff))
      return caller.closed
    })
    await Promise.all(callers)
    await stillServes(node)
  })

  test('that a peer sends is reported and ends its connection', async () => {
    const node = await startNode('b')
    const { socket, closed } = call(node.port)
    socket.resume()
    socket.write(hello())
    socket.write(framed(new Uint8Array([1, 200])))
    await closed
    expect(refusals(node)).toEqual(['a message has an unknown type'])
  })
})

describe('a connection', () => {
  test('that falls silent is given up by the caller', async () => {
    const address = await serve((socket) => {
      socket.resume()
      socket.write(MAGIC)
      socket.write(encodeWelcome({ id: 'b', cluster: 'test', version: 1, refused: null }))
    })
    const a = await startNode('a', { keepaliveMs: 20 })
    a.transport.setPeers([{ id: 'b', address }])
    await until(() => a.events.some(({ type }) => type === 'peer-unreachable'))
    expect(a.events.map(({ type }) => type)).toEqual(['peer-connected', 'peer-unreachable'])
    expect(a.events[1]).toMatchObject({ why: 'the other side fell silent' })
    await until(() => a.unreachable.includes('b'))
  })

  test('that falls silent is given up by the called', async () => {
    const node = await startNode('b', { keepaliveMs: 20 })
    const { socket, closed } = call(node.port)
    socket.resume()
    socket.write(hello())
    await closed
  })

  test('that has nothing to say stays open', async () => {
    const a = await startNode('a', { keepaliveMs: 10 })
    const b = await startNode('b', { keepaliveMs: 10 })
    a.transport.setPeers([{ id: 'b', address: b.address }])
    const { socket } = call(b.port)
    let beats = 0
    socket.on('data', () => (beats += 1))
    socket.write(hello())
    await until(() => beats > 3)
    expect(a.events.map(({ type }) => type)).toEqual(['peer-connected'])
  })

  test('takes the place of an older one of the same peer', async () => {
    const node = await startNode('b')
    const first = call(node.port)
    first.socket.resume()
    first.socket.write(hello())
    await new Promise((resolve) => first.socket.once('data', resolve))
    const second = call(node.port)
    second.socket.write(hello())
    await first.closed
    expect(refusals(node)).toEqual([])
  })
})

describe('the queue of a peer that does not read', () => {
  test('holds no more than maxQueuedBytes', async () => {
    const peer: { socket: Socket | null } = { socket: null }
    const address = await serve((socket) => {
      peer.socket = socket
      socket.write(MAGIC)
      socket.write(encodeWelcome({ id: 'b', cluster: 'test', version: 1, refused: null }))
    })
    const maxQueuedBytes = 4 << 20
    const a = await startNode('a', { maxQueuedBytes })
    a.transport.setPeers([{ id: 'b', address }])
    await until(() => a.events.some(({ type }) => type === 'peer-connected'))
    const commands = [new Uint8Array(256 << 10)]
    const before = process.memoryUsage().arrayBuffers
    // Turn after turn, so that the kernel takes what it will take.
    for (let turn = 0; turn < 100; turn++) {
      for (let id = 0; id < 10; id++)
        a.transport.send({ type: 'propose', from: 'a', to: 'b', term: 1, id, commands })
      await new Promise(setImmediate)
    }
    const grown = process.memoryUsage().arrayBuffers - before
    expect(a.unreachable).toContain('b')
    // 250 MiB were sent. Garbage that was not collected yet counts too, so the bound is generous.
    expect(grown).toBeLessThan(100 << 20)
    let arrived = 0
    peer.socket?.on('data', (chunk) => (arrived += chunk.length)).resume()
    let last = -1
    await until(() => {
      const still = arrived === last && arrived > maxQueuedBytes
      last = arrived
      return still
    })
    // What the kernel holds for both sides comes on top.
    expect(arrived).toBeLessThan(maxQueuedBytes + (32 << 20))
  })
})

/** A server that is no transport; answers with its address. */
async function serve(answer: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('data', () => {
      socket.pause()
      answer(socket)
    })
  })
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return `127.0.0.1:${address.port}`
}
