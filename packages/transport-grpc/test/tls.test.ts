import { status } from '@grpc/grpc-js'
import { describe, expect, test } from 'vitest'
import { certify } from './certificate.ts'
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
})
