import { createServer } from 'node:http'
import { get } from 'node:https'
import { status } from '@grpc/grpc-js'
import { describe, expect, test } from 'vitest'
import { certify } from '@coracle/tooling-certificates'
import { beat, call, hello, startNode, type TestNode, until } from './nodes.ts'

const a = certify('a', '127.0.0.1')
const b = certify('b', '127.0.0.1')
const stranger = certify('stranger', '127.0.0.1')
const elsewhere = certify('b elsewhere', '10.9.8.7')
const trusted = [a.cert, b.cert, elsewhere.cert].join('')

function startSecure(id: string, identity: typeof a, ca: string = trusted): Promise<TestNode> {
  return startNode(id, { tls: { ...identity, ca } })
}

async function whyUnreachable(from: TestNode, address: string): Promise<string> {
  from.transport.setPeers([{ id: 'b', address }])
  await until(() => from.events.some(({ type }) => type === 'peer-unreachable'))
  const event = from.events.find((each) => each.type === 'peer-unreachable')
  return event?.type === 'peer-unreachable' ? event.why : ''
}

describe('TLS', () => {
  test('carries messages and snapshots between nodes that trust each other', async () => {
    const from = await startSecure('a', a)
    const to = await startSecure('b', b)
    from.transport.setPeers([{ id: 'b', address: `https://${to.address}` }])
    await until(() => {
      beat(from.transport)
      return to.received.length > 0
    })
    const meta = {
      position: { term: 1, index: 1 },
      membership: { voters: [], outgoing: [], learners: [], peers: [], removed: [] },
      membershipIndex: 1,
    }
    const message = { type: 'install-snapshot', from: 'a', to: 'b', term: 1, meta } as const
    async function* chunks(): AsyncGenerator<Uint8Array> {
      for (let left = 30; left > 0; left--) yield new Uint8Array(100_000)
    }
    const open = async () => ({ offset: 0, chunks: chunks() })
    await from.transport.sendSnapshot(message, open, { signal: AbortSignal.timeout(10_000) })
  })

  test('refuses a caller whose certificate nobody vouches for', async () => {
    const from = await startSecure('a', stranger)
    const to = await startSecure('b', b)
    await whyUnreachable(from, to.address)
    beat(from.transport)
    expect(to.received).toEqual([])
  })

  test('refuses to talk to a peer whose certificate nobody vouches for', async () => {
    const from = await startSecure('a', a)
    const to = await startSecure('b', stranger)
    expect(await whyUnreachable(from, to.address)).toContain('self-signed certificate')
    expect(from.events.some(({ type }) => type === 'peer-connected')).toBe(false)
  })

  test('refuses a peer whose certificate is for another place', async () => {
    const from = await startSecure('a', a)
    const to = await startSecure('b', elsewhere)
    expect(await whyUnreachable(from, to.address)).toContain('127.0.0.1')
  })

  test('is not given up for a peer whose address says http', async () => {
    const from = await startSecure('a', a)
    const to = await startSecure('b', b)
    expect(await whyUnreachable(from, `http://${to.address}`)).toContain('speaks TLS')
  })

  test('turns away a caller that speaks plainly', async () => {
    const to = await startSecure('b', b)
    const { code } = await call(to, 'messages', hello())
    expect(code).toBe(status.UNAVAILABLE)
  })

  test('looks at whoever calls, and says why it refuses', async () => {
    const to = await startNode('b', {
      tls: {
        ...b,
        ca: trusted,
        async checkCaller(socket) {
          throw new Error(`${socket.getPeerX509Certificate()?.subject} may not come in`)
        },
      },
    })
    const from = await startSecure('a', a)
    await whyUnreachable(from, to.address)
    await until(() =>
      to.events.some((each) => 'why' in each && each.why.includes('CN=a may not come in')),
    )
    expect(to.received).toEqual([])
  })

  test('shows another certificate where it calls, if it has one', async () => {
    const seen: string[] = []
    const to = await startNode('b', {
      tls: {
        ...b,
        ca: trusted,
        async checkCaller(socket) {
          seen.push(String(socket.getPeerX509Certificate()?.subject))
        },
      },
    })
    const from = await startNode('a', { tls: { ...a, ca: trusted, whenCalling: elsewhere } })
    from.transport.setPeers([{ id: 'b', address: to.address }])
    await until(() => {
      beat(from.transport)
      return to.received.length > 0
    })
    expect(new Set(seen)).toEqual(new Set(['CN=b elsewhere']))
  })

  test('is renewed on both sides: who trusts the new certificates is heard, who does not is not', async () => {
    const [newA, newB] = [certify('new a', '127.0.0.1'), certify('new b', '127.0.0.1')]
    const renewed = newA.cert + newB.cert
    const from = await startSecure('a', a)
    const to = await startSecure('b', b)
    to.transport.renewTls({ ...newB, ca: renewed })
    expect(await whyUnreachable(from, to.address)).toContain('self-signed certificate')
    from.transport.renewTls({ ...newA, ca: renewed })
    await until(() => {
      beat(from.transport)
      return to.received.length > 0
    })
  })

  test('keeps what it has if the new material makes no sense, and is not begun by renewal', async () => {
    const from = await startSecure('a', a)
    const to = await startSecure('b', b)
    expect(() => to.transport.renewTls({ ...a, key: b.key, ca: trusted })).toThrow()
    from.transport.setPeers([{ id: 'b', address: to.address }])
    await until(() => {
      beat(from.transport)
      return to.received.length > 0
    })
    const plain = await startNode('c')
    expect(() => plain.transport.renewTls({ ...a, ca: trusted })).toThrow(TypeError)
  })

  test('carries HTTP, too, on the same port', async () => {
    const server = createServer((_request, response) => response.end('hello'))
    const to = await startNode('b', {
      tls: { ...b, ca: trusted },
      onHttp: (socket) => server.emit('connection', socket),
    })
    const [host = '', port = ''] = to.address.split(':')
    const answer = await new Promise<string>((resolve, reject) => {
      get({ host, port, ...a, ca: trusted, agent: false }, (response) => {
        response.on('data', (chunk: Uint8Array) => resolve(new TextDecoder().decode(chunk)))
      }).on('error', reject)
    })
    expect(answer).toBe('hello')
    server.closeAllConnections()
  })

  test('in a cluster that changes over is spoken where addresses say so, and listened to at will', async () => {
    const plain = await startNode('a', { tls: { ...a, ca: trusted }, mixed: { listen: 'plain' } })
    const secure = await startNode('b', { tls: { ...b, ca: trusted }, mixed: { listen: 'tls' } })
    plain.transport.renewTls({ ...a, ca: trusted })
    plain.transport.setPeers([{ id: 'b', address: `https://${secure.address}` }])
    secure.transport.setPeers([{ id: 'a', address: `http://${plain.address}` }])
    await until(() =>
      [plain, secure].every(({ events }) => events.some(({ type }) => type === 'peer-connected')),
    )
  })
})
