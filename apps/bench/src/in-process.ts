import {
  bootstrapMembership,
  type NodeId,
  type RaftNode,
  startNode,
  type StateMachine,
  type Storage,
} from '@coracle/raft-core'
import { memoryStorage } from '@coracle/storage-memory'
import { memoryNetwork } from '@coracle/transport-memory'
import type { Row } from './report.ts'

const COMMAND = new Uint8Array(256)
const SECONDS = 3

/** What goes on beside the three voters that the clients' proposals need. */
interface Situation {
  readonly what: string
  readonly learners: readonly NodeId[]
  /** This voter's disk takes so long for every write. */
  readonly slow: { readonly id: NodeId; readonly writeMs: number } | null
}

const SITUATIONS: readonly Situation[] = [
  { what: 'three nodes', learners: [], slow: null },
  { what: 'and two learners', learners: ['d', 'e'], slow: null },
  { what: 'one of them with a disk of 20 ms', learners: [], slow: { id: 'c', writeMs: 20 } },
]

/** Nodes in one process, on memory: what consensus itself costs, without disks and sockets. */
export async function benchInProcess(progress: (what: string) => void): Promise<readonly Row[]> {
  const rows: Row[] = []
  for (const situation of SITUATIONS) rows.push(...(await measure(situation, progress)))
  return rows
}

async function measure(
  situation: Situation,
  progress: (what: string) => void,
): Promise<readonly Row[]> {
  const nodes = await startNodes(situation)
  try {
    const leader = await leaderOf(nodes)
    const rows: Row[] = []
    for (const inFlight of situation.what === 'three nodes' ? [1, 64, 1_000] : [64]) {
      const what = `proposals of 256 bytes, ${inFlight} in flight, ${situation.what}`
      progress(what)
      rows.push({ what, value: await rate(leader, inFlight), unit: '/s' })
    }
    return rows
  } finally {
    for (const node of nodes) await node[Symbol.asyncDispose]()
  }
}

async function startNodes({ learners, slow }: Situation): Promise<readonly RaftNode[]> {
  const network = memoryNetwork()
  const ids = ['a', 'b', 'c', ...learners]
  const peers = ids.map((id) => ({ id, address: '' }))
  const membership = { ...bootstrapMembership(peers), voters: ['a', 'b', 'c'], learners }
  return Promise.all(
    ids.map((id) => {
      const storage = memoryStorage()
      return startNode({
        id,
        membership,
        storage: id === slow?.id ? slowed(storage, slow.writeMs) : storage,
        transport: network.transport(id),
        stateMachine: tally(),
        tickMs: 50,
      })
    }),
  )
}

/** The leader, which is none of the slow: it is what clients ask that is measured. */
async function leaderOf(nodes: readonly RaftNode[]): Promise<RaftNode> {
  await (nodes[0] as RaftNode).propose(COMMAND)
  const leader = nodes.find((node) => node.status().role === 'leader')
  if (leader === undefined) throw new Error('the leader was lost at once')
  if (leader !== nodes[2]) return leader
  await leader.transferLeadership('a')
  await (nodes[0] as RaftNode).propose(COMMAND)
  return nodes[0] as RaftNode
}

function slowed(storage: Storage, writeMs: number): Storage {
  return {
    load: () => storage.load(),
    async append(batch) {
      await new Promise((resolve) => setTimeout(resolve, writeMs))
      await storage.append(batch)
    },
    entries: (from, to, options) => storage.entries(from, to, options),
    compact: (position) => storage.compact(position),
    writeSnapshot: (meta, chunks, options) => storage.writeSnapshot(meta, chunks, options),
    dropUnfinished: () => storage.dropUnfinished(),
    readSnapshot: () => storage.readSnapshot(),
    [Symbol.asyncDispose]: () => storage[Symbol.asyncDispose](),
  }
}

/** Counts commands: next to nothing, so that it is the rest that is measured. */
function tally(): StateMachine<number> {
  let count = 0
  return {
    durableIndex: 0,
    apply: (commands) => commands.map(() => (count += 1)),
    async *snapshot() {
      yield new TextEncoder().encode(String(count))
    },
    async restore() {
      throw new Error('no node of this benchmark is ever behind')
    },
  }
}

/** Proposals answered per second, with this many waiting at any time. The first second warms up. */
async function rate(leader: RaftNode, inFlight: number): Promise<number> {
  let answered = 0
  const over = new AbortController()
  const client = async (): Promise<void> => {
    while (!over.signal.aborted) {
      await leader.propose(COMMAND)
      answered += 1
    }
  }
  const clients = Array.from({ length: inFlight }, client)
  await seconds(1)
  const before = answered
  const start = performance.now()
  await seconds(SECONDS)
  const perSecond = ((answered - before) * 1_000) / (performance.now() - start)
  over.abort()
  await Promise.all(clients)
  return perSecond
}

function seconds(count: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, count * 1_000))
}
