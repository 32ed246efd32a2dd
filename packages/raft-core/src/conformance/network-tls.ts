/** What a transport over a network promises of TLS. */
import { check, checkEqual, joined, seededBytes } from './check.ts'
import {
  ANY_PORT,
  type Certified,
  type Networked,
  type NetworkTransportConformance,
  type SuiteTls,
} from './network-nodes.ts'
import { eventually, settled } from './transport-cluster.ts'
import { collect, each, forever, opening } from './transport-streams.ts'

type Suite = Pick<NetworkTransportConformance, 'certify' | 'vacantPath'>

/** Who is trusted by all is what `ca` holds. */
interface Identities {
  readonly a: SuiteTls
  readonly b: SuiteTls
  /** Trusted, but vouched for at another place than where it is. */
  readonly elsewhere: SuiteTls
  /** Vouched for by nobody. */
  readonly stranger: SuiteTls
}

export function tlsTests(promise: Networked, suite: Suite): void {
  const identities = identify(suite)
  trustTests(promise, identities)
  callerTests(promise, identities)
  renewalTests(promise, identities, suite)
  mixedTests(promise, identities, suite)
}

function identify({ certify }: Suite): Identities {
  const a = certify('a', '127.0.0.1')
  const b = certify('b', '127.0.0.1')
  const elsewhere = certify('b elsewhere', '10.9.8.7')
  const ca = trusting(a, b, elsewhere)
  const stranger = certify('stranger', '127.0.0.1')
  return {
    a: { ...a, ca },
    b: { ...b, ca },
    elsewhere: { ...elsewhere, ca },
    stranger: { ...stranger, ca },
  }
}

function trusting(...certified: readonly Certified[]): string {
  return certified.map(({ cert }) => cert).join('')
}

function trustTests(promise: Networked, { a: tlsOfA, b: tlsOfB, ...others }: Identities): void {
  promise(
    'TLS carries messages and snapshots between nodes that trust each other',
    async (nodes) => {
      const a = await nodes.start('a', { tls: tlsOfA })
      const b = await nodes.start('b', { tls: tlsOfB })
      a.meet({ id: 'b', address: `https://${b.address}` })
      await a.reaches(b)
      const received = collect(b)
      const snapshot = Array.from({ length: 30 }, (_, seed) => seededBytes(100_000, seed))
      const open = async () => ({ offset: 0, chunks: each(snapshot) })
      await settled('sending', a.transport.sendSnapshot(opening(), open, forever()))
      checkEqual(joined(received.chunks), joined(snapshot), 'the snapshot')
    },
  )

  promise('a caller whose certificate nobody vouches for is refused', async (nodes) => {
    const a = await nodes.start('a', { tls: others.stranger })
    const b = await nodes.start('b', { tls: tlsOfB })
    await a.whyUnreachable(b)
    a.greet('b')
    check(!a.has('peer-connected'), 'it is connected')
    check(!b.greeted.has('a'), 'it was heard')
  })

  promise('a peer whose certificate nobody vouches for is not talked to', async (nodes) => {
    const a = await nodes.start('a', { tls: tlsOfA })
    const b = await nodes.start('b', { tls: others.stranger })
    const why = await a.whyUnreachable(b)
    check(why.includes('self-signed certificate'), `it is not said why: ${why}`)
    check(!a.has('peer-connected'), 'it is connected')
  })

  promise('a peer whose certificate is for another place is not talked to', async (nodes) => {
    const a = await nodes.start('a', { tls: tlsOfA })
    const b = await nodes.start('b', { tls: others.elsewhere })
    const why = await a.whyUnreachable(b)
    check(why.includes('127.0.0.1'), `it is not said where: ${why}`)
  })

  promise('TLS is not given up for a peer whose address says http', async (nodes) => {
    const a = await nodes.start('a', { tls: tlsOfA })
    const b = await nodes.start('b', { tls: tlsOfB })
    const why = await a.whyUnreachable({ id: 'b', address: `http://${b.address}` })
    check(why.includes('speaks TLS'), `it is not said why: ${why}`)
  })
}

