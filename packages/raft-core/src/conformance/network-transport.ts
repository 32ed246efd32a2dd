/** What every transport over a network promises: the contract, and what it has beside the contract. */
import type { Transport } from '../contracts/transport.ts'
import { parseAddress } from '../transport/address.ts'
import type { NetworkTransport } from '../transport/network-transport.ts'
import type { Listening } from '../transport/places.ts'
import { check, checkEqual } from './check.ts'
import {
  ANY_PORT,
  type Networked,
  networked,
  type NetworkTransportConformance,
  type OpenNetworkTransport,
  type SuiteOptions,
  type SuiteTls,
} from './network-nodes.ts'
import { tlsTests } from './network-tls.ts'
import { eventually, heartbeat, rejection, type TransportNetwork } from './transport-cluster.ts'
import { transportConformance } from './transport.ts'

export type { NetworkTransportConformance } from './network-nodes.ts'

/** Registers the tests of the contract, and those of options, addresses, places, and TLS. */
export function networkTransportConformance(conformance: NetworkTransportConformance): void {
  const { test, open, vacantAddress } = conformance
  transportConformance({
    test,
    open: async () => networkOf(open),
    vacantAddress,
    floodMessages: FLOOD_MESSAGES,
  })
  const promise = networked(test, open)
  optionTests(promise)
  messageTests(promise)
  traceTests(promise, vacantAddress)
  placeTests(promise, conformance)
  tlsTests(promise, conformance)
}

const MOST_QUEUED_BYTES = 32 << 20
/** At 64 KiB each they are 37.5 MiB: more than the queue, and what kernels hold comes on top. */
const FLOOD_MESSAGES = 600

function networkOf(open: OpenNetworkTransport): TransportNetwork {
  const transports = new Map<Transport, NetworkTransport<SuiteTls>>()
  return {
    transport(id, address) {
      const listen = address?.split(',').map(placeAt) ?? ANY_PORT
      const transport = open({ id, cluster: 'test', listen, maxQueuedBytes: MOST_QUEUED_BYTES })
      transports.set(transport, transport)
      return transport
    },
    address: (transport) => transports.get(transport)?.address() ?? '',
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

function placeAt(address: string): Listening {
  const place = parseAddress(address)
  if (place === null) throw new TypeError(`${address} is no place to listen at`)
  const { secure: _, ...rest } = place
  return rest
}

function optionTests(promise: Networked): void {
  const outOfRange: readonly Partial<SuiteOptions>[] = [
    { id: '' },
    { cluster: 'x'.repeat(256) },
    { maxQueuedBytes: 0 },
    { keepaliveMs: NaN },
    { minReconnectMs: 100, maxReconnectMs: 99 },
    { listen: [] },
    { listen: { ...ANY_PORT, secure: true } },
  ]
  for (const options of outOfRange)
    promise(`options out of range are refused: ${JSON.stringify(options)}`, async (nodes) => {
      const reason = await rejection('starting it', nodes.start('a', options))
      check(reason instanceof RangeError, `${String(reason)} is no RangeError`)
    })
}

function messageTests(promise: Networked): void {
  promise('a message that is too large is dropped, and told of once', async (nodes) => {
    const a = await nodes.start('a', { maxMessageBytes: 1_000 })
    const b = await nodes.start('b')
    a.meet(b)
    await a.reaches(b)
    const commands = [new Uint8Array(990)]
    for (let id = 0; id < 3; id++)
      a.transport.send({ type: 'propose', from: 'a', to: 'b', term: 1, id, commands })
    a.count('b', 1, 1)
    await eventually('the next message is there', () => b.received.length > 0)
    checkEqual(b.received, [heartbeat('a', 'b', 1)], 'what b got')
    const refused = a.events.filter(({ type }) => type === 'message-refused')
    checkEqual(refused.length, 1, 'how often it is told')
  })

  promise('a message that breaks the rules of its type is dropped, too', async (nodes) => {
    const a = await nodes.start('a')
    const b = await nodes.start('b')
    a.meet(b)
    await a.reaches(b)
    a.count('b', -1, -1)
    a.count('b', 2, 2)
    await eventually('the next message is there', () => b.received.length > 0)
    checkEqual(b.received, [heartbeat('a', 'b', 2)], 'what b got')
    check(a.has('message-refused'), 'nobody is told')
  })
}

function traceTests(promise: Networked, vacantAddress: () => Promise<string>): void {
  promise('where the next address works, nothing is complained of', async (nodes) => {
    const a = await nodes.start('a')
    const b = await nodes.start('b')
    const address = `http://${b.address}`
    a.meet({ id: 'b', address: `${await vacantAddress()},${address}` })
    await a.reaches(b)
    checkEqual(a.events, [{ type: 'peer-connected', peer: 'b', address }], 'what is told')
  })

  promise('a peer that is nowhere is told of once, with what is wrong where', async (nodes) => {
    const vacant = await vacantAddress()
    const nowhere = { id: 'b', address: `${vacant},nonsense` }
    const a = await nodes.start('a', { minReconnectMs: 1, maxReconnectMs: 1 })
    const why = await a.whyUnreachable(nowhere)
    const [there = '', ...elsewhere] = why.split('; ')
    check(there.startsWith(`${vacant}: `), `it says nothing of ${vacant}: ${why}`)
    check(there.includes('ECONNREFUSED'), `it is not said why: ${why}`)
    check(
      elsewhere.join('; ').startsWith('nonsense: nonsense is not an address'),
      `it says nothing of nonsense: ${why}`,
    )
    const c = await nodes.start('c')
    a.meet(nowhere, c)
    // More rounds pass while the other one is called.
    await a.reaches(c)
    const told = a.events.filter(({ type }) => type === 'peer-unreachable')
    checkEqual(told, [{ type: 'peer-unreachable', peer: 'b', address: nowhere.address, why }], 'it')
  })
}

function placeTests(
  promise: Networked,
  { vacantPath, isThere }: Pick<NetworkTransportConformance, 'vacantPath' | 'isThere'>,
): void {
  promise('a port that is taken is named by the error', async (nodes) => {
    const { address } = await nodes.start('a')
    const second = nodes.start('b', { listen: placeAt(address) })
    checkWords(await rejection('starting there', second), `cannot listen on ${address}`)
  })

  promise('a node listens at a socket, which is gone when the node is', async (nodes) => {
    const path = await vacantPath()
    const a = await nodes.start('a')
    const b = await nodes.start('b', { listen: [ANY_PORT, { path }] })
    const [, address = ''] = b.address.split(',')
    checkEqual(address, `unix://${path}`, 'its second address')
    a.meet({ id: 'b', address })
    await a.reaches(b)
    await b.transport[Symbol.asyncDispose]()
    check(!isThere(path), 'the socket is still there')
  })

  promise('a node listens nowhere if it cannot at one place, and says which', async (nodes) => {
    const path = await vacantPath()
    const { address } = await nodes.start('a')
    const second = nodes.start('b', { listen: [{ path }, placeAt(address)] })
    checkWords(await rejection('starting there', second), `cannot listen on ${address}: `)
    check(!isThere(path), 'the socket is still there')
  })
}

function checkWords(reason: unknown, words: string): void {
  check(reason instanceof Error && reason.message.includes(words), `it says ${String(reason)}`)
}
