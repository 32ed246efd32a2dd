import { startCounters } from './counter.ts'

const nodes = await startCounters()

// Any node takes commands: a follower passes them on to the leader.
for (const { node } of nodes) {
  const { index, result } = await node.propose(Uint8Array.of(1))
  console.log(`${node.id}: the counter is ${result}, as of index ${index}`)
}

// A read waits until this node holds everything that was acknowledged anywhere before it.
for (const { node, count } of nodes) {
  await node.read()
  console.log(`${node.id} (${node.status().role}) holds ${count()}`)
}

await Promise.all(nodes.map(({ node }) => node[Symbol.asyncDispose]()))