function callerTests(promise: Networked, { a: tlsOfA, b: tlsOfB, elsewhere }: Identities): void {
  promise('checkCaller looks at who calls, and why it refuses is told', async (nodes) => {
    const checkCaller: SuiteTls['checkCaller'] = async (caller) => {
      throw new Error(`${caller.getPeerX509Certificate()?.subject} may not come in`)
    }
    const b = await nodes.start('b', { tls: { ...tlsOfB, checkCaller } })
    const a = await nodes.start('a', { tls: tlsOfA })
    await a.whyUnreachable(b)
    await eventually('b tells of it', () =>
      b.events.some((event) => 'why' in event && event.why.includes('CN=a may not come in')),
    )
    check(!b.greeted.has('a'), 'it was heard')
  })

  promise('whenCalling is shown where this node calls', async (nodes) => {
    const seen = new Set<string | undefined>()
    const checkCaller: SuiteTls['checkCaller'] = async (caller) => {
      seen.add(caller.getPeerX509Certificate()?.subject)
    }
    const b = await nodes.start('b', { tls: { ...tlsOfB, checkCaller } })
    const a = await nodes.start('a', { tls: { ...tlsOfA, whenCalling: elsewhere } })
    a.meet(b)
    await a.reaches(b)
    checkEqual([...seen], ['CN=b elsewhere'], 'who called')
  })
}

function renewalTests(
  promise: Networked,
  { a: tlsOfA, b: tlsOfB }: Identities,
  { certify }: Suite,
): void {
  promise(
    'renewed on both sides: who trusts the new certificates is heard, who does not is not',
    async (nodes) => {
      const [newA, newB] = [certify('new a', '127.0.0.1'), certify('new b', '127.0.0.1')]
      const ca = trusting(newA, newB)
      const a = await nodes.start('a', { tls: tlsOfA })
      const b = await nodes.start('b', { tls: tlsOfB })
      b.transport.renewTls({ ...newB, ca })
      const why = await a.whyUnreachable(b)
      check(why.includes('self-signed certificate'), `it is not said why: ${why}`)
      a.transport.renewTls({ ...newA, ca })
      await a.reaches(b)
    },
  )

  promise('renewTls throws for what makes no sense, and keeps what it has', async (nodes) => {
    const a = await nodes.start('a', { tls: tlsOfA })
    const b = await nodes.start('b', { tls: tlsOfB })
    const reason = thrownBy(() => b.transport.renewTls({ ...tlsOfA, key: tlsOfB.key }))
    check(reason instanceof Error, 'a key of another certificate was taken')
    a.meet(b)
    await a.reaches(b)
  })

  promise('renewTls throws a TypeError where no TLS is spoken', async (nodes) => {
    const a = await nodes.start('a')
    const reason = thrownBy(() => a.transport.renewTls(tlsOfA))
    check(reason instanceof TypeError, `${String(reason)} is no TypeError`)
  })
}

function thrownBy(call: () => void): unknown {
  try {
    call()
    return null
  } catch (error) {
    return error
  }
}

function mixedTests(
  promise: Networked,
  { a: tlsOfA, b: tlsOfB }: Identities,
  { vacantPath }: Suite,
): void {
  promise(
    'a mixed cluster speaks TLS where addresses say so, and is called as it likes',
    async (nodes) => {
      const a = await nodes.start('a', { tls: tlsOfA, mixed: { listen: 'plain' } })
      const b = await nodes.start('b', { tls: tlsOfB, mixed: { listen: 'tls' } })
      a.transport.renewTls(tlsOfA)
      a.meet({ id: 'b', address: `https://${b.address}` })
      b.meet({ id: 'a', address: `http://${a.address}` })
      await a.reaches(b)
      await b.reaches(a)
    },
  )

  promise(
    'a mixed cluster speaks TLS at the places that say so, also at a socket',
    async (nodes) => {
      const mixed = { listen: 'plain' } as const
      const hosts = new Set<string>()
      const checkServerIdentity = (host: string): undefined => {
        hosts.add(host)
      }
      const path = await vacantPath()
      const secure = true
      const listen = [ANY_PORT, { ...ANY_PORT, secure }, { path, secure }]
      const b = await nodes.start('b', { tls: tlsOfB, mixed, listen })
      const [plain, encrypted] = b.address.split(',')
      for (const address of [`http://${plain}`, `https://${encrypted}`, `unixs://${path}`]) {
        const a = await nodes.start('a', { tls: { ...tlsOfA, checkServerIdentity }, mixed })
        a.meet({ id: 'b', address })
        await a.reaches(b)
        await a.transport[Symbol.asyncDispose]()
      }
      // There is no host in the path of a socket: its certificate has to be for localhost.
      checkEqual([...hosts], ['127.0.0.1', 'localhost'], 'whom the certificate has to be for')
    },
  )
}
