/** Nodes that listen at several places, and peers that have several addresses. */
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkServerIdentity as defaultCheck, type PeerCertificate } from 'node:tls'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { GrpcEvent } from '../src/index.ts'
import { certify } from '@coracle/tooling-certificates'
import { beat, startNode, type TestNode, until, vacantAddress } from './nodes.ts'

const ANY_PORT = { host: '127.0.0.1', port: 0 }

async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'coracle-test-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return directory
}

async function heard(from: TestNode, to: TestNode): Promise<void> {
  const before = to.received.length
  await until(() => {
    beat(from.transport)
    return to.received.length > before
  })
}

function ofType(node: TestNode, type: GrpcEvent['type']): readonly GrpcEvent[] {
  return node.events.filter((event) => event.type === type)
}

describe('a peer with several addresses', () => {
  test('is reached at the next one where it is not at the first, and nothing is complained of', async () => {
    const from = await startNode('a')
    const to = await startNode('b')
    from.transport.setPeers([{ id: 'b', address: `${await vacantAddress()},http://${to.address}` }])
    await heard(from, to)
    expect(from.events).toEqual([
      { type: 'peer-connected', peer: 'b', address: `http://${to.address}` },
    ])
  })

  test('that is at none of them is told of once, with what is wrong at each', async () => {
    const [one, two] = [await vacantAddress(), 'nonsense']
    const from = await startNode('a', { minReconnectMs: 1, maxReconnectMs: 1 })
    from.transport.setPeers([{ id: 'b', address: `${one},${two}` }])
    await until(() => from.events.length > 0)
    const to = await startNode('c')
    from.transport.setPeers([
      { id: 'b', address: `${one},${two}` },
      { id: 'c', address: to.address },
    ])
    // More rounds pass while the other one is called.
    await until(() => ofType(from, 'peer-connected').length > 0)
    expect(ofType(from, 'peer-unreachable')).toEqual([
      {
        type: 'peer-unreachable',
        peer: 'b',
        address: `${one},${two}`,
        why: expect.stringMatching(
          new RegExp(`^${one}: .*ECONNREFUSED.*; nonsense: nonsense is not an address`),
        ),
      },
    ])
  })
})

describe('a node that listens at several places', () => {
  test('is reached at a socket in the file system, which is gone when the node is', async () => {
    const path = join(await temporaryDirectory(), 'peer.sock')
    const to = await startNode('b', { listen: [ANY_PORT, { path }] })
    const [, address = ''] = to.address.split(',')
    expect(address).toBe(`unix://${path}`)
    const from = await startNode('a')
    from.transport.setPeers([{ id: 'b', address }])
    await heard(from, to)
    await to.transport[Symbol.asyncDispose]()
    expect(existsSync(path)).toBe(false)
  })

  test('listens nowhere if it cannot at one of them, and says at which', async () => {
    const taken = await startNode('b')
    const path = join(await temporaryDirectory(), 'peer.sock')
    const listen = [{ path }, { host: '127.0.0.1', port: taken.port }]
    await expect(startNode('c', { listen })).rejects.toThrow(
      `cannot listen on 127.0.0.1:${taken.port}: `,
    )
    expect(existsSync(path)).toBe(false)
  })

  test('speaks TLS where it is told to, also at a socket', async () => {
    const [a, b] = [certify('a', '127.0.0.1'), certify('b', '127.0.0.1')]
    const ca = a.cert + b.cert
    const mixed = { listen: 'plain' } as const
    // There is no host in the path of a socket: its certificate has to be for localhost.
    const checkServerIdentity = (host: string, certificate: PeerCertificate): Error | undefined =>
      host === 'localhost' ? undefined : defaultCheck(host, certificate)
    const path = join(await temporaryDirectory(), 'peer.sock')
    const to = await startNode('b', {
      tls: { ...b, ca },
      mixed,
      listen: [ANY_PORT, { ...ANY_PORT, secure: true }, { path, secure: true }],
    })
    const [plain, secure] = to.address.split(',')
    for (const address of [`http://${plain}`, `https://${secure}`, `unixs://${path}`]) {
      const from = await startNode('a', { tls: { ...a, ca, checkServerIdentity }, mixed })
      from.transport.setPeers([{ id: 'b', address }])
      await heard(from, to)
      await from.transport[Symbol.asyncDispose]()
    }
  })
})
