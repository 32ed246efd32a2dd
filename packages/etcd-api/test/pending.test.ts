import { bootstrapMembership, type Environment } from '@coracle/raft-core'
import { kvStateMachine } from '@coracle/kv-state-machine'
import { describe, expect, test } from 'vitest'
import { unexpected } from '../src/errors.ts'
import { followLeadership } from '../src/leadership.ts'
import { resolveOptions } from '../src/options.ts'
import { pendingRequests } from '../src/pending.ts'
import { fakeNode } from './fake-node.ts'

const never = (): Promise<never> => new Promise(() => {})

function setUp() {
  const stateMachine = kvStateMachine()
  const node = fakeNode(stateMachine, 'a', bootstrapMembership([{ id: 'a', address: '' }]))
  const beats: (() => void)[] = []
  let stopped = false
  const environment: Environment = {
    now: () => 0,
    random: () => 0,
    schedule: () => {},
    every(_intervalMs, beat) {
      beats.push(beat)
      return () => (stopped = true)
    },
  }
  const { limits } = resolveOptions({ node, stateMachine, cluster: { id: 1n }, member: { id: 1n } })
  const pending = pendingRequests(followLeadership(node), limits, environment)
  return { pending, look: () => beats.forEach((beat) => beat()), isStopped: () => stopped }
}

describe('waiting for the cluster', () => {
  test('lets go of a call whose client has gone, at the next look', async () => {
    const { pending, look } = setUp()
    const call = { cancelled: false }
    const answer = pending.run({ call, bytes: 0, ask: never, explain: unexpected })
    look()
    call.cancelled = true
    look()
    await expect(answer).rejects.toMatchObject({ code: 1, message: 'context canceled' })
  })

  test('ends with the server', async () => {
    const { pending, isStopped } = setUp()
    const call = { cancelled: false }
    const answer = pending.run({ call, bytes: 0, ask: never, explain: unexpected })
    pending[Symbol.dispose]()
    expect(isStopped()).toBe(true)
    await expect(answer).rejects.toMatchObject({ message: 'etcdserver: server stopped' })
  })
})
