import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { MembershipChange, NodeId } from '../src/types.ts'
import { Cluster } from './support/cluster.ts'
import { Server, type ServerOptions } from './support/server.ts'

const founders = ['a', 'b', 'c'] as const
/** Those who leave never come back, so there are several to take their places. */
const strangers = ['d', 'e', 'f', 'g'] as const
const everybody = [...founders, ...strangers] as const
const id = fc.constantFrom(...everybody)

const change: fc.Arbitrary<MembershipChange> = fc.oneof(
  fc.record({ type: fc.constant('add-voter' as const), peer: peerOf(id) }),
  fc.record({ type: fc.constant('add-learner' as const), peer: peerOf(id) }),
  fc.record({ type: fc.constant('promote-learner' as const), id }),
  fc.record({ type: fc.constant('demote-voter' as const), id }),
  fc.record({ type: fc.constant('remove' as const), id }),
)

function peerOf(of: fc.Arbitrary<NodeId>): fc.Arbitrary<{ id: NodeId; address: string }> {
  return of.map((name) => ({ id: name, address: name }))
}

/** Each is possible at any moment; what it does depends on how things stand. */
const action = fc.oneof(
  { weight: 14, arbitrary: fc.record({ do: fc.constant('deliver-all' as const) }) },
  { weight: 10, arbitrary: fc.record({ do: fc.constant('deliver' as const), at: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('drop' as const), at: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('repeat' as const), at: fc.nat(20) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('tick' as const), id, times: fc.nat(12) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('campaign' as const), id }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('propose' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('transfer' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('crash' as const), id }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cut' as const), id }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('heal' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('snapshot' as const), id }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('change' as const),
      changes: fc.array(change, { minLength: 1, maxLength: 3 }),
    }),
  },
)

type Action = typeof action extends fc.Arbitrary<infer Value> ? Value : never

function act(cluster: Cluster, step: Action, count: number): void {
  const { network } = cluster
  const leaders = [...cluster.servers.values()].filter(({ raft }) => raft.role === 'leader')
  switch (step.do) {
    case 'deliver-all':
      cluster.deliver()
      cluster.deliverSnapshots()
      return
    case 'deliver':
    case 'drop':
    case 'repeat': {
      const message = network[step.at % Math.max(1, network.length)]
      if (message === undefined) return
      if (step.do === 'drop') cluster.drop((other) => other === message)
      else cluster.deliver((other) => other === message)
      if (step.do === 'repeat') cluster.network.push(message)
      return
    }
    case 'tick':
      for (let i = 0; i < step.times; i++) cluster.at(step.id).input((raft) => raft.tick())
      return
    case 'campaign':
      cluster.at(step.id).input((raft) => raft.campaign())
      return
    case 'propose':
      for (const leader of leaders) leader.propose(`${leader.id}${count}`)
      return
    case 'transfer':
      for (const leader of leaders) leader.input((raft) => raft.transferLeadership(null))
      return
    case 'crash':
      cluster.crash(step.id)
      cluster.restart(step.id)
      return
    case 'cut':
      cluster.isolate(step.id)
      return
    case 'heal':
      cluster.heal()
      return
    case 'snapshot':
      if (cluster.at(step.id).raft.appliedIndex > 0) cluster.at(step.id).takeSnapshot(1)
      return
    case 'change':
      for (const leader of leaders)
        leader.input((raft) => raft.changeMembership(step.changes, null))
  }
}

function walk(steps: readonly Action[], options: ServerOptions): Cluster {
  const cluster = new Cluster(founders, options)
  for (const [at, stranger] of strangers.entries())
    cluster.servers.set(
      stranger,
      new Server({ ...options, id: stranger, random: () => 0.35 + at / 7 }),
    )
  cluster.elect('a')
  for (const [count, step] of steps.entries()) {
    act(cluster, step, count)
    cluster.collect()
  }
  return cluster
}

/** When all goes well again, those who take part serve, and have the same history. */
function recover(cluster: Cluster): void {
  cluster.heal()
  const servers = [...cluster.servers.values()]
  const leading = (): readonly Server[] => servers.filter(({ raft }) => raft.role === 'leader')
  for (let i = 0; i < 400 && (i < 12 || leading().length !== 1); i++) cluster.tick(1)
  const [leader] = leading()
  expect(leading()).toHaveLength(1)
  if (leader === undefined) return
  // A change that was under way comes to its end, which may be the end of this leader.
  cluster.tick(30)
  const [last] = leading()
  expect(last?.raft.membership.outgoing).toEqual([])
  if (last === undefined) return
  cluster.propose(last.id, 'the end')
  cluster.tick(5)
  for (const peer of last.raft.membership.peers)
    expect(cluster.at(peer.id).state.at(-1)).toBe('the end')
}

const steps = fc.array(action, { minLength: 30, maxLength: 150, size: 'max' })

test('however members come and go, the logs agree; and in the end those who take part serve', () => {
  fc.assert(
    fc.property(steps, (taken) => {
      recover(walk(taken, { maxPromotionLag: 3, minBatchBytes: 0 }))
    }),
    { numRuns: 60 },
  )
}, 20_000)

test('nothing of that rests on PreVote or CheckQuorum', () => {
  fc.assert(
    fc.property(steps, (taken) => {
      walk(taken, { preVote: false, checkQuorum: false, maxPromotionLag: 3, minBatchBytes: 0 })
    }),
    { numRuns: 60 },
  )
}, 20_000)
