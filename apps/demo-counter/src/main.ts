import { bootstrapMembership, startNode } from '@coracle/raft-core'
import { memoryStorage } from '@coracle/storage-memory'
import { memoryNetwork } from '@coracle/transport-memory'
import { counter } from './counter.ts'

const network = memoryNetwork()
const membership = bootstrapMembership(['a', 'b', 'c'].map((id) => ({ id, address: '' })))

const members = await Promise.all(
  membership.voters.map(async (id) => {
    const parts = { storage: memoryStorage(), transport: network.transport(id) }
    const stateMachine = counter()
    return { stateMachine, node: await startNode({ id, membership, stateMachine, ...parts }) }
  }),
)

// Every node takes commands: a follower passes them on to the leader.
for (const { node } of members) {
  const { index, result } = await node.propose(Uint8Array.of(1))
  console.log(`${node.id}: the counter is ${result}, as of entry ${index}`)
}

// After `read`, a node holds everything that was acknowledged anywhere before.
for (const { node, stateMachine } of members) {
  await node.read()
  console.log(`${node.id}, a ${node.status().role}, holds ${stateMachine.count}`)
}

for (const { node } of members) await node[Symbol.asyncDispose]()
