import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { Cluster } from './support/cluster.ts'

const ids = ['a', 'b', 'c'] as const
const id = fc.constantFrom(...ids)

/** Each is possible at any moment; what it does depends on how things stand. */
const action = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant('deliver' as const), at: fc.nat(20) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('deliver-all' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('drop' as const), at: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('repeat' as const), at: fc.nat(20) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('tick' as const), id, times: fc.nat(12) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('propose' as const), id }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('campaign' as const), id }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('transfer' as const), id }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('read' as const), id }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('stall' as const), id }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('persist' as const), id }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('crash' as const), id }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('snapshot' as const), id, keep: fc.nat(2) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('stream' as const), arrives: fc.boolean() }),
  },
)

type Action = typeof action extends fc.Arbitrary<infer Value> ? Value : never

function act(cluster: Cluster, step: Action, count: number): void {
  const { network } = cluster
  switch (step.do) {
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
    case 'deliver-all':
      cluster.deliver()
      return
    case 'tick':
      for (let i = 0; i < step.times; i++) cluster.at(step.id).input((raft) => raft.tick())
      return
    case 'propose':
      cluster.at(step.id).propose(`${count}`)
      return
    case 'campaign':
      cluster.at(step.id).input((raft) => raft.campaign())
      return
    case 'transfer':
      cluster.at(step.id).input((raft) => raft.transferLeadership(null))
      return
    case 'read':
      cluster.at(step.id).readIndex(count)
      return
    case 'stall':
      cluster.at(step.id).slowDisk = !cluster.at(step.id).slowDisk
      return
    case 'persist':
      if (cluster.at(step.id).writing !== null) persist(cluster, step.id)
      return
    case 'crash':
      cluster.crash(step.id)
      cluster.restart(step.id)
      return
    case 'snapshot':
      if (cluster.at(step.id).raft.appliedIndex > 0) cluster.at(step.id).takeSnapshot(step.keep)
      return
    case 'stream':
      cluster.deliverSnapshots(step.arrives)
  }
}

function persist(cluster: Cluster, id: string): void {
  cluster.network.push(...cluster.at(id).persist())
}

/** All faults end; whatever happened before, the cluster must come to serve again. */
function recover(cluster: Cluster): void {
  for (const server of cluster.servers.values()) {
    server.slowDisk = false
    if (server.writing !== null) persist(cluster, server.id)
  }
  const servers = [...cluster.servers.values()]
  const leading = () => servers.filter(({ raft }) => raft.role === 'leader')
  // A leader of an earlier term may need an election timeout to learn that it is one.
  for (let i = 0; i < 300 && (i < 12 || leading().length !== 1); i++) cluster.tick(1)
  const leaders = leading()
  expect(leaders.map(({ id: leader }) => leader)).toHaveLength(1)
  cluster.propose(leaders[0]!.id, 'the end')
  cluster.tick(5)
  for (const server of servers) expect(server.state.at(-1)).toBe('the end')
}

test('whatever the network, the disks and the clocks do, the logs agree; and when they stop, all goes on', () => {
  fc.assert(
    fc.property(
      fc.array(action, { minLength: 20, maxLength: 200, size: 'max' }),
      fc.boolean(),
      (steps, careful) => {
        const options = { preVote: careful, checkQuorum: careful, minBatchBytes: 0 }
        const cluster = new Cluster(ids, {
          ...options,
          maxInflightMessages: 3,
          maxWindowBytes: 300,
        })
        for (const [count, step] of steps.entries()) {
          act(cluster, step, count)
          cluster.collect()
        }
        recover(cluster)
      },
    ),
    { numRuns: 30 },
  )
}, 20_000)
