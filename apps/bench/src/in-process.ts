import {
  bootstrapMembership,
  type RaftNode,
  type StateMachine,
  startNode,
} from '@coracle/raft-core'
import { memoryStorage } from '@coracle/storage-memory'
import { memoryNetwork } from '@coracle/transport-memory'
import type { Row } from './report.ts'

const COMMAND = new Uint8Array(256)
const SECONDS = 3

/** Three nodes in one process, on memory: what consensus itself costs, without disks and sockets. */
export async function benchInProcess(progress: (what: string) => void): Promise<readonly Row[]> {
  const nodes = await startNodes()
  try {
    await (nodes[0] as RaftNode).propose(COMMAND)
    const leader = nodes.find((node) => node.status().role === 'leader') as RaftNode
    const rows: Row[] = []
    for (const inFlight of [1, 64, 1_000]) {
      progress(`proposals, ${inFlight} in flight`)
      rows.push({
        what: `proposals of 256 bytes, ${inFlight} in flight`,
        perSecond: await rate(leader, inFlight),
      })
    }
    return rows
  } finally {
    for (const node of nodes) await node[Symbol.asyncDispose]()
  }
}

async function startNodes(): Promise<readonly RaftNode[]> {
  const network = memoryNetwork()
  const membership = bootstrapMembership(['a', 'b', 'c'].map((id) => ({ id, address: '' })))
  return Promise.all(
    membership.voters.map((id) =>
      startNode({
        id,
        membership,
        storage: memoryStorage(),
        transport: network.transport(id),
        stateMachine: tally(),
        tickMs: 50,
      }),
    ),
  )
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
