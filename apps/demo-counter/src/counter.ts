import {
  bootstrapMembership,
  type RaftNode,
  type StateMachine,
  startNode,
} from '@coracle/raft-core'
import { memoryStorage } from '@coracle/storage-memory'
import { memoryNetwork } from '@coracle/transport-memory'

/** A counter: each command adds a byte to it, and every node ends up with the same sum. */
export function counter(): StateMachine<number> & { readonly value: number } {
  let value = 0
  return {
    get value() {
      return value
    },
    durableIndex: 0,
    apply: (commands) => commands.map(({ data }) => (value += data[0] ?? 0)),
    async *snapshot() {
      yield new TextEncoder().encode(String(value))
    },
    async restore(chunks) {
      const decoder = new TextDecoder()
      let text = ''
      for await (const chunk of chunks) text += decoder.decode(chunk, { stream: true })
      value = Number(text)
    },
  }
}

/** Three nodes in one process, each with a counter of its own. */
export async function startCounters(): Promise<{ node: RaftNode<number>; count: () => number }[]> {
  const network = memoryNetwork()
  const membership = bootstrapMembership(['a', 'b', 'c'].map((id) => ({ id, address: '' })))
  return Promise.all(
    membership.voters.map(async (id) => {
      const stateMachine = counter()
      const node = await startNode({
        id,
        membership,
        stateMachine,
        storage: memoryStorage(),
        transport: network.transport(id),
        tickMs: 10,
      })
      return { node, count: () => stateMachine.value }
    }),
  )
}
