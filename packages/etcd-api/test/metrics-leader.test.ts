/** What a leader does on its own account, and what takes the cluster too long. */
import { encodeCommand } from '@coracle/kv-state-machine'
import { bootstrapMembership, RaftError } from '@coracle/raft-core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { etcdMetrics } from '../src/index.ts'
import { CLUSTER_ID, type Harness, startHarness, text } from './harness.ts'
import { post } from './http-client.ts'
import { samplesAt, valuesAt } from './scrape.ts'
import { stagedTime, type StagedTime } from './staged-time.ts'

let time: StagedTime
let harness: Harness
beforeEach(async () => {
  time = stagedTime()
  harness = await startHarness({
    environment: time,
    // Nobody has published who started.
    cluster: { id: CLUSTER_ID, strictReconfigCheck: false },
  })
})
afterEach(() => harness[Symbol.asyncDispose]())

const valuesOf = (...names: string[]): Promise<(number | undefined)[]> =>
  valuesAt(harness.address, ...names)

async function valueOf(name: string): Promise<number | undefined> {
  return (await valuesOf(name))[0]
}

describe('leases', () => {
  test('by the time that they were granted, and those that the leader ended', async () => {
    const ended = ['debugging_server_lease_expired', 'debugging_lease_revoked'].map(
      (name) => `etcd_${name}_total`,
    )
    const grant = (ID: number, TTL: number): Promise<unknown> =>
      post(harness.address, '/v3/lease/grant', { ID, TTL })
    await grant(7, 2)
    await grant(8, 600)
    await harness.node.propose(encodeCommand({ type: 'lease-renew', request: { ids: [8n] } }))
    const ttl = 'etcd_debugging_lease_ttl_total'
    expect(
      await valuesOf(
        `${ttl}_count`,
        `${ttl}_sum`,
        `${ttl}_bucket{le="1"}`,
        `${ttl}_bucket{le="2"}`,
      ),
    ).toEqual([2, 602, 0, 1])
    for (let looks = 0; looks < 30; looks++) time.advance(200)
    await expect.poll(() => valuesOf(...ended)).toEqual([1, 1])
    await post(harness.address, '/v3/lease/revoke', { ID: 8 })
    expect(await valuesOf(...ended)).toEqual([1, 2])
  })
})

describe('promotions', () => {
  const failed = (reason: string): string =>
    `etcd_server_learner_promote_failures{Reason="${reason}"}`
  const promote = (ID: number): Promise<{ status: number }> =>
    post(harness.address, '/v3/cluster/member/promote', { ID })

  /** A learner with the id 7 whose log ends at `matchIndex`. */
  function addLearner(matchIndex: number): void {
    const { node } = harness
    const { id, lastIndex } = node.status()
    const alone = bootstrapMembership([{ id, address: '' }])
    const membership = {
      ...alone,
      peers: [...alone.peers, { id: '7', address: '' }],
      learners: ['7'],
    }
    const peers = [{ id: '7', matchIndex, active: true, snapshot: null }]
    node.changeStatus({ membership, lastIndex, peers: peers as never })
  }

  test('that fail are counted by etcd’s words for it', async () => {
    await promote(9)
    addLearner(0)
    await promote(7)
    const notReady = 'etcdserver: can only promote a learner member which is in sync with leader'
    expect(
      await valuesOf(
        failed('membership: ID not found'),
        failed(notReady),
        'etcd_server_learner_promote_successes',
      ),
    ).toEqual([1, 1, 0])
  })

  test('that a member finds it cannot make are another’s to count', async () => {
    addLearner(harness.node.status().lastIndex)
    harness.node.changeMembership = () => {
      harness.node.changeStatus({ role: 'follower' })
      return Promise.reject(new RaftError('NOT_LEADER', 'staged'))
    }
    let isOver = false
    const asked = promote(7).finally(() => {
      isOver = true
    })
    // It looks for who leads now, and for that it waits a little.
    const isOverLater = (): boolean => {
      time.advance(20)
      return isOver
    }
    await expect.poll(isOverLater).toBe(true)
    await asked
    const names = [...(await samplesAt(harness.address)).keys()]
    expect(names.filter((name) => name.startsWith('etcd_server_learner_promote'))).toEqual([
      'etcd_server_learner_promote_successes',
    ])
  })

  test('that succeed', async () => {
    addLearner(harness.node.status().lastIndex)
    const { id } = harness.node.status()
    const promoted = bootstrapMembership([
      { id, address: '' },
      { id: '7', address: '' },
    ])
    harness.node.changeMembership = () => Promise.resolve(promoted)
    await promote(7)
    expect(await valueOf('etcd_server_learner_promote_successes')).toBe(1)
  })
})

describe('what takes too long', () => {
  test('reads that wait in vain, but not those that fail', async () => {
    const slow = ['slow_read_indexes_total', 'read_indexes_failed_total'].map(
      (name) => `etcd_server_${name}`,
    )
    const ask = (): Promise<unknown> =>
      expect(harness.client.call('KV/Range', { key: text('a') })).rejects.toThrow()
    harness.node.failWith(new RaftError('STOPPED', 'staged'))
    await ask()
    expect(await valuesOf(...slow)).toEqual([0, 1])
    harness.node.hold()
    const asked = ask()
    await harness.node.holding(1)
    time.advance(7_000)
    await asked
    expect(await valuesOf(...slow)).toEqual([1, 2])
    harness.node.release()
  })

  test('applying for more than a tenth of a second', async () => {
    const metrics = etcdMetrics({ environment: time })
    const apply = (index: number, ms: number): void => {
      metrics.trace({ type: 'entries-committed', node: 'a', term: 1, index })
      time.advance(ms)
      metrics.trace({ type: 'entries-applied', node: 'a', term: 1, index })
    }
    apply(1, 100)
    expect(await metrics.registry.metrics()).toContain('etcd_server_slow_apply_total 0\n')
    apply(2, 101)
    expect(await metrics.registry.metrics()).toContain('etcd_server_slow_apply_total 1\n')
  })
})
