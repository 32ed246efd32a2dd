/** What a transport promises whose addresses may be several: one more part of its conformance suite. */
import { check, checkEqual, joined, seededBytes } from './check.ts'
import {
  eventually,
  rejection,
  settled,
  type Cluster,
  type Member,
  type Promised,
} from './transport-cluster.ts'
import { collect, each, forever, opening } from './transport-streams.ts'

export function addressTests(promise: Promised, vacantAddress: () => Promise<string>): void {
  promise('a peer is reached at the next address where it is not at the first', async (cluster) => {
    await callerOf(cluster, 'b', [await vacantAddress(), cluster.address('b')])
    await cluster.reached('d', 'b')
  })

  promise('a snapshot gets there as well, and is opened once', async (cluster) => {
    const d = await callerOf(cluster, 'b', [await vacantAddress(), cluster.address('b')])
    const received = collect(cluster.b)
    checkEqual(await sendSnapshot(d), 1, 'how often it was opened')
    checkEqual(joined(received.chunks), SNAPSHOT, 'the snapshot')
  })

  promise('what is no address is passed over like one at which nobody is', async (cluster) => {
    const addresses = [await vacantAddress(), 'no address', cluster.address('b')]
    const d = await callerOf(cluster, 'b', addresses)
    const received = collect(cluster.b)
    await sendSnapshot(d)
    checkEqual(joined(received.chunks), SNAPSHOT, 'the snapshot')
    await cluster.reached('d', 'b')
  })

  promise('another node at one of the addresses is not taken for the peer', async (cluster) => {
    const { b, c } = cluster
    const d = await callerOf(cluster, 'b', [cluster.address('c'), cluster.address('b')])
    await cluster.reached('d', 'b')
    d.count('b', 1, 10)
    await eventually('b heard all of it', () => b.rounds('d').length === 10)
    const received = collect(b)
    const strayed = collect(c)
    await sendSnapshot(d)
    checkEqual(joined(received.chunks), SNAPSHOT, 'the snapshot')
    check(strayed.message === null, 'the snapshot was offered to c')
    check(c.received.length === 0 && !c.greeted.has('d'), 'c got what was for b')
  })

  promise('a snapshot for a peer that is at none of its addresses fails', async (cluster) => {
    const d = await callerOf(cluster, 'b', [await vacantAddress(), cluster.address('c')])
    await rejection('sending to nobody', sendSnapshot(d))
  })

  promise('a peer gone from one address is looked for at all of them', async (cluster) => {
    const vacant = await vacantAddress()
    await callerOf(cluster, 'b', [vacant, cluster.address('b')])
    await cluster.reached('d', 'b')
    await cluster.b.transport[Symbol.asyncDispose]()
    await cluster.start('b', vacant)
    await cluster.reached('d', 'b')
  })

  promise('a node is reached at each of its addresses', async (cluster) => {
    const first = await vacantAddress()
    await cluster.c.transport[Symbol.asyncDispose]()
    const second = cluster.address('c')
    await cluster.start('d', join([first, second]))
    checkEqual(cluster.address('d'), join([first, second]), 'where peers find it')
    cluster.a.transport.setPeers([{ id: 'd', address: first }])
    cluster.b.transport.setPeers([{ id: 'd', address: second }])
    await cluster.reached('a', 'd')
    await cluster.reached('b', 'd')
  })

  promise('start rejects if one address is taken, and leaves the others free', async (cluster) => {
    const vacant = await vacantAddress()
    const half = cluster.network.transport('d', join([vacant, cluster.address('c')]))
    await rejection('starting where one place is taken', half.start(SILENT))
    await cluster.start('d', vacant)
    await half[Symbol.asyncDispose]()
    cluster.a.transport.setPeers(cluster.peers())
    await cluster.reached('a', 'd')
  })
}

const SNAPSHOT = seededBytes(1_000, 1)

const SILENT = {
  onMessage: (): void => {},
  onSnapshot: (): Promise<void> => Promise.resolve(),
  onUnreachable: (): void => {},
}

function join(addresses: readonly string[]): string {
  return addresses.join(',')
}

/** A node d that never met the peer before, and knows it by these addresses only. */
async function callerOf(
  cluster: Cluster,
  peer: string,
  addresses: readonly string[],
): Promise<Member> {
  const caller = await cluster.start('d')
  caller.transport.setPeers([{ id: peer, address: join(addresses) }])
  return caller
}

/** Sends a snapshot to b, and answers how often it was opened. */
async function sendSnapshot({ id, transport }: Member): Promise<number> {
  let opened = 0
  const open = async () => {
    opened += 1
    return { offset: 0, chunks: each([SNAPSHOT]) }
  }
  await settled('sending', transport.sendSnapshot({ ...opening(), from: id }, open, forever()))
  return opened
}
