import { expect, test } from 'vitest'
import { startCounters } from '../src/counter.ts'

test('every node takes commands and ends up with the same count', async () => {
  const nodes = await startCounters()
  const results: number[] = []
  for (const { node } of nodes) results.push((await node.propose(Uint8Array.of(2))).result)
  expect(results).toEqual([2, 4, 6])
  for (const { node, count } of nodes) {
    await node.read()
    expect(count()).toBe(6)
  }
  await Promise.all(nodes.map(({ node }) => node[Symbol.asyncDispose]()))
})
