import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Message } from '../../src/messages.ts'
import type { Entry } from '../../src/types.ts'
import { Cluster } from '../support/cluster.ts'
import {
  accepted,
  appendEntries,
  commands,
  heartbeatReply,
  only,
  refused,
} from '../support/messages.ts'
import { server } from '../support/server.ts'

const ids = ['a', 'b', 'c', 'd', 'e'] as const

/** Delivers one message after the other, in an order that `next` decides, until none is left. */
function deliverInOrder(cluster: Cluster, next: () => number): void {
  for (let steps = 0; steps < 2000; steps++) {
    cluster.collect()
    const { network } = cluster
    const message = network[next() % Math.max(1, network.length)]
    if (message === undefined) return
    cluster.deliver((other) => other === message)
  }
  throw new Error('the servers talk for ever')
}

describe('Figure 3: properties that hold at all times', () => {
  test('Election Safety: of several candidates in one term at most one leads, in whatever order they are heard', () => {
    fc.assert(
      fc.property(
        fc.subarray([...ids], { minLength: 2 }),
        fc.infiniteStream(fc.nat(99)),
        (candidates, order) => {
          const cluster = new Cluster(ids, { preVote: false, checkQuorum: false })
          for (const id of candidates) cluster.campaign(id)
          deliverInOrder(cluster, () => order.next().value as number)
          const leaders = ids.filter((id) => cluster.at(id).raft.role === 'leader')
          expect(leaders.length).toBeLessThanOrEqual(1)
        },
      ),
      { numRuns: 60 },
    )
  })

  test('Leader Append-Only: its log only grows, whatever it is told in its term', () => {
    const a = server({ terms: [1, 1] })
    a.lead()
    const before = [...a.disk.entries]
    a.receive(
      appendEntries({ from: 'b', term: 2, prev: [1, 1], entries: commands(2, 2) }),
      accepted({ from: 'c', term: 2, index: 2 }),
    )
    a.propose('x')
    expect(a.disk.entries.slice(0, before.length)).toEqual(before)
    expect(a.disk.entries).toHaveLength(before.length + 1)
  })

  test('Log Matching: a leader creates one entry at most with an index and a term', () => {
    const a = server()
    const sent: Entry[] = []
    const note = (messages: readonly Message[]): void => {
      for (const { entries } of only(messages, 'append-entries')) sent.push(...entries)
    }
    note(a.lead())
    // b lacks everything and c has it: the same entries go out again and again.
    note(a.receive(refused({ from: 'b', term: 2, index: 1, hint: [0, 0] })))
    note(a.receive(accepted({ from: 'c', term: 2, index: 2 })))
    a.propose('x', 'y')
    note(a.takeLeft())
    note(a.receive(accepted({ from: 'b', term: 2, index: 2 })))
    note(a.receive(heartbeatReply({ from: 'c', term: 2 })))
    note(a.tick(2))
    const byPlace = new Map<string, Uint8Array>()
    for (const { term, index, data } of sent) {
      const known = byPlace.get(`${term}/${index}`) ?? data
      expect(known).toEqual(data)
      byPlace.set(`${term}/${index}`, data)
    }
    expect([byPlace.size, sent.length > byPlace.size]).toEqual([3, true])
  })

  test('Leader Completeness: whoever leads later has all that was committed', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...ids.slice(1)),
        fc.subarray(['b', 'c', 'd', 'e'], { minLength: 2, maxLength: 3 }),
        (next, reached) => {
          const cluster = new Cluster(ids, { preVote: false, checkQuorum: false })
          cluster.elect('a')
          for (const id of ids) if (id !== 'a' && !reached.includes(id)) cluster.cut(['a', id])
          cluster.propose('a', 'x')
          cluster.stabilize()
          expect(cluster.at('a').state).toEqual(['x'])
          cluster.crash('a')
          cluster.campaign(next)
          cluster.stabilize()
          expect(cluster.at(next).raft.role === 'leader').toBe(reached.includes(next))
          if (reached.includes(next)) expect(cluster.at(next).state).toEqual(['x'])
        },
      ),
      { numRuns: 60 },
    )
  })

  test('State Machine Safety: no two apply different entries at one index', () => {
    const cluster = new Cluster(ids, { preVote: false, checkQuorum: false })
    cluster.elect('a')
    cluster.cut(['a', 'c'], ['a', 'd'], ['a', 'e'], ['b', 'c'], ['b', 'd'], ['b', 'e'])
    cluster.propose('a', 'x')
    cluster.stabilize()
    cluster.campaign('c')
    cluster.stabilize()
    cluster.propose('c', 'y')
    cluster.stabilize()
    cluster.heal()
    cluster.tick(3)
    for (const id of ids) expect(cluster.at(id).state).toEqual(['y'])
  })
})

describe('§5.6 timing and availability', () => {
  test('safety does not depend on timing: clocks may run as they like', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...ids), { minLength: 50, maxLength: 400, size: 'max' }),
        (ticks) => {
          const cluster = new Cluster(ids, { electionTicks: 3 })
          for (const [count, id] of ticks.entries()) {
            cluster.at(id).input((raft) => raft.tick())
            cluster.at(id).propose(`${count}`)
            cluster.deliver()
          }
        },
      ),
      { numRuns: 20 },
    )
  })

  test('a leader is elected and stays as long as messages are much faster than election timeouts', () => {
    const cluster = new Cluster(ids)
    cluster.tick(40)
    const { leader, term } = cluster.at('a').raft
    expect(leader).not.toBe(null)
    cluster.tick(200)
    for (const id of ids) expect(cluster.at(id).raft).toMatchObject({ leader, term })
  })
})
